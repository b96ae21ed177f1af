"""Which servers of a backend take traffic while no other does: told to every balancer, and read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model.errors import BalancerError
from model.execution import Precheck, StepResult
from runbooks.actions.haproxy.balancer import Balancer, on_all
from runbooks.actions.haproxy.server_state import MAINT, READY, ServerState


@dataclass(frozen=True, slots=True)
class Switched:
    """Of one balancer. ended: sessions that were open on servers that take no traffic any more."""

    missing: str
    ended: int
    enabled_at_start: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Routing:
    """servers: as HAProxy calls them. cut: sessions of all others are ended."""

    servers: tuple[str, ...]
    cut: bool = True

    def described(self, balancers: Sequence[Balancer]) -> list[str]:
        lines = []
        for b in balancers:
            lines.append(f"{b.socket}: every other server of {b.backend}: state {MAINT}")
            if self.cut:
                lines.append(f"{b.socket}: shutdown sessions of each of them")
            lines += [f"{b.socket}: set server {b.backend}/{s} state {READY}" for s in self.servers]
            lines.append(f"{b.socket}: show servers state {b.backend}")
        return lines

    async def carry_out(
        self, balancers: Sequence[Balancer], deadline_s: float, *, silent_too: bool
    ) -> StepResult:
        """silent_too: a balancer that does not answer is put up with, as long as one does."""
        told = await on_all(balancers, lambda b: self._tell(b, deadline_s))
        wrong = "; ".join(f"{socket}: {t.missing}" for socket, t in told.values.items() if t.missing)
        if wrong:
            return StepResult.failed(wrong)
        if told.errors and not (silent_too and told.values):
            return told.bad("traffic is led there")
        enabled = sorted({name for t in told.values.values() for name in t.enabled_at_start})
        detail = f"{', '.join(self.servers)} alone take traffic at {', '.join(told.values)}"
        if told.errors:
            detail += f"; not told: {told.trouble}"
        if enabled:
            detail += f"; without `disabled` in HAProxy's configuration: {', '.join(enabled)}"
        return StepResult.ok(
            detail,
            servers=list(self.servers),
            told=list(told.values),
            silent=list(told.errors),
            ended=sum(t.ended for t in told.values.values()),
            enabled_at_start=enabled,
        )

    async def missing(self, b: Balancer, deadline_s: float) -> str:
        """'' if it is as it must be. Raises BalancerError."""
        return await self._wrong(b, await self._servers(b, deadline_s), deadline_s)

    async def prechecks(self, balancers: Sequence[Balancer], deadline_s: float) -> list[Precheck]:
        told = await on_all(balancers, lambda b: self._servers(b, deadline_s))
        enabled = {
            socket: [s.name for s in servers.values() if not s.starts_disabled]
            for socket, servers in told.values.items()
        }
        bad = "; ".join(f"{socket}: {', '.join(names)}" for socket, names in enabled.items() if names)
        return [
            Precheck(
                "HAProxy can be told", f"show servers state at {', '.join(b.socket for b in balancers)}",
                not told.errors, told.trouble or "every one answers",
                "a balancer that can't be told leads clients where it did before",
                "check the socket and its `level admin`",
            ),
            Precheck(
                "servers start disabled", "the same, bit 4 of srv_admin_state",
                (not bad) if told.values else None, bad or "every one does",
                "a restarted HAProxy would lead clients to whoever answers (P9)",
                "write `disabled` behind each `server` of the backend",
            ),
        ]  # fmt: skip

    async def _tell(self, b: Balancer, deadline_s: float) -> Switched:
        """First away from the others, so that at no time two take traffic."""
        before = await self._servers(b, deadline_s)
        ended = 0
        others = [name for name in before if name not in self.servers]
        for name in others:
            if before[name].word != MAINT:
                await b.set_state(name, MAINT, deadline_s)
        if self.cut:
            open_now = await b.sessions(deadline_s)
            for name in others:
                if open_now.get(name, 0):
                    ended += open_now[name]
                    await b.shutdown_sessions(name, deadline_s)
        for name in self.servers:
            if before[name].word != READY:
                await b.set_state(name, READY, deadline_s)
        enabled = tuple(s.name for s in before.values() if not s.starts_disabled)
        return Switched(await b.until(lambda: self.missing(b, deadline_s), deadline_s), ended, enabled)

    async def _servers(self, b: Balancer, deadline_s: float) -> Mapping[str, ServerState]:
        servers = await b.servers(deadline_s)
        lost = [name for name in self.servers if name not in servers]
        if lost:
            raise BalancerError(
                f"backend {b.backend!r} has no server {', '.join(lost)}: {', '.join(servers) or 'none'}",
                where=f"HAProxy at {b.socket}",
            )
        return servers

    async def _wrong(self, b: Balancer, servers: Mapping[str, ServerState], deadline_s: float) -> str:
        wrong = [
            f"{s.name} is {s.word}"
            for s in servers.values()
            if s.word != (READY if s.name in self.servers else MAINT)
        ]
        if wrong or not self.cut:
            return ", ".join(wrong)
        left = await b.sessions(deadline_s)
        return ", ".join(f"{n} has {c} sessions" for n, c in left.items() if c and n not in self.servers)
