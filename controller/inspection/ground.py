"""What the checks of one inspection may touch, and what they share: each probe is asked once.

Everything that goes out to another host passes one bound, so that an inspection is no load.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from config.schema import Estate, Member, PostgresqlService, Service
from controller.declared import DeclaredProbes, subjects_of
from controller.engines import ENGINES, ClaimedRole, Engine
from controller.probe_once import run_once
from controller.supervisor.judgement import Case
from controller.supervisor.knowledge import Knowledge
from controller.supervisor.ledger import Ledger
from controller.supervisor.probing import ProbeFactory, Watch
from controller.views import ServiceView
from model.errors import BcmError, UsageError
from model.events import Event
from model.observation import Observation, Outcome
from model.ports import Clock, NodeAccess, Secrets, Sql

T = TypeVar("T")

# At most so many connections and commands at once.
AT_ONCE = 8
# A look is no verdict over life and death: what answers slowly is told as slow.
LEAST_TIMEOUT_S = 3.0


class ReadEvents(Protocol):
    """As of `model.ports.Journal.events`; called in a worker thread."""

    def __call__(
        self, *, types: Iterable[str] | None = None, service: str | None = None
    ) -> Sequence[Event]: ...


@dataclass(frozen=True, slots=True)
class DaemonSide:
    """What only a running daemon knows of itself."""

    leads: bool
    problem: str
    watchdog_s: float | None
    undelivered: int


@dataclass(frozen=True, slots=True)
class Fresh:
    """A service as a fresh reading of every member shows it, and as the journal has it. primary: as
    journaled, or the only one that says so."""

    case: Case
    primary: str | None


@dataclass(slots=True)
class Ground:
    """One inspection's. service: the one that is inspected, or None for the whole estate. daemon: None where
    none runs."""

    estate: Estate
    clock: Clock
    secrets: Secrets
    nodes: Mapping[str, NodeAccess]
    sql: Sql
    probes: ProbeFactory
    declared: DeclaredProbes
    read_events: ReadEvents
    state_dir: Path
    daemon: DaemonSide | None = None
    service: str | None = None
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    _shared: dict[Any, asyncio.Task[Any]] = field(default_factory=dict)

    # --- what is inspected

    def services(self) -> list[Service]:
        found = self.estate.services.values()
        return [s for s in found if self.service in (None, s.name)]

    def postgresql(self) -> list[PostgresqlService]:
        """Those that can be moved: what only their engine has is looked at there."""
        return [s for s in self.services() if isinstance(s, PostgresqlService)]

    def members(self) -> Iterator[tuple[Service, Member]]:
        for service in self.services():
            for member in service.members.values():
                yield service, member

    def node_names(self) -> list[str]:
        """Those of the estate, or those that the service runs on."""
        if self.service is None:
            return list(self.estate.nodes)
        return list(dict.fromkeys(member.node for _service, member in self.members()))

    def watches(self) -> Iterator[tuple[str, Watch | UsageError, float]]:
        """(about, a fresh probe, its time-out): of members, nodes, reference targets and what is declared;
        the error in place of one that can't be made here."""
        least = LEAST_TIMEOUT_S
        for service in self.services():
            for watch in self.probes.of_service(service, dict(self.nodes)):
                yield f"service/{watch.target}", watch, max(service.detection.timeout_s, least)
        nodes = {f"node/{name}" for name in self.node_names()}
        for watch in self.probes.of_nodes():
            if watch.target in nodes:
                yield watch.target, watch, least
        if self.service is None:
            for watch in self.probes.of_references():
                yield "estate", watch, least
        subjects = {s for service in self.services() for s in subjects_of(service, self.estate)}
        for name, entry in self.estate.probes.items():
            if self.service is None or (entry.about in subjects and entry.about != "estate"):
                yield entry.about, self._declared_watch(name), entry.timeout

    def _declared_watch(self, name: str) -> Watch | UsageError:
        try:
            return self.declared.watch(name)
        except UsageError as error:
            return error

    # --- shared between the checks

    async def bounded(self, work: Callable[[], Awaitable[T]]) -> T:
        async with self.gate:
            return await work()

    async def once(self, key: Any, make: Callable[[], Awaitable[T]]) -> T:
        """The same for whoever asks for it again. Raises what it raised."""
        task = self._shared.get(key)
        if task is None:
            task = self._shared[key] = asyncio.ensure_future(make())
        result: T = await asyncio.shield(task)
        return result

    async def read(self, watch: Watch, timeout_s: float) -> Observation:
        """One fresh attempt; the probe is closed after it."""

        async def attempt() -> Observation:
            try:
                return await run_once(watch.probe, timeout_s, self.clock)
            finally:
                await watch.probe.aclose()

        return await self.once(("probe", watch.target, watch.type), lambda: self.bounded(attempt))

    async def events_of(self, service: Service) -> Sequence[Event]:
        def read() -> Sequence[Event]:
            return self.read_events(service=service.name)

        return await self.once(("events", service.name), lambda: asyncio.to_thread(read))

    async def fresh(self, service: Service) -> Fresh:
        return await self.once(("service", service.name), lambda: self._fresh(service))

    async def _fresh(self, service: Service) -> Fresh:
        try:
            events = await self.events_of(service)
        except BcmError:  # told by the checks of the journal; the members can be judged all the same
            events = ()
        ledger = Ledger.read(service.name, events)
        knowledge = Knowledge(self.estate, service, high_water=dict(ledger.high_water))
        watches = self.probes.of_service(service, dict(self.nodes))
        timeout_s = max(service.detection.timeout_s, LEAST_TIMEOUT_S)
        seen = await asyncio.gather(*(self.read(watch, timeout_s) for watch in watches))
        primary = ledger.primary or _only_primary(seen, ENGINES[service.engine])
        for reading in seen:
            knowledge.observe(reading, primary)
        return Fresh(Case(self.estate, service, knowledge, ledger), primary)

    async def view(self, service: Service) -> ServiceView:
        """As all members are now."""
        fresh = await self.fresh(service)
        ledger = fresh.case.ledger
        return fresh.case.knowledge.view(
            fresh.primary,
            self.clock.monotonic_s(),
            moving=ledger.moving,
            system_identifier=ledger.system_identifier,
            recorded_timeline=ledger.timeline,
        )

    async def aclose(self) -> None:
        """Ends what nobody waits for any more."""
        for task in self._shared.values():
            task.cancel()
        if self._shared:
            await asyncio.wait(self._shared.values())
        for task in self._shared.values():
            if not task.cancelled():
                task.exception()


def _only_primary(seen: Iterable[Observation], engine: Engine) -> str | None:
    """Before anybody was journaled as primary: the one that says so."""
    claims = [
        reading.target.partition("/")[2]
        for reading in seen
        if reading.outcome is Outcome.SUCCEEDED and engine.claimed_role(reading.facts) is ClaimedRole.PRIMARY
    ]
    return claims[0] if len(claims) == 1 else None
