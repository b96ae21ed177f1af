"""patroni.pause, patroni.resume: whether Patroni acts by itself."""

from __future__ import annotations

from typing import ClassVar

from config.document import Path
from model.errors import BcmError
from model.execution import Precheck, Reconciled, StepResult
from runbooks.actions.base import Action, StepContext
from runbooks.actions.patroni.api import LITERAL, POLL_S, Api, PatroniOptions, UncertainError, precheck, shown


class _Pausing(Action):
    Options: ClassVar[type[PatroniOptions]] = PatroniOptions
    outputs: ClassVar[tuple[str, ...] | None] = ("changed",)
    literal: ClassVar[tuple[Path, ...]] = LITERAL
    on: ClassVar[bool]

    def __init__(self, options: PatroniOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        return shown(self._options, "PATCH /config", {"pause": True if self.on else None})

    def where(self, ctx: StepContext) -> str:
        return f"Patroni at {self._options.urls[0]}"

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        row, _cluster = await precheck(ctx, self._options)
        return [row]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        return await self._set(ctx, self.on, deadline_s)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        try:
            cluster = await Api(ctx, self._options).cluster(deadline_s)
        except (BcmError, UncertainError) as error:
            return Reconciled.unknown(str(error))
        if cluster.paused is self.on:
            return Reconciled.done(_text(self.on), changed=True)
        return Reconciled.not_done(_text(not self.on))

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        if ctx.output(ctx.step).get("changed") is False:
            return StepResult.ok("it was so before")
        return await self._set(ctx, not self.on, deadline_s)

    async def _set(self, ctx: StepContext, on: bool, deadline_s: float) -> StepResult:
        api = Api(ctx, self._options)
        try:
            if (await api.cluster(deadline_s)).paused is on:
                return StepResult.ok(f"{_text(on)} already", changed=False)
            await api.pause(on, deadline_s)
        except UncertainError as error:
            return StepResult.unknown(str(error))
        except BcmError as error:
            return StepResult.failed(str(error))
        while True:
            try:
                if (await api.cluster(deadline_s)).paused is on:
                    return StepResult.ok(_text(on), changed=True)
                why = f"{_text(not on)} still"
            except (BcmError, UncertainError) as error:
                why = str(error)
            if ctx.ports.clock.monotonic_s() + POLL_S >= deadline_s:
                return StepResult.unknown(f"asked for, and not seen: {why}", changed=True)
            await ctx.ports.clock.sleep(POLL_S)


class Pause(_Pausing):
    """Patroni stops acting by itself: no failover of its own, no restart. Undo: it acts again, unless it was
    paused before.

    Output: `changed`.
    """

    name: ClassVar[str] = "patroni.pause"
    on: ClassVar[bool] = True


class Resume(_Pausing):
    """Patroni acts by itself again. Undo: paused, unless it acted before.

    Output: `changed`.
    """

    name: ClassVar[str] = "patroni.resume"
    on: ClassVar[bool] = False


def _text(paused: bool) -> str:
    return "Patroni is paused" if paused else "Patroni acts by itself"
