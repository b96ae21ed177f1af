"""What `haproxy.ready`, `haproxy.drain` and `haproxy.maint` have in common: a state is set and read back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, cast

from model.execution import Precheck, Reconciled, StepResult
from runbooks.actions.base import Action, StepContext
from runbooks.actions.haproxy.balancer import Balancer, on_all
from runbooks.actions.haproxy.target import ServerOptions, balancers, places, server_of


class ToState(Action):
    """Output: `server`; `before` {socket: state}; `sessions`, those that it has left, of all balancers."""

    outputs: ClassVar[tuple[str, ...] | None] = ("server", "before", "sessions")
    Options = ServerOptions
    state: ClassVar[str]
    back: ClassVar[str]
    """What an undo sets where the state before is not known: its process died before it was recorded."""

    @property
    def wanted(self) -> ServerOptions:
        return cast("ServerOptions", self.options)

    @property
    def cuts(self) -> bool:
        """Its sessions are ended."""
        return False

    @property
    def empties(self) -> bool:
        """It is waited for until no session is left."""
        return self.cuts

    @property
    def must_be_up(self) -> bool:
        return False

    def describe(self, ctx: StepContext) -> list[str]:
        server = server_of(ctx, self.wanted)
        lines = []
        for b in balancers(ctx, self.wanted):
            lines.append(f"{b.socket}: set server {b.backend}/{server} state {self.state}")
            if self.cuts:
                lines.append(f"{b.socket}: shutdown sessions server {b.backend}/{server}")
            lines.append(f"{b.socket}: show servers state {b.backend}")
        return lines

    def where(self, ctx: StepContext) -> str:
        return places(balancers(ctx, self.wanted))

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        deadline_s = ctx.ports.clock.monotonic_s() + 2.0
        server = server_of(ctx, self.wanted)
        told = await on_all(balancers(ctx, self.wanted), lambda b: b.server(server, deadline_s))
        seen = ", ".join(f"{socket}: {state.word}" for socket, state in told.values.items())
        return [
            Precheck(
                f"{server} in HAProxy",
                f"show servers state at {', '.join([*told.values, *told.errors])}",
                not told.errors,
                "; ".join(part for part in (seen, told.trouble) if part),
                "a balancer that can't be told goes on as it is",
                "check the socket, its `level admin`, and the names of backend and server",
            )
        ]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        server = server_of(ctx, self.wanted)
        told = await on_all(balancers(ctx, self.wanted), lambda b: self._change(b, server, deadline_s))
        before = {socket: was for socket, (was, _missing) in told.values.items()}
        missing = {socket: text for socket, (_was, text) in told.values.items() if text}
        if told.errors:
            bad = told.bad(f"{server} is {self.state}")
            return StepResult(bad.outcome, bad.detail, {"server": server, "before": before})
        if missing:
            said = "; ".join(f"{socket}: {text}" for socket, text in missing.items())
            return StepResult.failed(f"{server}: {said}", server=server, before=before)
        left = await self._sessions(ctx, server, deadline_s)
        return StepResult.ok(
            f"{server} is {self.state} at {', '.join(told.values)}; {_count(left)}",
            server=server, before=before, sessions=left,
        )  # fmt: skip

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        server = server_of(ctx, self.wanted)
        told = await on_all(balancers(ctx, self.wanted), lambda b: self._missing(b, server, deadline_s))
        if told.errors:
            return Reconciled.unknown(told.trouble)
        missing = "; ".join(f"{socket}: {text}" for socket, text in told.values.items() if text)
        if missing:
            return Reconciled.not_done(missing)
        left = await self._sessions(ctx, server, deadline_s)
        return Reconciled.done(f"{server} is {self.state}", server=server, before={}, sessions=left)

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        server = server_of(ctx, self.wanted)
        recorded = ctx.output(ctx.step).get("before")
        before: Mapping[str, str] = recorded if isinstance(recorded, Mapping) else {}

        async def back(b: Balancer) -> str:
            state = str(before.get(b.socket, self.back))
            await b.set_state(server, state, deadline_s)
            now = (await b.server(server, deadline_s)).word
            return "" if now == state else f"it is {now}, not {state}"

        told = await on_all(balancers(ctx, self.wanted), back)
        if told.errors:
            return told.bad(f"{server} is as it was")
        missing = "; ".join(f"{socket}: {text}" for socket, text in told.values.items() if text)
        return StepResult.failed(missing) if missing else StepResult.ok(f"{server} is as it was")

    async def _change(self, b: Balancer, server: str, deadline_s: float) -> tuple[str, str]:
        """(state before, what is missing at the deadline)"""
        was = (await b.server(server, deadline_s)).word
        if was != self.state:
            await b.set_state(server, self.state, deadline_s)
        if self.cuts:
            await b.shutdown_sessions(server, deadline_s)
        return was, await b.until(lambda: self._missing(b, server, deadline_s), deadline_s)

    async def _missing(self, b: Balancer, server: str, deadline_s: float) -> str:
        now = await b.server(server, deadline_s)
        if now.word != self.state:
            return f"it is {now.word}, not {self.state}"
        if not (self.must_be_up or self.empties):
            return ""
        row = (await b.rows(deadline_s)).get(server)
        if self.must_be_up and (not now.up or (row is not None and row.checked is False)):
            return "none of its checks has succeeded"
        left = (row.sessions or 0) if row is not None else 0
        return _count(left) if left and self.empties else ""

    async def _sessions(self, ctx: StepContext, server: str, deadline_s: float) -> int:
        told = await on_all(balancers(ctx, self.wanted), lambda b: b.sessions(deadline_s))
        return sum(sessions.get(server, 0) for sessions in told.values.values())


def _count(sessions: int) -> str:
    return f"{sessions} session{'s' * (sessions != 1)} left"
