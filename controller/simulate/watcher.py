"""A process on a host that probes all of an estate: every simulated controller, be it that it only observes.

It can be killed, frozen and thawed.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from controller.observer import PREFIX, ObserverHealth
from controller.simulate.loop import VirtualLoop
from controller.simulate.network import Host
from controller.simulate.probers import PingProber, PostgresProber
from controller.simulate.probing import Probing
from controller.simulate.timeline import Rhythm
from controller.supervisor.probing import ICMP, TCP
from model.observation import Observation
from probes.awareness import ROUND_S

if TYPE_CHECKING:
    from controller.simulate.world import World

# The rounds of `probes.awareness`.
ROUND: Final = Rhythm(ROUND_S)


class Watcher(abc.ABC):
    """uptime_s: what its monotonic clock shows more than the world's time."""

    def __init__(self, world: World, host: Host, name: str, uptime_s: float) -> None:
        self._world = world
        self.host = host
        world.observers.add(host.name)
        self.name = name
        self.estate = world.estate
        self.loop = VirtualLoop(world.timeline, uptime_s)  # type: ignore[abstract]
        self.probing = Probing(world, self.loop, host, name, self._observed)
        self.profile = min((s.detection for s in self.estate.services.values()), key=lambda p: p.interval_s)
        self.observer = ObserverHealth(
            self.estate.daemon.reference_targets, self.profile, awareness=self.probing.awareness
        )
        self._frozen_s: float | None = None

    @abc.abstractmethod
    def _observed(self, seen: Observation) -> None:
        """A probe has a reading."""

    def _watch(self) -> None:
        """Probe every member, every host that is pinged, and the reference targets."""
        for service in self.estate.services.values():
            for member in service.members.values():
                server = self._world.server(service.name, member.name)
                target = f"{service.name}/{member.name}"
                self.probing.add(PostgresProber(self.probing, target, service.detection, server))
        for node in self.estate.nodes.values():
            if node.ping:
                host = self._world.network.hosts[node.name]
                self.probing.add(PingProber(self.probing, f"node/{node.name}", ICMP, self.profile, host))
        for address in self.estate.daemon.reference_targets:
            host = self._world.network.hosts[address.rpartition(":")[0]]
            self.probing.add(PingProber(self.probing, f"{PREFIX}{address}", TCP, self.profile, host))
        self._round(self.loop.time(), self.probing.late_s)

    def _round(self, began_s: float, late_s: float) -> None:
        def end() -> None:
            now_s = self.loop.time()
            late_by_s = self.probing.late_s - late_s
            self.probing.awareness.end_round(now_s - began_s, late_by_s, awaited=True)
            self._round(now_s, self.probing.late_s)

        self.probing.at(began_s + ROUND_S, end, ROUND)

    # --- life

    @property
    def alive(self) -> bool:
        return not self.loop.dead

    def kill(self, *, silent: bool = False) -> None:
        """kill -9: its sockets are shut by the kernel. silent: with its host."""
        self.loop.kill()
        if silent:
            return
        network = self._world.network
        for service in self.estate.services:
            for server in self._world.servers(service):
                for backend in list(server.backends.values()):
                    if backend.owner is self.loop:
                        network.send(self.host.name, server.host.name, _goodbye(server, backend.pid))

    def freeze(self) -> None:
        """SIGSTOP."""
        if not self.loop.frozen:
            self.loop.frozen = True
            self._frozen_s = self._world.timeline.now_s

    def thaw(self) -> None:
        if self._frozen_s is not None:
            self.probing.late_s += self._world.timeline.now_s - self._frozen_s
            self._frozen_s = None
            self.loop.thaw()


def _goodbye(server: Any, pid: int) -> Callable[[], None]:
    return lambda: server.do(lambda: server.client_gone(pid))
