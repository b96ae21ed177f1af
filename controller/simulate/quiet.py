"""Quiet stretches are jumped: once nothing but time would pass, it passes at once.

A scene is *at rest* when all that it does is to repeat itself: every probe is answered well, as it was
before, and nothing that is under way began before that was so; every standby streams and keeps up; no other
observer watches; every client is connected and writes; the one controller leads and has nothing open, nothing
to repair and nothing to say. From such a state on, until something comes that comes only once (a fault, a
healing, any timer without a rhythm), what happens is known:

- Probes and clients act at moments that are fixed from the start (`Slots`), and not so long after the last
  time; the delays of their packets depend on the moment alone (`Chance.quick`). So what happens at a moment
  does not depend on whether what came before it was played or left out.
- Each write is acknowledged and copied before the next: the log grows by one record for each.
- Each attempt succeeds, and detection's memory of it is that of a success.
- A turn of the supervisor finds nothing to do and writes nothing but the high water (P3); the jump ends
  before that is due.
- What looks at a clock compares moments, and none of them is moved: later is later.

For a jump nothing new begins for a moment (`DRAIN_S`), while what is under way ends: then nothing is on its
way. The jump counts what is left out, adds it up, and lands early enough before what comes next that every
probe has looked anew, at the same moments and with the same answers as if nothing had been left out; until
then nobody judges. It lands where a round of `probes.awareness` ends, so that the next is a whole one. The
journal is the same, byte for byte (tests/simulate/test_quiet.py; docs/decisions/0017).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Final

from controller.flapping import KEPT, flaps, remember
from controller.news import same_facts
from controller.simulate.controller import KEPT_S, Controller
from controller.simulate.probers import CanaryProber
from controller.simulate.wal import Write
from controller.simulate.watcher import ROUND
from controller.supervisor.supervisor import Supervisor
from controller.supervisor.ticks import is_calm
from controller.views import CANARY
from model.health import Health, ProbeState, Profile
from probes.scheduler_timing import JITTER

if TYPE_CHECKING:
    from controller.simulate.scene import Scene

# Less is not worth a jump.
SHORTEST_S: Final = 1.0
# For an answer after the last probe has begun: far more than any calm one takes.
_ANSWER_S: Final = 0.1
# So often it is looked whether a scene has come to rest.
LOOK_S: Final = 0.1
# So long what is under way has to end: no calm attempt or write takes as long.
DRAIN_S: Final = 0.2
_TASKS_OF_A_SUPERVISOR: Final = 2


def run_until(scene: Scene, end_s: float, patience_s: float = inf) -> None:
    """Play the scene up to `end_s`, jumping what is quiet; or until it has not rested for `patience_s`."""
    timeline = scene.world.timeline
    rested_s = timeline.now_s
    since_s: float | None = None
    while timeline.now_s < end_s and timeline.now_s - rested_s < patience_s:
        worth_it = _worth_it(scene, end_s)
        if (worth_it or patience_s < inf) and at_rest(scene):
            since_s = timeline.now_s if since_s is None else max(since_s, scene.disturbed_s)
            jumped = worth_it and _begun_since(scene, since_s) and jump(scene, end_s)
            rested_s = timeline.now_s
        else:
            since_s, jumped = None, False
        if not jumped:
            timeline.run_until(min(end_s, timeline.now_s + LOOK_S))


def at_rest(scene: Scene) -> bool:
    """Does it only repeat itself? Something may be under way, of what is always under way now and then."""
    world = scene.world
    network = world.network
    if network.cut or network.slow_s or network.loss or scene.observers:
        return False
    alive = [c for c in scene.controllers if c.alive]
    if len(alive) != 1 or alive[0] is not scene.controller:
        return False
    if any(not h.up or h.paused for h in network.hosts.values()):
        return False
    if not all(c.calm for c in scene.clients) or not all(p.calm for p in scene.controller.probing.all()):
        return False
    servers = [s for service in world.estate.services for s in world.servers(service)]
    if not all(s.calm for s in servers) or not _controller_at_rest(scene.controller):
        return False
    tasks = scene.controller.loop.tasks
    return tasks == _TASKS_OF_A_SUPERVISOR * len(scene.controller.supervisors) and _known(scene.controller)


def jump(scene: Scene, end_s: float) -> bool:
    """Leave out what is quiet up to `end_s`, or to what comes before; True: done. The scene is at rest, and
    it is worth it.

    From now on nothing new begins; what is under way ends first.
    """
    world, controller = scene.world, scene.controller
    timeline = world.timeline
    from_s = timeline.now_s
    probers = controller.probing.all()
    for prober in probers:
        prober.pause()
    for client in scene.clients:
        client.pause()
    timeline.run_until(from_s + DRAIN_S)
    landing_s = _landing_s(scene, end_s) if _nothing_under_way(scene) and at_rest(scene) else None
    if landing_s is None:  # something came that was not foreseen
        scene.jumps_given_up += 1
    else:
        scene.jumped_s += landing_s - timeline.now_s
        timeline.jump(landing_s, landing_s + _seen_anew_s(controller))
    offset_s = controller.loop.offset_s
    attempts = {(p.watch.target, p.watch.type): p.go_on(from_s + offset_s) for p in probers}
    writes = Counter[str]()
    for client in scene.clients:
        writes[client.service] += client.go_on(from_s)
    if landing_s is not None:
        for name, supervisor in controller.supervisors.items():
            _grow(scene, name, supervisor, writes[name], attempts)
        _remember(controller, attempts)
    return landing_s is not None


# --- is it quiet?


def _begun_since(scene: Scene, since_s: float) -> bool:
    """Has all that is under way begun since then? What began before may still take long."""
    mono_s = since_s + scene.controller.loop.offset_s
    attempts = (a for p in scene.controller.probing.all() for a in p.watch.waiting)
    return all(a.started_s >= mono_s for a in attempts) and all(
        c.at_rest or c.began_s >= since_s for c in scene.clients
    )


def _controller_at_rest(controller: Controller) -> bool:
    loop = controller.loop
    if not controller.leads or loop.frozen or controller.probing.awareness.score:
        return False
    return all(_supervisor_at_rest(s) for s in controller.supervisors.values())


def _supervisor_at_rest(supervisor: Supervisor) -> bool:
    if not is_calm(supervisor) or supervisor.approvals.waiting() or supervisor.mark_due_s is None:
        return False
    knowledge = supervisor.knowledge
    return len(knowledge.settings.texts) == 1 and not knowledge.impostors.members


def _known(controller: Controller) -> bool:
    """Is everything seen as it is now? Else the next look is news."""
    states = {(s.target, s.probe): s for v in controller.supervisors.values() for s in v.knowledge.states()}
    states |= {(s.target, s.probe): s for s in controller.observer.states()}
    for prober in controller.probing.all():
        state = states.get((prober.watch.target, prober.watch.type))
        if state is None or state.last is None or not _good(state):
            return False
        if not same_facts(state.last.facts, prober.facts_now()):
            return False
    return True


def _good(state: ProbeState) -> bool:
    return state.health is Health.UP and state.first_bad_s is None and not state.slow


def _nothing_under_way(scene: Scene) -> bool:
    world, controller = scene.world, scene.controller
    # What is under way most of the time is looked at first: this is asked after every event.
    if not all(c.at_rest for c in scene.clients) or not all(p.at_rest for p in controller.probing.all()):
        return False
    for service in world.estate.services:
        servers = world.servers(service)
        if len({s.flush_lsn for s in servers}) != 1 or not all(s.at_rest for s in servers):
            return False
    return True


def _worth_it(scene: Scene, end_s: float) -> bool:
    """Is there room for a take-off, a jump and a landing?"""
    least_s = SHORTEST_S + DRAIN_S + _seen_anew_s(scene.controller) + ROUND.every_s
    return _bound_s(scene, end_s) - scene.world.timeline.now_s >= least_s


def _landing_s(scene: Scene, end_s: float) -> float | None:
    """The last end of a round from which on everything is seen anew before what comes next."""
    controller, timeline = scene.controller, scene.world.timeline
    round_s, once_s = timeline.next_of(ROUND), timeline.next_once_s()
    if round_s is None:
        return None
    bound_s = min(_bound_s(scene, end_s), inf if once_s is None else once_s)
    left_s = bound_s - _seen_anew_s(controller) - round_s
    landing_s = round_s + left_s // ROUND.every_s * ROUND.every_s
    return landing_s if landing_s > timeline.now_s else None


def _bound_s(scene: Scene, end_s: float) -> float:
    """What is known beforehand to come."""
    marks = [s.mark_due_s for s in scene.controller.supervisors.values()]
    offset_s = scene.controller.loop.offset_s
    later_s = scene.world.timeline.next_once_s(scene.world.timeline.now_s + DRAIN_S)
    coming_s = min(end_s, scene.next_event_s(), inf if later_s is None else later_s)
    return min(coming_s, *(0.0 if due_s is None else due_s - offset_s for due_s in marks))


def _seen_anew_s(controller: Controller) -> float:
    """So long after a landing every probe has looked again, and what an incident freezes is whole again."""
    slowest_s = max(p.watch.pace.interval_s for p in controller.probing.all())
    return max(slowest_s * (1 + JITTER), KEPT_S) + _ANSWER_S


# --- what has come of it


def _grow(
    scene: Scene, service: str, supervisor: Supervisor, writes: int, attempts: Mapping[tuple[str, str], int]
) -> None:
    """The log, by what clients wrote and by the canaries."""
    world = scene.world
    primary = next(s for s in world.servers(service) if not s.in_recovery)
    prober = scene.controller.probing.of(f"{service}/{primary.name}", CANARY)
    canaries = attempts.get((f"{service}/{primary.name}", CANARY), 0)
    for server in world.servers(service):
        server.grown(writes + canaries)
    if isinstance(prober, CanaryProber):
        positions, numbers = primary.branch.canaries
        positions.append(primary.flush_lsn)
        numbers.append(prober.acknowledged)
        supervisor.knowledge.last_acked_canary = prober.acknowledged
    write = Write(primary.branch, primary.flush_lsn, "client", 0, "left out")
    world.audit.passed(service, write, writes + canaries)


def _remember(controller: Controller, attempts: Mapping[tuple[str, str], int]) -> None:
    """What detection remembers of every probe. One that has ended, as the canary's on a former primary, is
    remembered as it was."""
    now_s = controller.loop.time()
    for supervisor in controller.supervisors.values():
        profile = supervisor.service.detection
        for state in supervisor.knowledge.states():
            left_out = attempts.get((state.target, state.probe))
            if left_out is not None:
                supervisor.knowledge.recall(_later(state, left_out, now_s, profile))
    for state in controller.observer.states():
        left_out = attempts[state.target, state.probe]
        controller.observer.recall(_later(state, left_out, now_s, controller.profile))


def _later(state: ProbeState, attempts: int, now_s: float, profile: Profile) -> ProbeState:
    """What detection remembers after so many more successes, the last of them so long ago that the next one
    counts."""
    verdicts, flapping = state.verdicts, state.flapping
    for _ in range(min(attempts, KEPT)):
        verdicts = remember(verdicts, up=True)
        flapping = flaps(verdicts, flapped=flapping)
    return replace(
        state,
        successes=state.successes + attempts,
        verdicts=verdicts,
        flapping=flapping,
        sampled_s=now_s - profile.interval_s,
    )
