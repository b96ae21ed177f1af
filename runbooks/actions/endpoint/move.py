"""endpoint.move: clients are led to one member, in the way that the service's endpoint says.

One step for every runbook that makes a member the primary: it does what `haproxy.assert_state`, `vip.move` or
`dns.update` do. With a DSN of several hosts clients find the primary by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final, cast

from pydantic import Field

from config.endpoints import endpoint_of
from model.execution import Precheck, Reconciled, StepResult
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.dns.update import Update, UpdateOptions
from runbooks.actions.haproxy.assert_state import AssertState, AssertStateOptions
from runbooks.actions.vip.move import Move as MoveAddress
from runbooks.actions.vip.move import MoveOptions as MoveAddressOptions

# A balancer that is gone holds up nobody: its servers start disabled, and it is told when it is back (P9).
_WAYS: Final[Mapping[str, Callable[[str], Action]]] = {
    "haproxy": lambda member: AssertState(AssertStateOptions(members=(member,), silent_too=True)),
    "vip": lambda member: MoveAddress(MoveAddressOptions(member=member)),
    "dns": lambda member: Update(UpdateOptions(member=member)),
}


class MoveOptions(ActionOptions):
    member: str = Field(min_length=1, description="The member that clients are led to, and to no other.")


class Move(Action):
    """Output: that of the action which does it, and `way`: dsn, haproxy, vip or dns; or none."""

    name: ClassVar[str] = "endpoint.move"
    Options = MoveOptions

    @property
    def member(self) -> str:
        return cast("MoveOptions", self.options).member

    def describe(self, ctx: StepContext) -> list[str]:
        inner = self._inner(ctx)
        return [f"clients find {self.member} by themselves"] if inner is None else inner.describe(ctx)

    def where(self, ctx: StepContext) -> str:
        inner = self._inner(ctx)
        return "nowhere" if inner is None else inner.where(ctx)

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        inner = self._inner(ctx)
        return [] if inner is None else await inner.precheck(ctx)

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        inner = self._inner(ctx)
        if inner is None:
            return StepResult.ok(f"clients find {self.member} by themselves", way=self._way(ctx))
        result = await inner.run(ctx, deadline_s)
        return StepResult(result.outcome, result.detail, {**result.output, "way": self._way(ctx)})

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        inner = self._inner(ctx)
        if inner is None:
            return Reconciled.done(f"clients find {self.member} by themselves", way=self._way(ctx))
        seen = await inner.check(ctx, deadline_s)
        return Reconciled(seen.effect, seen.detail, {**seen.output, "way": self._way(ctx)})

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        inner = self._inner(ctx)
        return StepResult.ok("nothing had been told") if inner is None else await inner.undo(ctx, deadline_s)

    def _way(self, ctx: StepContext) -> str:
        endpoint = endpoint_of(ctx.service)
        return endpoint.type if endpoint is not None else "none"

    def _inner(self, ctx: StepContext) -> Action | None:
        make = _WAYS.get(self._way(ctx))
        return make(self.member) if make is not None else None
