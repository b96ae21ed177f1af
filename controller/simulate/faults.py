"""What can go wrong in the simulated world: each fault as one function, with its healing.

A fault is applied to a target (a member, a node, a site, a controller) and returns what heals it, or None
where nothing does but the product or a person.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from controller.simulate import observer_faults as eyes
from controller.simulate.network import Heal
from controller.simulate.postgres import CONNINFO, DISK_S, NAMES, ROOMY_BYTES, Postgres, Process
from controller.simulate.wal import FULL_BYTES, Branch

if TYPE_CHECKING:
    from controller.simulate.scene import Scene

Apply = Callable[["Scene", str, "FaultEvent"], Heal | None]


@dataclass(frozen=True, slots=True)
class FaultEvent:
    """One fault of a scenario. at_s: from its beginning. for_s: until it heals; 0: it does not by itself.
    value: what the kind of fault makes of it."""

    at_s: float
    fault: str
    target: str
    for_s: float = 0.0
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class Kind:
    """on: what its target is: `member`, `node`, `site`, `link` (two places: `A,B`), `controller`, `observer`.
    grave: it takes the primary away from its clients, if it hits the primary."""

    apply: Apply
    on: str
    grave: bool
    sentence: str


def _crash(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    scene.member(target).crash()
    return None


def _backend_killed(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    """The postmaster lives, ends everybody and recovers (P13)."""
    server = scene.member(target)
    if server.process is Process.UP:
        in_place, server.restarts_in_place = server.restarts_in_place, False
        server.crash()
        server.restarts_in_place = in_place
        server.start()
    return None


def _freeze(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    server = scene.member(target)
    server.stopped_by_signal = True
    life = server.life

    def heal() -> None:
        if server.life == life:
            server.stopped_by_signal = False
            server.go_on()

    return heal


def _postmaster_stopped(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    server = scene.member(target)
    server.postmaster_stopped = True

    def heal() -> None:
        server.postmaster_stopped = False

    return heal


def _host_down(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
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


def _host_paused(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
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


def _node_cut(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    return _cut([target], [h for h in scene.world.network.hosts if h != target], scene)


def _node_deaf(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    """One way: it is heard, and hears nothing."""
    return _cut([h for h in scene.world.network.hosts if h != target], [target], scene, both=False)


def _node_mute(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    return _cut([target], [h for h in scene.world.network.hosts if h != target], scene, both=False)


def _ops_cut(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    """Only the way between the controllers' hosts and a node."""
    return _cut([target], [h for h in scene.world.network.hosts if h.startswith("ops-")], scene)


def _replication_cut(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    """Only the ways between a node and the other nodes of members."""
    nodes = [n for n in scene.world.estate.nodes if n != target]
    return _cut([target], nodes, scene)


def _clients_cut(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    return _cut([target], [h for h in scene.world.network.hosts if h.startswith("app-")], scene)


def _site_cut(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    hosts = scene.world.network.hosts
    inside = [h.name for h in hosts.values() if h.site == target]
    return _cut(inside, [h for h in hosts if h not in inside], scene)


def _site_down(scene: Scene, target: str, event: FaultEvent) -> Heal | None:
    nodes = [n.name for n in scene.world.estate.nodes.values() if n.site == target]
    heals = [_host_down(scene, node, event) for node in nodes]
    heals.append(_site_cut(scene, target, event))

    def heal() -> None:
        for one in reversed(heals):
            if one is not None:
                one()

    return heal


def _controllers_blind(scene: Scene, _target: str, _event: FaultEvent) -> Heal | None:
    """The ops host's own network is out."""
    name = scene.controller.host.name
    return _cut([name], [h for h in scene.world.network.hosts if h != name], scene)


def _link_cut(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
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


def _slow_link(scene: Scene, target: str, event: FaultEvent) -> Heal | None:
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


def _lossy_link(scene: Scene, target: str, event: FaultEvent) -> Heal | None:
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


def _slow_disk(scene: Scene, target: str, event: FaultEvent) -> Heal | None:
    server = scene.member(target)
    server.disk_s = event.value

    def heal() -> None:
        server.disk_s = DISK_S

    return heal


def _full_disk(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    server = scene.member(target)
    server.free_bytes = FULL_BYTES

    def heal() -> None:
        server.free_bytes = ROOMY_BYTES

    return heal


def _restart(scene: Scene, target: str, event: FaultEvent) -> Heal | None:
    """By an operator: a fast stop, and started again after `value` seconds."""
    server = scene.member(target)
    if server.process is not Process.UP:
        return None
    server.stop()
    scene.world.timeline.after(max(event.value, 0.1), lambda: _start_once_down(scene, server, 2000))
    return None


def _start_once_down(scene: Scene, server: Postgres, tries: int) -> None:
    if not server.running:
        server.start()
    elif tries > 0:
        scene.world.timeline.after(0.05, lambda: _start_once_down(scene, server, tries - 1))


def _admin_stop(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    server = scene.member(target)
    server.masked = True
    server.stop()

    def heal() -> None:
        server.masked = False
        if not server.running:
            server.start()

    return heal


def _start_fails(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    """It crashes, and does not start again."""
    server = scene.member(target)
    server.start_fails = True
    server.crash()

    def heal() -> None:
        server.start_fails = False

    return heal


def _replay_paused(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    server = scene.member(target)
    if not server.in_recovery:
        return None
    server.standby.paused = True

    def heal() -> None:
        if server.standby.paused:
            server.standby.paused = False
            server.do(server.standby.unstick)

    return heal


def _conflict(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    server = scene.member(target)
    if not server.in_recovery:
        return None
    server.standby.conflict = True

    def heal() -> None:
        if server.standby.conflict:
            server.standby.conflict = False
            server.do(server.standby.unstick)

    return heal


def _loosened(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    """Somebody loosens the synchronous setting of the primary by hand: from two copies to one."""
    server = scene.member(target)
    before = server.conf.get(NAMES, "")
    if server.in_recovery or "ANY 2" not in before:
        return None
    server.conf[NAMES] = before.replace("ANY 2", "ANY 1")
    server.reload()

    def heal() -> None:
        server.conf[NAMES] = before
        server.reload()

    return heal


def _promoted_outside(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    """Another tool, or a person, promotes a standby: what is lost by that is not the product's doing."""
    server = scene.member(target)
    if server.in_recovery and server.process is Process.UP:
        scene.world.audit.overridden.add(server.service)
        scene.world.audit.promotion_by_others(server)
        server.standby.promote()
    return None


def _comes_back_empty(scene: Scene, target: str, event: FaultEvent) -> Heal | None:
    """Its host dies, and comes back with a disk that somebody has replaced by another system's."""
    server = scene.member(target)
    heal_host = _host_down(scene, server.host.name, event)

    def heal() -> None:
        server.branch = Branch("7999999999999999999", 1)
        server.flush_lsn = 4096
        server.conf = {}
        server.standby_signal = False
        if heal_host is not None:
            heal_host()

    return heal


def _saturated(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    server = scene.member(target)
    server.full_connections = True

    def heal() -> None:
        server.full_connections = False

    return heal


def _credentials(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    server = scene.member(target)
    server.refuses_monitor = True

    def heal() -> None:
        server.refuses_monitor = False

    return heal


def _idle_kill(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    """A firewall closes connections that looked idle."""
    server = scene.member(target)
    for backend in list(server.backends.values()):
        if backend.waiting is None and backend.application == "bcm-failover:hold":
            server.drop_silently(backend)
    return None


def _standby_astray(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    """Somebody empties a standby's primary_conninfo."""
    server = scene.member(target)
    if server.in_recovery and server.running:
        server.conf[CONNINFO] = ""
        server.reload()
    return None


def _controller_killed(scene: Scene, _target: str, event: FaultEvent) -> Heal | None:
    """kill -9; its service manager starts it again."""
    scene.kill_controller()
    scene.world.timeline.after(max(event.value, 0.1), scene.start_controller)
    return None


def _controller_frozen(scene: Scene, _target: str, _event: FaultEvent) -> Heal | None:
    controller = scene.controller
    controller.freeze()
    return controller.thaw


def _taken_over(scene: Scene, _target: str, _event: FaultEvent) -> Heal | None:
    """The controller freezes, another one takes the leadership, and then the first one wakes."""
    controller = scene.controller
    controller.freeze()
    scene.start_controller()

    def heal() -> None:
        controller.thaw()
        scene.stale.append(controller)

    return heal


def _wall_jump(scene: Scene, _target: str, event: FaultEvent) -> Heal | None:
    controller = scene.controller
    controller.clock.wall_offset_s += event.value

    def heal() -> None:
        controller.clock.wall_offset_s -= event.value

    return heal


def _journal_full(scene: Scene, _target: str, _event: FaultEvent) -> Heal | None:
    store = scene.world.store
    store.full = True

    def heal() -> None:
        store.full = False

    return heal


def _journal_slow(scene: Scene, _target: str, event: FaultEvent) -> Heal | None:
    store = scene.world.store
    store.slow_s = event.value

    def heal() -> None:
        store.slow_s = 0.0

    return heal


KINDS: Final[dict[str, Kind]] = {
    "crash": Kind(_crash, "member", True, "its processes are killed"),
    "backend-killed": Kind(_backend_killed, "member", False, "one backend is killed; the server recovers"),
    "freeze": Kind(_freeze, "member", True, "its processes stand still"),
    "postmaster-stopped": Kind(_postmaster_stopped, "member", False, "only its postmaster stands still"),
    "start-fails": Kind(_start_fails, "member", True, "it crashes and does not start again"),
    "restart": Kind(_restart, "member", False, "an operator restarts it"),
    "admin-stop": Kind(_admin_stop, "member", False, "an administrator stops it"),
    "slow-disk": Kind(_slow_disk, "member", False, "its disk is slow"),
    "full-disk": Kind(_full_disk, "member", True, "its disk is full"),
    "replay-paused": Kind(_replay_paused, "member", False, "replay is paused"),
    "conflict": Kind(_conflict, "member", False, "a session holds up replay"),
    "names-loosened": Kind(_loosened, "member", False, "the synchronous setting is loosened by hand"),
    "promoted-outside": Kind(_promoted_outside, "member", True, "somebody else promotes it"),
    "comes-back-empty": Kind(
        _comes_back_empty, "member", True, "its host dies and comes back with other data"
    ),
    "saturated": Kind(_saturated, "member", False, "it has no connection left"),
    "credentials": Kind(_credentials, "member", False, "it refuses the monitor's password"),
    "idle-kill": Kind(_idle_kill, "member", False, "a firewall closes idle connections"),
    "astray": Kind(_standby_astray, "member", False, "somebody empties its primary_conninfo"),
    "host-down": Kind(_host_down, "node", True, "its host loses power"),
    "host-paused": Kind(_host_paused, "node", True, "its host stands still"),
    "node-cut": Kind(_node_cut, "node", True, "its host is cut off"),
    "node-deaf": Kind(_node_deaf, "node", True, "its host hears nothing"),
    "node-mute": Kind(_node_mute, "node", True, "its host is not heard"),
    "ops-cut": Kind(_ops_cut, "node", False, "the controllers can't reach its host"),
    "replication-cut": Kind(_replication_cut, "node", False, "its host is cut off from the other members"),
    "clients-cut": Kind(_clients_cut, "node", False, "its host is cut off from the clients"),
    "slow-link": Kind(_slow_link, "node", False, "its link is slow"),
    "lossy-link": Kind(_lossy_link, "node", False, "its link loses packets"),
    "link-cut": Kind(_link_cut, "link", True, "the way between them is cut"),
    "site-cut": Kind(_site_cut, "site", True, "the site is cut off"),
    "site-down": Kind(_site_down, "site", True, "the site is lost"),
    "controller-blind": Kind(_controllers_blind, "controller", False, "the controller's own network is out"),
    "controller-killed": Kind(_controller_killed, "controller", False, "the controller is killed"),
    "controller-frozen": Kind(_controller_frozen, "controller", False, "the controller stands still"),
    "taken-over": Kind(_taken_over, "controller", False, "another controller takes over from a frozen one"),
    "wall-jump": Kind(_wall_jump, "controller", False, "the clock on the wall jumps"),
    "journal-full": Kind(_journal_full, "controller", False, "the journal's disk is full"),
    "journal-slow": Kind(_journal_slow, "controller", False, "the journal's disk is slow"),
    "observer-blind": Kind(eyes.observer_blind, "observer", False, "the observer's own network is out"),
    "observer-frozen": Kind(eyes.observer_frozen, "observer", False, "the observer stands still"),
    "observer-killed": Kind(eyes.observer_killed, "observer", False, "the observer is killed"),
}
