"""What can go wrong with hosts, sites and the ways between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.simulate.network import Heal

if TYPE_CHECKING:
    from controller.simulate.faults import FaultEvent
    from controller.simulate.scene import Scene


def host_down(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    host = scene.world.network.hosts[target]
    servers = scene.world.servers_on(target)
    ran = [s for s in servers if s.running]
    host.up = False
    host.fate += 1
    host.parked.clear()
    for server in servers:
        server.crash(silent=True)

    def heal() -> None:
        host.up = True
        for server in ran:
            if not server.masked:
                server.start()  # as its host boots

    return heal


def host_paused(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    host = scene.world.network.hosts[target]
    host.paused = True

    def heal() -> None:
        if not host.paused:
            return
        host.paused = False
        parked, host.parked = list(host.parked), []
        for work in parked:
            host.do(work)
        for server in scene.world.servers_on(target):
            server.go_on()

    return heal


def _cut(group: list[str], others: list[str], scene: Scene, *, both: bool = True) -> Heal:
    return scene.world.network.cut_off(group, others, both=both)


def node_cut(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    return _cut([target], [h for h in scene.world.network.hosts if h != target], scene)


def node_deaf(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    """One way: it is heard, and hears nothing."""
    return _cut([h for h in scene.world.network.hosts if h != target], [target], scene, both=False)


def node_mute(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    return _cut([target], [h for h in scene.world.network.hosts if h != target], scene, both=False)


def ops_cut(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    """Only the way between the controllers' hosts and a node."""
    return _cut([target], [h for h in scene.world.network.hosts if h.startswith("ops-")], scene)


def replication_cut(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    """Only the ways between a node and the other nodes of members."""
    nodes = [n for n in scene.world.estate.nodes if n != target]
    return _cut([target], nodes, scene)


def clients_cut(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    return _cut([target], [h for h in scene.world.network.hosts if h.startswith("app-")], scene)


def site_cut(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    hosts = scene.world.network.hosts
    inside = [h.name for h in hosts.values() if h.site == target]
    return _cut(inside, [h for h in hosts if h not in inside], scene)


def site_down(scene: Scene, target: str, event: FaultEvent) -> Heal | None:
    nodes = [n.name for n in scene.world.estate.nodes.values() if n.site == target]
    heals = [host_down(scene, node, event) for node in nodes]
    heals.append(site_cut(scene, target, event))

    def heal() -> None:
        for one in reversed(heals):
            if one is not None:
                one()

    return heal


def link_cut(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    first, second = target.split(",")
    return _cut(_hosts_at(scene, first), _hosts_at(scene, second), scene)


def _hosts_at(scene: Scene, place: str) -> list[str]:
    """A node, all of a site, the host of one observer, `ops` (all controllers' hosts) or `clients`."""
    hosts = scene.world.network.hosts
    prefix = {"ops": "ops-", "clients": "app-"}.get(place)
    if prefix is not None:
        return [h for h in hosts if h.startswith(prefix)]
    observers = scene.world.estate.observers
    if place in observers:
        return [f"ops-{observers[place].site}"]
    inside = [h.name for h in hosts.values() if h.site == place]
    return [place] if place in scene.world.estate.nodes else inside


def slow_link(scene: Scene, target: str, event: FaultEvent) -> Heal | None:
    network = scene.world.network
    others = [h for h in network.hosts if h != target]
    ways = network.ways([target], others) + network.ways(others, [target])
    for way in ways:
        network.slow_s[way] = network.slow_s.get(way, 0.0) + event.value

    def heal() -> None:
        for way in ways:
            left_s = network.slow_s.pop(way) - event.value
            if left_s > 1e-6:
                network.slow_s[way] = left_s
            network.drained(way)

    return heal


def lossy_link(scene: Scene, target: str, event: FaultEvent) -> Heal | None:
    network = scene.world.network
    others = [h for h in network.hosts if h != target]
    ways = network.ways([target], others) + network.ways(others, [target])
    for way in ways:
        network.loss[way] = event.value

    def heal() -> None:
        for way in ways:
            network.loss.pop(way, None)
            network.drained(way)

    return heal
