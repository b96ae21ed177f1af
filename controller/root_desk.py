"""Once a second: what the estate as a whole suffers from is noted and told, each once, and the incidents of
the services that suffer from the same become one.

The journal is the truth: a controller that was restarted, or that leads next, tells nothing twice. Nothing
here is decided on; no service waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import structlog

from config.probes import ProbeEntry
from controller import fields
from controller.roots.picture import Picture
from controller.roots.signs import signs_of_probe
from controller.supervisor.open_incident import OpenIncident
from model import events as ev
from model.diagnosis import Root
from model.errors import BcmError
from model.events import Event
from model.health import ProbeState
from model.ports import Clock, Journal

log = structlog.get_logger(__name__)

TICK_S: Final = 1.0
# Nodes of one site fall silent within seconds of each other: what a root is called first may not be the last.
SETTLE_S: Final = 2.0
# What was away for less has not been away.
OVER_S: Final = 10.0
# An incident that was opened so long before its root was seen has another one.
TOGETHER_S: Final = 30.0
_NAMED: Final = 8


@dataclass(frozen=True, slots=True)
class RootPorts:
    """picture, declared: of the estate in force. incident: of a service, if one is open."""

    clock: Clock
    journal: Journal
    page: Callable[..., object]
    leads: Callable[[], bool]
    picture: Callable[[], Picture]
    declared: Callable[[], Iterable[tuple[ProbeEntry, ProbeState]]]
    incident: Callable[[str], OpenIncident | None]
    boot_id: str


@dataclass(slots=True)
class _Lasting:
    """A root that is seen."""

    root: Root
    services: tuple[str, ...]
    since_s: float
    seen_s: float


@dataclass(slots=True)
class RootDesk:
    """`run` as a task; `lasting` for whoever shows it."""

    ports: RootPorts
    _known: dict[str, _Lasting] = field(default_factory=dict)
    _linked: set[tuple[str, str]] = field(default_factory=set)
    _told: dict[str, str] = field(default_factory=dict)  # key → code, of those that are in the journal
    _read_seq: int = 0
    _began_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._began_s = self.ports.clock.monotonic_s()

    def lasting(self) -> Iterator[tuple[Root, tuple[str, ...]]]:
        """Roots that have settled, by their keys, with the services that suffer from each."""
        for key in sorted(self._known):
            known = self._known[key]
            if known.seen_s - known.since_s >= SETTLE_S:
                yield known.root, known.services

    async def run(self) -> None:
        """Until cancelled."""
        failing = ""
        while True:
            await self.ports.clock.sleep(TICK_S)
            try:
                await self.turn()
            except BcmError as error:
                log.warning("roots of outages", error=str(error))
            except Exception as error:
                if repr(error) != failing:
                    failing = repr(error)
                    log.exception("roots of outages can't be judged")

    async def turn(self) -> None:
        """One look, and what follows from it. Raises JournalError; the next turn takes it up."""
        now_s = self.ports.clock.monotonic_s()
        self._look(now_s)
        for key in [key for key, known in self._known.items() if now_s - known.seen_s >= OVER_S]:
            del self._known[key]
        if not self.ports.leads():
            return
        self._read()
        for known in self._known.values():
            if known.seen_s - known.since_s >= SETTLE_S:
                await self._tell(known)
                await self._link(known)
        if now_s - self._began_s < OVER_S:
            return  # after a start nothing is seen yet of what the process before this one has told
        for key in sorted(set(self._told) - set(self._known)):
            await self._over(key)

    def _look(self, now_s: float) -> None:
        picture = self.ports.picture()
        for entry, state in self.ports.declared():
            picture.note_probe(signs_of_probe(entry.name, state), now_s)
        for root, services in picture.consequences():
            known = self._known.setdefault(root.key, _Lasting(root, services, now_s, now_s))
            known.root, known.services, known.seen_s = root, services, now_s

    def _read(self) -> None:
        """What others, or we before a restart, have written since the last look."""
        types = (ev.ROOT_FOUND, ev.ROOT_OVER, ev.INCIDENT_CONSEQUENCE)
        for event in self.ports.journal.events(since_seq=self._read_seq, types=types):
            self._read_seq = event.seq
            self._apply(event)

    def _apply(self, event: Event) -> None:
        data = event.data
        if event.type == ev.INCIDENT_CONSEQUENCE:
            self._linked.add((event.incident or "", fields.text(data, "service")))
        elif event.type == ev.ROOT_OVER:
            self._told.pop(fields.text(data, "key"), None)
        else:
            root = fields.mapping(data, "root")
            self._told[fields.text(root, "key")] = fields.text(root, "code")

    async def _tell(self, known: _Lasting) -> None:
        """When it is new, or another thing than it was: isolated is not down."""
        root, services = known.root, known.services
        if self._told.get(root.key) == root.code:
            return
        data = {"root": root.to_json(), "services": list(services)}
        await self.ports.journal.append(ev.ROOT_FOUND, data)
        self._told[root.key] = root.code
        if root.key.startswith("service/"):  # its own incident tells of it
            return
        out = any(self.ports.picture().out(service) for service in services)
        shown = ", ".join(services[:_NAMED])
        more = f" and {len(services) - _NAMED} more" if len(services) > _NAMED else ""
        self.ports.page(
            "page" if out else "warning",
            f"{root.key}: {root.info.sentence} Services: {shown}{more}",
            detail="; ".join(e.text if e.supports else f"against it: {e.text}" for e in root.evidence),
        )

    async def _over(self, key: str) -> None:
        await self.ports.journal.append(ev.ROOT_OVER, {"key": key})
        self._told.pop(key, None)
        if not key.startswith("service/"):
            self.ports.page("info", f"{key} is over")

    async def _link(self, known: _Lasting) -> None:
        """The incident of the service below, or the first one of those that suffer, leads; the others are its
        consequences. Each is linked once: what a person takes apart stays apart."""
        lead = self._lead(known)
        if lead is None:
            return
        service, incident = lead
        for other in known.services:
            if other == service or (incident.id, other) in self._linked:
                continue
            own = self._of_now(other, known)
            event = await self.ports.journal.append(
                ev.INCIDENT_CONSEQUENCE,
                {
                    "service": other,
                    "part": None if own is None else own.id,
                    "code": "" if own is None else own.code,
                    "root": known.root.key,
                },
                service=service,
                incident=incident.id,
            )
            self._apply(event)

    def _lead(self, known: _Lasting) -> tuple[str, OpenIncident] | None:
        kind, _, name = known.root.key.partition("/")
        services = (name,) if kind == "service" else known.services
        found = [(s, i) for s in services if (i := self._of_now(s, known)) is not None]
        return min(found, key=lambda pair: pair[1].opened_seq, default=None)

    def _of_now(self, service: str, known: _Lasting) -> OpenIncident | None:
        """Its open incident, if that began with the root and not before. It may be recovered already: a
        failover takes less time than it takes to be sure of the root."""
        incident = self.ports.incident(service)
        if incident is None or incident.manual or incident.boot_id != self.ports.boot_id:
            return None
        return incident if incident.opened_ns / 1e9 >= known.since_s - TOGETHER_S else None
