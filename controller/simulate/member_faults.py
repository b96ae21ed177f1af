"""What can go wrong with a server of a member, or is done to it by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from controller.simulate.audit import answers
from controller.simulate.network import Heal
from controller.simulate.network_faults import host_down
from controller.simulate.postgres import CONNINFO, DISK_S, NAMES, ROOMY_BYTES, Postgres, Process
from controller.simulate.wal import FULL_BYTES, Branch

if TYPE_CHECKING:
    from controller.simulate.faults import FaultEvent
    from controller.simulate.scene import Scene

# Between two readings of the primary's settings, at the longest.
_READ_S: Final = 1.5


def crash(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    scene.member(target).crash()
    return None


def backend_killed(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    """The postmaster lives, ends everybody and recovers (P13)."""
    server = scene.member(target)
    if server.process is Process.UP:
        in_place, server.restarts_in_place = server.restarts_in_place, False
        server.crash()
        server.restarts_in_place = in_place
        server.start()
    return None


def freeze(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    server = scene.member(target)
    server.stopped_by_signal = True
    server.signals += 1
    last = server.signals
    life = server.life

    def heal() -> None:
        if server.life == life and server.signals == last:  # else somebody has stopped it again
            server.stopped_by_signal = False
            server.go_on()

    return heal


def postmaster_stopped(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    server = scene.member(target)
    server.postmaster_stopped = True

    def heal() -> None:
        server.postmaster_stopped = False
        server.went_on_s = scene.world.timeline.now_s

    return heal


def slow_disk(scene: Scene, target: str, event: FaultEvent) -> Heal | None:
    server = scene.member(target)
    server.disk_s = event.value

    def heal() -> None:
        server.disk_s = DISK_S

    return heal


def full_disk(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    server = scene.member(target)
    server.free_bytes = FULL_BYTES

    def heal() -> None:
        server.free_bytes = ROOMY_BYTES

    return heal


def restart(scene: Scene, target: str, event: FaultEvent) -> Heal | None:
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


def admin_stop(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    server = scene.member(target)
    server.masked = True
    server.stop()

    def heal() -> None:
        server.masked = False
        if not server.running:
            server.start()

    return heal


def start_fails(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    """It crashes, and does not start again."""
    server = scene.member(target)
    server.start_fails = True
    server.crash()

    def heal() -> None:
        server.start_fails = False

    return heal


def replay_paused(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    server = scene.member(target)
    if not server.in_recovery:
        return None
    server.standby.paused = True

    def heal() -> None:
        if server.standby.paused:
            server.standby.paused = False
            server.do(server.standby.unstick)

    return heal


def conflict(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    server = scene.member(target)
    if not server.in_recovery:
        return None
    server.standby.conflict = True

    def heal() -> None:
        if server.standby.conflict:
            server.standby.conflict = False
            server.do(server.standby.unstick)

    return heal


def loosened(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    """Somebody loosens the synchronous setting of the primary by hand: from two copies to one."""
    server = scene.member(target)
    before = server.conf.get(NAMES, "")
    if server.in_recovery or "ANY 2" not in before:
        return None
    server.conf[NAMES] = before.replace("ANY 2", "ANY 1")
    server.reload()
    scene.world.audit.loosened.add(server.service)
    _once_it_can_be_read(scene, server, 60)

    def heal() -> None:
        server.conf[NAMES] = before
        server.reload()

    return heal


def _once_it_can_be_read(scene: Scene, server: Postgres, tries: int) -> None:
    """Whoever could have read the setting by now is to know it (P2)."""
    world = scene.world

    def look() -> None:
        if answers(server, scene.controller.host.name, _READ_S):
            world.audit.loosened.discard(server.service)
        elif tries > 0:
            _once_it_can_be_read(scene, server, tries - 1)

    world.timeline.after(_READ_S, look)


def promoted_outside(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    """Another tool, or a person, promotes a standby: what is lost by that is not the product's doing."""
    server = scene.member(target)
    if server.in_recovery and server.process is Process.UP:
        scene.world.audit.overridden.add(server.service)
        scene.world.audit.promotion_by_others(server)
        server.standby.promote()
    return None


def comes_back_empty(scene: Scene, target: str, event: FaultEvent) -> Heal | None:
    """Its host dies, and comes back with a disk that somebody has replaced by another system's."""
    server = scene.member(target)
    heal_host = host_down(scene, server.host.name, event)

    def heal() -> None:
        server.destroyed = (server.branch, server.flush_lsn)
        server.branch = Branch("7999999999999999999", 1)
        server.flush_lsn = 4096
        server.conf = {}
        server.standby_signal = False
        if heal_host is not None:
            heal_host()

    return heal


def saturated(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    server = scene.member(target)
    server.full_connections = True

    def heal() -> None:
        server.full_connections = False

    return heal


def credentials(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    server = scene.member(target)
    server.refuses_monitor = True

    def heal() -> None:
        server.refuses_monitor = False

    return heal


def idle_kill(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    """A firewall closes connections that looked idle."""
    server = scene.member(target)
    for backend in list(server.backends.values()):
        if backend.waiting is None and backend.application == "bcm-failover:hold":
            server.drop_silently(backend)
    return None


def standby_astray(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    """Somebody empties a standby's primary_conninfo."""
    server = scene.member(target)
    if server.in_recovery and server.running:
        server.conf[CONNINFO] = ""
        server.reload()
        # From here on it is that person's doing, whoever had detached it before.
        scene.world.audit.detached.pop((server.service, server.name), None)
    return None
