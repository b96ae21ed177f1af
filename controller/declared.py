"""The probes that the estate declares: made, folded by counts, and known by what they tell about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from config.probes import ProbeEntry
from config.schema import Estate, Service
from controller.detect import age
from controller.detect_count import fold_count
from controller.roots.topology import CLIENT_SIDE
from controller.supervisor.probing import Watch
from controller.views import DeclaredView
from model.health import ProbeState
from model.observation import Observation
from model.ports import Clock, Heartbeats, NodeAccess, Secrets
from probes.base import ProbePorts
from probes.registry import load_probe_type

PREFIX = "probe/"


def subjects_of(service: Service, estate: Estate) -> list[str]:
    """All that a declared probe may tell about and that concerns the service."""
    members = service.members.values()
    nodes = dict.fromkeys(member.node for member in members)
    sites = dict.fromkeys(estate.nodes[node].site for node in nodes)
    own = [f"service/{service.name}", *(f"service/{service.name}/{m.name}" for m in members)]
    return [*own, *(f"node/{n}" for n in nodes), *(f"site/{s}" for s in sites), "estate"]


class DeclaredProbes:
    """Mutable on purpose: touched from the loop only."""

    def __init__(
        self,
        estate: Estate,
        clock: Clock,
        secrets: Secrets,
        nodes: Mapping[str, NodeAccess],
        heartbeats: Heartbeats | None = None,
    ) -> None:
        self._entries = dict(estate.probes)
        self._clock = clock
        self._secrets = secrets
        self._nodes = nodes
        self._heartbeats = heartbeats
        self._states: dict[str, ProbeState] = {}
        self._by_service: dict[str, list[ProbeEntry]] = {}
        for entry in self._entries.values():
            if entry.service is not None:
                self._by_service.setdefault(entry.service, []).append(entry)
        self._endpoints = {
            service: [e for e in entries if e.member is None and e.type in CLIENT_SIDE]
            for service, entries in self._by_service.items()
        }

    def entry(self, name: str) -> ProbeEntry:
        """Raises KeyError."""
        return self._entries[name]

    def watches(self) -> Iterator[tuple[Watch, ProbeEntry]]:
        """Fresh probes for all that is declared. Raises UsageError for options that can't be used here, such
        as a file of certificates that can't be read."""
        for name, entry in self._entries.items():
            yield self.watch(name), entry

    def watch(self, name: str) -> Watch:
        """A fresh probe, of its own. Raises KeyError, UsageError."""
        entry = self._entries[name]
        kind = load_probe_type(entry.type)
        node = self._nodes.get(entry.node) if entry.node else None
        ports = ProbePorts(self._clock, self._secrets, node, self._heartbeats)
        probe = kind(entry.target, kind.Options.model_validate(entry.options), ports)
        return Watch(entry.target, entry.type, probe, entry.interval)

    def observe(self, seen: Observation) -> None:
        name = seen.target.removeprefix(PREFIX)
        entry = self._entries.get(name)
        if entry is not None:
            state = self._states.get(name, ProbeState(seen.target, seen.probe))
            self._states[name] = fold_count(state, seen, entry.fall, entry.rise)

    def known(self) -> list[tuple[ProbeEntry, ProbeState | None]]:
        """As it was seen last, not aged, in the order of the estate; None where nothing was seen yet."""
        return [(entry, self._states.get(name)) for name, entry in self._entries.items()]

    def endpoint(self, service: str) -> Mapping[str, ProbeState]:
        """Probes that look at the service as its clients do; asked in each of its turns."""
        entries = self._endpoints.get(service)
        if not entries:
            return {}
        now_s = self._clock.monotonic_s()
        known = [(entry, self._states.get(entry.name)) for entry in entries]
        return {entry.name: age(state, now_s, entry.profile) for entry, state in known if state is not None}

    def states(self) -> Mapping[str, ProbeState]:
        """Name → what is known now; what is stale is unknown."""
        now_s = self._clock.monotonic_s()
        blank = {name: ProbeState(entry.target, entry.type) for name, entry in self._entries.items()}
        return {
            name: age(self._states.get(name, blank[name]), now_s, entry.profile)
            for name, entry in self._entries.items()
        }

    def folded(self) -> Iterator[tuple[ProbeEntry, ProbeState]]:
        """Those that were observed, as they were folded: for whoever judges the age of a reading himself, and
        may pause between two."""
        for name, state in list(self._states.items()):
            yield self._entries[name], state

    def all(self) -> Iterator[tuple[ProbeEntry, ProbeState]]:
        """In the order of the estate."""
        for name, state in self.states().items():
            yield self._entries[name], state

    def of_service(self, service: str) -> tuple[DeclaredView, ...]:
        """Those that tell about a service or one of its members, in the order of the estate."""
        now_s, found = self._clock.monotonic_s(), []
        for entry in self._by_service.get(service, ()):
            state = self._states.get(entry.name) or ProbeState(entry.target, entry.type)
            layer = load_probe_type(entry.type).layer
            found.append(DeclaredView(entry.name, layer, age(state, now_s, entry.profile)))
        return tuple(found)

    def about(self, *subjects: str) -> Iterator[tuple[ProbeEntry, ProbeState]]:
        """Those that tell about one of the subjects: `service/orders`, `service/orders/pg1`, `node/db1`…"""
        for entry, state in self.all():
            if entry.about in subjects:
                yield entry, state
