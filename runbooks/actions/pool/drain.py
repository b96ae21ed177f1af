"""pool.drain: a member gets no new requests, those that it has are waited for, then it is out of use."""

from __future__ import annotations

from typing import ClassVar, Final, cast

from pydantic import Field

from config.base import Flag
from config.http_pool import HttpService
from model.execution import Precheck, Reconciled, StepResult, StepState
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.haproxy.balancer import on_all
from runbooks.actions.haproxy.drain import Drain, DrainOptions
from runbooks.actions.haproxy.maint import Maint, MaintOptions
from runbooks.actions.haproxy.target import BackendOptions, balancers, server_of_member

# Kept from the wait for requests, so that the member is out of use by the deadline.
_LAST_S: Final = 1.0


class PoolDrainOptions(ActionOptions):
    """Which member, and how gently."""

    member: str = Field(min_length=1, description="The member that is taken out of use.")
    cut: Flag = Field(
        False, description="It does not work any more: nothing is waited for, and its sessions are ended."
    )
    below_minimum: Flag = Field(
        False, description="Also if fewer members than the service's minimum are left in use."
    )


class PoolDrain(Action):
    """Told to every HAProxy of the endpoint. Without `cut` it is refused where fewer members than the
    service's minimum would be left up, and it fails where requests do not end in time.

    Output: `member`; `before` {socket: state}; `waited_ms` for the requests that were under way.
    Undo: as it was.
    """

    name: ClassVar[str] = "pool.drain"
    Options = PoolDrainOptions
    outputs: ClassVar[tuple[str, ...] | None] = ("member", "before", "waited_ms")

    @property
    def given(self) -> PoolDrainOptions:
        return cast("PoolDrainOptions", self.options)

    @property
    def _drain(self) -> Drain:
        return Drain(DrainOptions(member=self.given.member, empty=True))

    @property
    def _maint(self) -> Maint:
        return Maint(MaintOptions(member=self.given.member, cut=self.given.cut))

    def describe(self, ctx: StepContext) -> list[str]:
        first = [] if self.given.cut else self._drain.describe(ctx)
        return [*first, *self._maint.describe(ctx)]

    def where(self, ctx: StepContext) -> str:
        return self._maint.where(ctx)

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        short = await self._short(ctx, ctx.ports.clock.monotonic_s() + 2.0)
        return [
            *await self._maint.precheck(ctx),
            Precheck(
                what="enough members are left",
                how="show servers state",
                ok=not short,
                result=short or "more than the minimum are up",
                why="the business goes on with no fewer than the minimum (MBCO)",
                if_failed="restore another member first, or say `below_minimum`",
            ),
        ]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        began_s = ctx.ports.clock.monotonic_s()
        short = "" if self.given.cut else await self._short(ctx, deadline_s)
        if short:
            return StepResult.failed(f"nothing is changed: {short}", member=self.given.member, before={})
        before: object = None
        if not self.given.cut:
            drained = await self._drain.run(ctx, deadline_s - _LAST_S)
            before = drained.output.get("before", {})
            if drained.outcome is not StepState.SUCCEEDED:
                output = {"member": self.given.member, "before": before}
                return StepResult(drained.outcome, drained.detail, output)
        out = await self._maint.run(ctx, deadline_s)
        waited_ms = int((ctx.ports.clock.monotonic_s() - began_s) * 1000)
        output = {
            "member": self.given.member,
            "before": out.output.get("before", {}) if before is None else before,
            "waited_ms": waited_ms,
        }
        return StepResult(out.outcome, out.detail, output)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        seen = await self._maint.check(ctx, deadline_s)
        output = {"member": self.given.member, "before": {}, "waited_ms": 0} if seen.output else {}
        return Reconciled(seen.effect, seen.detail, output)

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        return await self._maint.undo(ctx, deadline_s)

    async def _short(self, ctx: StepContext, deadline_s: float) -> str:
        """Why too few would be left; '' if enough are."""
        service = ctx.service
        if self.given.below_minimum or not isinstance(service, HttpService):
            return ""
        own = server_of_member(ctx, self.given.member)
        others = [server_of_member(ctx, m) for m in service.members if m != self.given.member]
        told = await on_all(balancers(ctx, BackendOptions()), lambda b: b.servers(deadline_s))
        for socket, servers in told.values.items():
            up = [name for name in others if name in servers and servers[name].up]
            if own in servers and len(up) < service.http.minimum:
                return f"{len(up)} others take traffic at {socket}, {service.http.minimum} are needed"
        return told.trouble
