"""haproxy.assert_state: these servers of a backend take traffic, and no other does (P9).

What is told to HAProxy is gone when it restarts, and an operator may have told it something else: this says
all of it again, whatever was before, ends the sessions of the others, and reads all of it back.
"""

from __future__ import annotations

from typing import ClassVar, cast

from pydantic import Field

from config.base import Flag
from model.execution import Precheck, Reconciled, StepResult
from runbooks.actions.base import Action, StepContext
from runbooks.actions.haproxy.balancer import on_all
from runbooks.actions.haproxy.routing import Routing
from runbooks.actions.haproxy.target import BackendOptions, balancers, places, server_of_member


class AssertStateOptions(BackendOptions):
    members: tuple[str, ...] = Field(
        min_length=1, description="Members that take traffic; no other server does."
    )
    cut: Flag = Field(True, description="End the open sessions of all others.")
    silent_too: Flag = Field(
        False,
        description="Succeed though some of the balancers do not answer, if one does: its servers start "
        "disabled, and it is told when it is back.",
    )


class AssertState(Action):
    """Output: `servers` that take traffic; `told`, `silent` balancers; `ended`, sessions that were open on
    others; `enabled_at_start`, servers whose configuration lacks `disabled`."""

    name: ClassVar[str] = "haproxy.assert_state"
    outputs: ClassVar[tuple[str, ...] | None] = ("servers", "told", "silent", "ended", "enabled_at_start")
    Options = AssertStateOptions

    @property
    def wanted(self) -> AssertStateOptions:
        return cast("AssertStateOptions", self.options)

    def routing(self, ctx: StepContext) -> Routing:
        servers = tuple(server_of_member(ctx, member) for member in self.wanted.members)
        return Routing(servers, cut=self.wanted.cut)

    def describe(self, ctx: StepContext) -> list[str]:
        return self.routing(ctx).described(balancers(ctx, self.wanted))

    def where(self, ctx: StepContext) -> str:
        return places(balancers(ctx, self.wanted))

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        return await self.routing(ctx).prechecks(
            balancers(ctx, self.wanted), ctx.ports.clock.monotonic_s() + 2.0
        )

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        return await self.routing(ctx).carry_out(
            balancers(ctx, self.wanted), deadline_s, silent_too=self.wanted.silent_too
        )

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        routing = self.routing(ctx)
        told = await on_all(balancers(ctx, self.wanted), lambda b: routing.missing(b, deadline_s))
        wrong = "; ".join(f"{socket}: {text}" for socket, text in told.values.items() if text)
        if wrong:
            return Reconciled.not_done(wrong)
        if told.errors and not (self.wanted.silent_too and told.values):
            return Reconciled.unknown(told.trouble)
        return Reconciled.done(
            f"{', '.join(routing.servers)} alone take traffic", servers=list(routing.servers)
        )
