"""Which probes run: of members, nodes, reference targets, declared ones, and one canary per service, on its
primary."""

from __future__ import annotations

from collections.abc import Iterable

from config.probes import ProbeEntry
from config.schema import Service
from controller.engines import ENGINES
from controller.supervisor.member_probes import writes_on_primary
from controller.supervisor.probing import ProbeFactory, Watch
from model.health import Profile
from model.ports import NodeAccess
from probes.scheduler import Scheduler


class Watching:
    """Adds and removes probes; knows nothing of what they see."""

    def __init__(self, scheduler: Scheduler, factory: ProbeFactory, nodes: dict[str, NodeAccess]) -> None:
        self._scheduler = scheduler
        self._factory = factory
        self._nodes = nodes
        self._canary_on: dict[str, str] = {}
        self._hosts: list[tuple[str, str]] = []
        self._declared: list[tuple[str, str]] = []

    def watch_hosts(self, profile: Profile) -> None:
        """Nodes that are to be pinged, and what tells whether this host's own network works: as often as the
        service that is watched most closely, which must not be judged by an older view of this host."""
        for watch in (*self._factory.of_nodes(), *self._factory.of_references()):
            self._add(watch, profile)
            self._hosts.append((watch.target, watch.type))

    async def unwatch_hosts(self) -> None:
        while self._hosts:
            await self._scheduler.remove(*self._hosts.pop())

    def watch_declared(self, declared: Iterable[tuple[Watch, ProbeEntry]]) -> None:
        """Raises UsageError for one that can't be made here."""
        for watch, entry in declared:
            self._add(watch, entry.profile)
            self._declared.append((watch.target, watch.type))

    async def unwatch_declared(self) -> None:
        while self._declared:
            await self._scheduler.remove(*self._declared.pop())

    def watch_service(self, service: Service) -> None:
        for watch in self._factory.of_service(service, self._nodes):
            self._add(watch, service.detection)

    async def watch_primary(self, service: Service, primary: str | None) -> None:
        """Writes go to the primary and nowhere else."""
        before = self._canary_on.get(service.name)
        if before == primary:
            return
        if before is not None:
            del self._canary_on[service.name]
            await self._write(service, before, writes=False)
        if primary is not None and primary in service.members:
            self._canary_on[service.name] = primary
            await self._write(service, primary, writes=True)
            self._scheduler.suspect(f"{service.name}/{primary}")  # it may be another thing than it was

    async def _write(self, service: Service, name: str, *, writes: bool) -> None:
        """By a canary of its own, or by the member's own probe that is told so."""
        target, member = f"{service.name}/{name}", service.members[name]
        canary = self._factory.canary(service, member)
        if canary is not None and writes:
            self._add(canary, service.detection)
        elif canary is not None:
            await self._scheduler.remove(target, canary.type)
        elif writes_on_primary(service):
            own = self._factory.of_member(service, member, self._nodes.get(member.node), writes=writes)
            await self._scheduler.remove(target, own.type)
            self._add(own, service.detection)

    async def unwatch_service(self, service: Service) -> None:
        await self.watch_primary(service, None)
        probe = ENGINES[service.engine].probe
        for member in service.members if probe else ():
            await self._scheduler.remove(f"{service.name}/{member}", probe)

    def _add(self, watch: Watch, profile: Profile) -> None:
        self._scheduler.add(watch.target, watch.probe, profile, interval_s=watch.interval_s)
