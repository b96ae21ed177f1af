"""What start, stop and restart of a unit have in common."""

from __future__ import annotations

import abc
from typing import ClassVar

from pydantic import Field

from config.document import Path
from config.durations import Seconds
from model.execution import Precheck, Reconciled, StepResult
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.systemd.unit import (
    Seen,
    Unit,
    UnitChangeOptions,
    Verb,
    acted,
    looked,
    precheck,
    result_of,
)


class ChangeOptions(UnitChangeOptions):
    """A unit, and how long it is watched afterwards."""

    settle: Seconds = Field(
        0.0,
        ge=0,
        description="So long after it the unit is looked at once more: what dies at once has not started.",
    )


class UnitChange(Action):
    """Base of the actions that ask the manager for a change."""

    Options: ClassVar[type[ActionOptions]] = ChangeOptions
    outputs: ClassVar[tuple[str, ...] | None] = ("active_state", "sub_state", "changed")
    literal: ClassVar[tuple[Path, ...]] = (("user",), ("manager",))
    verb: ClassVar[Verb]

    def __init__(self, options: ChangeOptions) -> None:
        super().__init__(options)
        self._options = options

    @abc.abstractmethod
    def judge(self, unit: Unit, seen: Seen) -> Reconciled:
        """Is the effect there?"""

    @abc.abstractmethod
    def way_back(self, seen: Seen) -> Verb | None:
        """What makes the unit again what it was before the step; None if it is so."""

    def describe(self, ctx: StepContext) -> list[str]:
        return [Unit(ctx, self._options).shown(self.verb)]

    def where(self, ctx: StepContext) -> str:
        return Unit(ctx, self._options).where

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        return await precheck(ctx, Unit(ctx, self._options))

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        unit = Unit(ctx, self._options)
        seen = await acted(ctx, unit, self.verb, deadline_s)
        if isinstance(seen, StepResult):
            return seen
        if self._options.settle:
            await ctx.ports.clock.sleep(self._options.settle)
            return result_of(await self.check(ctx, deadline_s))
        return result_of(self.judge(unit, seen))

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        unit = Unit(ctx, self._options)
        seen = await looked(unit, deadline_s)
        return seen if isinstance(seen, Reconciled) else self.judge(unit, seen)

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        unit = Unit(ctx, self._options)
        seen = await looked(unit, deadline_s)
        if isinstance(seen, Reconciled):
            return StepResult.unknown(seen.detail)
        if seen.before is None:
            return StepResult.ok("nothing was asked of the manager")
        verb = self.way_back(seen)
        if verb is None:
            return StepResult.ok(f"{unit.name} is {seen.now}, as it was before")
        after = await acted(ctx, unit, verb, deadline_s)
        if isinstance(after, StepResult):
            return after
        if after.now.moves:
            return StepResult.unknown(f"{unit.name} is {after.now}")
        if after.now.runs != seen.before.runs:
            return StepResult.failed(f"{unit.name} is {after.now}; it was {seen.before}")
        return StepResult.ok(f"{unit.name} is {after.now} again")
