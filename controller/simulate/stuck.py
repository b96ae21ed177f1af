"""Has a scene come to a standstill, so that waiting longer would show nothing new?

It has when nothing was journaled and nothing happened to a server for longer than any judgement takes, and
nobody waits for a moment that is still to come: no execution, no grace of a restart, no try to bring a member
back, no standby that looks for its upstream again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.simulate.postgres import Postgres, Process
from controller.supervisor.supervisor import Supervisor
from model import events as ev

if TYPE_CHECKING:
    from controller.simulate.scene import Scene

# What the product looks at in a judgement is at most this much older than its profile's silence.
_MARGIN_S = 1.5


class Standstill:
    """Looks at one scene again and again."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._seen: tuple[object, ...] = ()
        self._since_s = scene.world.timeline.now_s

    def look(self) -> bool:
        """Does it stand still now?"""
        scene = self._scene
        now_s = scene.world.timeline.now_s
        seen = self._state()
        if seen != self._seen or not scene.controller.leads or _expects(scene):
            self._seen, self._since_s = seen, now_s
            return False
        return now_s - self._since_s > _patience_s(scene)

    def _state(self) -> tuple[object, ...]:
        world = self._scene.world
        moved = sum(1 for e in world.store.all if e.type != ev.HIGH_WATER)
        servers = [s for name in world.estate.services for s in world.servers(name)]
        # Who was in trouble trusts itself again only after a while.
        scores = [p.observer.score for p in (self._scene.controller, *self._scene.observers)]
        return moved, len(world.audit.notes), *scores, *((s.process, s.standby.stream) for s in servers)


def _patience_s(scene: Scene) -> float:
    """Until whatever is not seen by now has been silent for long enough."""
    profiles = [s.detection for s in scene.world.estate.services.values()]
    return max(p.silence_s + 2 * p.interval_s for p in profiles) + _MARGIN_S


def _expects(scene: Scene) -> bool:
    if scene.controller.probing.awareness.score:
        return True  # it gets well again by and by
    if any(_supervisor_expects(s) for s in scene.controller.supervisors.values()):
        return True
    servers = [s for name in scene.world.estate.services for s in scene.world.servers(name)]
    return any(s.process in (Process.STARTING, Process.STOPPING) or _looks_for_upstream(s) for s in servers)


def _supervisor_expects(supervisor: Supervisor) -> bool:
    if supervisor.ledger.open_executions or supervisor.busy or supervisor.judged is None:
        return True
    diagnosis = supervisor.judged.diagnosis
    if not diagnosis.confirmed or diagnosis.code in ("PrimaryRestarting", "NotObservedYet"):
        return True
    return supervisor.mending.expects(supervisor.judged, supervisor.ledger)


def _looks_for_upstream(server: Postgres) -> bool:
    standby = server.standby
    if not server.in_recovery or not server.running or standby.stream is not None or standby.stuck:
        return False
    upstream = server.world.server_at(standby.followed) if standby.followed else None
    return upstream is not None and upstream.running and upstream.host.up and not upstream.frozen
