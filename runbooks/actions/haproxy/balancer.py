"""One backend of one HAProxy process, and the same of all that clients may come through."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from model.errors import BalancerError
from model.execution import StepResult
from model.ports import Clock, HaproxyApi
from probes.haproxy_stats import BACKEND, NoStatsError, Row, read_rows
from runbooks.actions.haproxy.server_state import NoStateError, ServerState, read_server_states

T = TypeVar("T")
_POLL_S: Final = 0.02
_BACKENDS_AND_SERVERS: Final = 6


@dataclass(frozen=True, slots=True)
class Balancer:
    """Every method raises BalancerError, also for what HAProxy refuses."""

    api: HaproxyApi
    clock: Clock
    socket: str
    backend: str

    async def servers(self, deadline_s: float) -> dict[str, ServerState]:
        text = await self._ask(f"show servers state {self.backend}", deadline_s)
        try:
            return read_server_states(text, self.backend)
        except NoStateError as error:
            raise self._error(str(error)) from None

    async def server(self, name: str, deadline_s: float) -> ServerState:
        found = await self.servers(deadline_s)
        if name not in found:
            raise self._error(
                f"backend {self.backend!r} has no server {name!r}: {', '.join(found) or 'none'}"
            )
        return found[name]

    async def sessions(self, deadline_s: float) -> dict[str, int]:
        """Server → sessions that it has now; of HTTP, requests and connections in use."""
        return {name: row.sessions or 0 for name, row in (await self.rows(deadline_s)).items()}

    async def rows(self, deadline_s: float) -> dict[str, Row]:
        """What HAProxy counts of each server."""
        text = await self._ask(f"show stat {self.backend} {_BACKENDS_AND_SERVERS} -1", deadline_s)
        try:
            rows = read_rows(text, self.backend)
        except NoStatsError as error:
            raise self._error(str(error)) from None
        return {row.name: row for row in rows if row.name != BACKEND}

    async def session_ids(self, server: str, deadline_s: float) -> frozenset[str]:
        text = await self._ask("show sess", deadline_s)
        wanted = f" be={self.backend} srv={server} "
        return frozenset(line.partition(":")[0] for line in text.splitlines() if wanted in line)

    async def set_state(self, server: str, state: str, deadline_s: float) -> None:
        await self._tell(f"set server {self.backend}/{server} state {state}", deadline_s)

    async def set_address(self, server: str, address: str, port: int, deadline_s: float) -> None:
        """HAProxy says in words what it did: read back whether it is so."""
        await self._ask(f"set server {self.backend}/{server} addr {address} port {port}", deadline_s)

    async def shutdown_sessions(self, server: str, deadline_s: float) -> None:
        await self._tell(f"shutdown sessions server {self.backend}/{server}", deadline_s)

    async def until(self, seen: Callable[[], Awaitable[str]], deadline_s: float) -> str:
        """Looks again until nothing is missing any more ('') or the deadline; what is missing then."""
        missing = ""
        while True:
            try:
                missing = await seen()
            except BalancerError:
                if not missing:
                    raise
                return missing  # the deadline cut this look off: the one before it counts
            if not missing or self.clock.monotonic_s() + _POLL_S >= deadline_s:
                return missing
            await self.clock.sleep(_POLL_S)

    async def _tell(self, command: str, deadline_s: float) -> None:
        """For what HAProxy answers with silence, if it does it."""
        said = (await self._ask(command, deadline_s)).strip()
        if said:
            raise self._error(f"`{command}`: {said[:200]}")

    async def _ask(self, command: str, deadline_s: float) -> str:
        left_s = deadline_s - self.clock.monotonic_s()
        if left_s <= 0:
            raise self._error("no time is left")
        return await self.api.ask(self.socket, command, timeout_s=left_s)

    def _error(self, what: str) -> BalancerError:
        return BalancerError(what, where=f"HAProxy at {self.socket}")


@dataclass(frozen=True, slots=True)
class Told(Generic[T]):
    """What came of something that was done on every balancer: by socket, a value or an error."""

    values: Mapping[str, T]
    errors: Mapping[str, BalancerError]

    @property
    def trouble(self) -> str:
        return "; ".join(f"{e.where}: {e.what}" if e.where else e.what for e in self.errors.values())

    @property
    def sent(self) -> bool:
        """A command may have been carried out, and nobody knows."""
        return any(error.sent for error in self.errors.values())

    def bad(self, done: str) -> StepResult:
        """The result where there are errors. done: what was achieved on the others."""
        detail = f"{self.trouble}; {done} at {', '.join(self.values)}" if self.values else self.trouble
        return StepResult.unknown(detail) if self.sent else StepResult.failed(detail)


async def on_all(balancers: Sequence[Balancer], work: Callable[[Balancer], Awaitable[T]]) -> Told[T]:
    """At the same time; one that does not answer keeps no other from its turn."""
    results = await asyncio.gather(*(_tried(work, b) for b in balancers))
    pairs = list(zip(balancers, results, strict=True))
    return Told(
        {b.socket: r[0] for b, r in pairs if isinstance(r, tuple)},
        {b.socket: r for b, r in pairs if isinstance(r, BalancerError)},
    )


async def _tried(work: Callable[[Balancer], Awaitable[T]], balancer: Balancer) -> tuple[T] | BalancerError:
    try:
        return (await work(balancer),)
    except BalancerError as error:
        return error
