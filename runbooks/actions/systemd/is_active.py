"""systemd.is_active: does a unit of a node run, or not, as it should?"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from config.document import Path
from model.execution import Precheck, Reconciled, StepResult
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.systemd.unit import Unit, UnitOptions, looked, precheck


class IsActiveOptions(UnitOptions):
    """A unit, and what it should be."""

    expect: Literal["active", "inactive"] = Field(
        "active", description="active: it runs; inactive: it does not, whether it has failed or not."
    )


class IsActive(Action):
    """Asks the manager. It fails if the unit is not as expected, also on its way there: `retry` waits for it.
    What could not be found out is unknown.

    Output: `active_state` and `sub_state` as systemd words them.
    """

    name: ClassVar[str] = "systemd.is_active"
    Options: ClassVar[type[ActionOptions]] = IsActiveOptions
    changing: ClassVar[bool] = False
    outputs: ClassVar[tuple[str, ...] | None] = ("active_state", "sub_state")
    literal: ClassVar[tuple[Path, ...]] = (("manager",),)

    def __init__(self, options: IsActiveOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        return [Unit(ctx, self._options).shown("is-active")]

    def where(self, ctx: StepContext) -> str:
        return Unit(ctx, self._options).where

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        return await precheck(ctx, Unit(ctx, self._options))

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        unit = Unit(ctx, self._options)
        seen = await looked(unit, deadline_s)
        if isinstance(seen, Reconciled):
            return StepResult.unknown(seen.detail)
        now = seen.now
        found = {"active_state": now.active, "sub_state": now.sub}
        right = now.runs if self._options.expect == "active" else now.active in ("inactive", "failed")
        text = f"{unit.name} is {now}"
        if right and now.load != "not-found":
            return StepResult.ok(text, **found)
        missing = f"there is no unit {unit.name}" if now.load == "not-found" else text
        return StepResult.failed(f"{missing}, expected {self._options.expect}", **found)
