"""pool.restore: a member takes requests again, once it is seen to work."""

from __future__ import annotations

from typing import ClassVar, cast

from pydantic import Field

from config.base import Flag
from model.execution import Precheck, Reconciled, StepResult
from model.health import Health
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.haproxy.ready import Ready, ReadyOptions


class PoolRestoreOptions(ActionOptions):
    member: str = Field(min_length=1, description="The member that is put back.")
    unseen: Flag = Field(False, description="Also if this product's own probe does not find it up.")


class PoolRestore(Action):
    """Two look at it before clients do: the probe of this product, which asks for what the estate says, and
    HAProxy's own checks, where it has any.

    Output: `member`; `before` {socket: state}. Undo: as it was.
    """

    name: ClassVar[str] = "pool.restore"
    Options = PoolRestoreOptions
    outputs: ClassVar[tuple[str, ...] | None] = ("member", "before")

    @property
    def given(self) -> PoolRestoreOptions:
        return cast("PoolRestoreOptions", self.options)

    @property
    def _ready(self) -> Ready:
        return Ready(ReadyOptions(member=self.given.member))

    def describe(self, ctx: StepContext) -> list[str]:
        return self._ready.describe(ctx)

    def where(self, ctx: StepContext) -> str:
        return self._ready.where(ctx)

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        unfit = self._unfit(ctx)
        return [
            *await self._ready.precheck(ctx),
            Precheck(
                what=f"{self.given.member} works",
                how="the probe of this product",
                ok=not unfit,
                result=unfit or "it is up",
                why="clients would be sent to it",
                if_failed="mend it first",
            ),
        ]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        unfit = self._unfit(ctx)
        if unfit:
            return StepResult.failed(f"nothing is changed: {unfit}", member=self.given.member, before={})
        result = await self._ready.run(ctx, deadline_s)
        output = {"member": self.given.member, "before": result.output.get("before", {})}
        return StepResult(result.outcome, result.detail, output)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        seen = await self._ready.check(ctx, deadline_s)
        output = {"member": self.given.member, "before": {}} if seen.output else {}
        return Reconciled(seen.effect, seen.detail, output)

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        return await self._ready.undo(ctx, deadline_s)

    def _unfit(self, ctx: StepContext) -> str:
        """Why it may not be put back; '' if it may. Of what nobody watches nothing is known: HAProxy's own
        checks must do."""
        if self.given.unseen:
            return ""
        seen = ctx.ports.sighting(f"{ctx.service.name}/{self.given.member}")
        if seen is None or seen.health is Health.UP:
            return ""
        return f"{self.given.member} is {seen.health.value}: {seen.why}"
