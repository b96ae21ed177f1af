"""haproxy.shutdown_sessions: ends every session that a server has now; its state stays as it is."""

from __future__ import annotations

from typing import ClassVar, cast

from model.execution import Reconciled, StepResult
from runbooks.actions.base import Action, StepContext
from runbooks.actions.haproxy.balancer import Balancer, on_all
from runbooks.actions.haproxy.target import ServerOptions, balancers, places, server_of


class ShutdownSessions(Action):
    """Success: none of the sessions that were there before is left; a server that is `ready` has new ones at
    once. Output: `server`, `ended`, how many."""

    name: ClassVar[str] = "haproxy.shutdown_sessions"
    outputs: ClassVar[tuple[str, ...] | None] = ("server", "ended")
    Options = ServerOptions

    @property
    def wanted(self) -> ServerOptions:
        return cast("ServerOptions", self.options)

    def describe(self, ctx: StepContext) -> list[str]:
        server = server_of(ctx, self.wanted)
        return [
            f"{b.socket}: shutdown sessions server {b.backend}/{server}" for b in balancers(ctx, self.wanted)
        ]

    def where(self, ctx: StepContext) -> str:
        return places(balancers(ctx, self.wanted))

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        server = server_of(ctx, self.wanted)

        async def end(b: Balancer) -> tuple[int, str]:
            before = await b.session_ids(server, deadline_s)
            await b.server(server, deadline_s)  # a server that is not there has no sessions either
            await b.shutdown_sessions(server, deadline_s)

            async def missing() -> str:
                left = before & await b.session_ids(server, deadline_s)
                return f"{len(left)} of {len(before)} sessions are still there" if left else ""

            return len(before), await b.until(missing, deadline_s)

        told = await on_all(balancers(ctx, self.wanted), end)
        if told.errors:
            return told.bad("sessions are ended")
        left = "; ".join(f"{socket}: {text}" for socket, (_n, text) in told.values.items() if text)
        if left:
            return StepResult.failed(left)
        ended = sum(count for count, _ in told.values.values())
        return StepResult.ok(f"{ended} sessions of {server} ended", server=server, ended=ended)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        server = server_of(ctx, self.wanted)
        told = await on_all(balancers(ctx, self.wanted), lambda b: b.sessions(deadline_s))
        if told.errors:
            return Reconciled.unknown(told.trouble)
        left = sum(sessions.get(server, 0) for sessions in told.values.values())
        if left:
            return Reconciled.not_done(f"{server} has {left} sessions; they may be new ones")
        return Reconciled.done(f"{server} has no session", server=server, ended=0)
