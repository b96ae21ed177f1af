"""Plays a scenario to its end, and judges what became of it: settled, held for a reason, or wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from config.postgresql import PostgresqlService, of_postgresql
from controller.simulate import quiet
from controller.simulate.audit import Violation, answers, can_confirm
from controller.simulate.eyewitnesses import majority_can_see
from controller.simulate.faults import KINDS
from controller.simulate.postgres import NAMES, READ_ONLY, Postgres, Process
from controller.simulate.replication import parsed
from controller.simulate.scene import Scenario, Scene
from controller.simulate.stuck import Standstill
from controller.simulate.wal import FULL_BYTES
from controller.supervisor.supervisor import Supervisor
from controller.views import PG
from model import events as ev
from model.quorum import meant_names

# After the last fault has healed the product gets so long; then a person does what only a person may.
BY_ITSELF_S: Final = 25.0
# A person comes back when it was not enough: somebody's shutdown may wait a minute for a dead standby.
VISITS: Final = 4
BETWEEN_VISITS_S: Final = 25.0
_LOOK_S: Final = 0.5
# An answer from before may come in a moment after.
_ON_ITS_WAY_S: Final = 0.5
# Who has answered for so long is not lost.
_ANSWERED_S: Final = 5.0


@dataclass(slots=True)
class Ending:
    """What came of a scenario. held: gates and codes that a hold rested on, where the product had to leave it
    to a person."""

    seed: str
    faults: int
    seconds: float
    violations: list[Violation] = field(default_factory=list)
    settled: bool = False
    recovered: bool = False
    failovers: int = 0
    false_failovers: int = 0
    missed_failovers: int = 0
    lost: int = 0
    acked: int = 0
    held: str = ""


def play(scenario: Scenario) -> tuple[Ending, Scene]:
    scene = Scene(scenario)
    return play_out(scene), scene


def play_out(scene: Scene) -> Ending:
    """From its beginning to its end, with what a person has to do for it."""
    world, scenario = scene.world, scene.scenario
    scene.plan(scenario.events)
    last_s = max((e.at_s + e.for_s for e in scenario.events), default=0.0)
    quiet.run_until(scene, last_s + 0.5)
    until_settled(scene, last_s + BY_ITSELF_S)
    ending = Ending(scenario.seed, len(scenario.events), 0.0)
    if not settled(scene):
        _judge_hold(scene, ending)
        for _visit in range(VISITS):
            if not settled(scene) and not _excused(scene):
                person_helps(scene)
                until_settled(scene, world.timeline.now_s + BETWEEN_VISITS_S)
    _judge(scene, ending)
    return ending


def until_settled(scene: Scene, end_s: float) -> None:
    """Or until it stands still without being so, or to the end."""
    timeline = scene.world.timeline
    standstill = Standstill(scene)
    while timeline.now_s < end_s:
        timeline.run_until(min(timeline.now_s + _LOOK_S, end_s))
        if settled(scene) or standstill.look():
            return


def settled(scene: Scene) -> bool:
    """Everything works, with redundancy, and the product knows it."""
    controller = scene.controller
    if not controller.leads:
        return False
    for name, supervisor in controller.supervisors.items():
        ledger = supervisor.ledger
        if ledger.incident is not None or ledger.open_executions or supervisor.busy:
            return False
        if supervisor.judged is None or supervisor.judged.diagnosis.code != "Healthy":
            return False
        primary = ledger.primary
        if primary is None or not _serves(scene.world.server(name, primary)):
            return False
        service = of_postgresql(scene.world.estate.services[name])
        if ledger.retired or any(not _follows(s, primary, service) for s in scene.world.servers(name)):
            return False
    now_s = scene.world.timeline.now_s
    return all(now_s - client.last_acked_s < 1.0 for client in scene.clients)


def _serves(server: Postgres) -> bool:
    return server.writable and can_confirm(server)


def _follows(server: Postgres, primary: str, service: PostgresqlService) -> bool:
    """One that has to confirm writes streams from the primary itself; others may cascade."""
    if server.name == primary:
        return True
    stream = server.standby.stream
    if stream is None or stream not in stream.upstream.senders:
        return False
    if stream.upstream.name == primary:
        return True
    plan = parsed(service.postgresql.synchronous_standby_names)
    home = [m.application_name for m in service.members.values() if m.role == "primary"]
    meant = meant_names(plan, home, service.members[primary].application_name)
    return server.application_name not in meant and _follows(stream.upstream, primary, service)


# --- a person


def person_helps(scene: Scene) -> None:
    """What an operator does in the end: mends what only hands can mend, acknowledges, approves."""
    world = scene.world
    world.audit.note("a person looks after it")
    for host in world.network.hosts.values():
        if not host.up:
            host.up = True
    for (a, b), count in list(world.network.cut.items()):
        for _ in range(count):
            world.network.mend_way(a, b)
    for service in world.estate.services:
        for server in world.servers(service):
            server.free_bytes = max(server.free_bytes, 40 << 30)
            server.start_fails = False
            server.kept_copy = None
            if _is_old_side(server):
                server.stop()  # and stays so, until the product brings it back
                continue
            supervisor = scene.controller.supervisors[service]
            if not server.running and not (supervisor.busy and server.name in supervisor.ledger.retired):
                server.masked = False
                server.start()
    controller = scene.controller
    for supervisor in controller.supervisors.values():
        _unfence(scene, supervisor)
        controller.loop.start(_acknowledge(supervisor), "person")


def _is_old_side(server: Postgres) -> bool:
    """Of two primaries that which the other's history has left behind; it may be stopped already."""
    others = [s for s in server.world.servers(server.service) if s is not server]
    rivals = [
        s for s in others if s.running and not s.in_recovery and s.branch.system == server.branch.system
    ]
    primary = not (server.in_recovery if server.running else server.standby_signal)
    return primary and any(s.branch.number > server.branch.number for s in rivals)


def _unfence(scene: Scene, supervisor: Supervisor) -> None:
    """A failover that fenced the primary and then lost its candidate: the primary is all there is."""
    servers = scene.world.servers(supervisor.service.name)
    primaries = [s for s in servers if s.running and not s.in_recovery]
    if len(primaries) == 1 and primaries[0].name == supervisor.ledger.primary and not supervisor.busy:
        for settings in (primaries[0].conf, primaries[0].live):
            settings.pop(READ_ONLY, None)


async def _acknowledge(supervisor: Supervisor) -> None:
    if supervisor.ledger.blocked is not None:
        await supervisor.append(ev.SERVICE_UNBLOCKED, {"reason": "looked at"}, actor="wang")
    for approval, _state in supervisor.approvals.waiting():
        await supervisor.approvals.give(approval.id, "wang")
    supervisor.wake()


# --- judging


def excuse(scene: Scene, service: str) -> str | None:
    """Why redundancy may be missing in the end, though a person has helped; None: it may not be."""
    declared = scene.world.estate.services[service]
    if service in scene.world.audit.overridden:
        return "somebody else made another member primary"
    if declared.mode.value == "observe":
        return "mode is observe"
    if not scene.world.traits.access:
        return "no node access: members are brought back by hand"
    system = scene.world.system_of(service)
    strange = any(s.branch.system != system for s in scene.world.servers(service))
    return "a member holds another system's data" if strange else None


def _excused(scene: Scene) -> bool:
    return all(excuse(scene, name) for name in scene.controller.supervisors)


def _judge_hold(scene: Scene, ending: Ending) -> None:
    """It did not settle by itself: was it right to leave it?"""
    for name, supervisor in scene.controller.supervisors.items():
        service = of_postgresql(scene.world.estate.services[name])
        judged = supervisor.judged
        code = judged.diagnosis.code if judged is not None else "none"
        stopped = judged.decision.stopped_by if judged is not None else None
        ending.held = f"{code}/{stopped}"
        if service.mode.value == "act" and _could_have(scene, service, supervisor):
            ending.missed_failovers += 1


# Its postmaster answers, again and again: never taken for dead (P13).
_LIVES: Final = frozenset({"PrimaryNotReady", "PrimaryRestarting"})


def _could_have(scene: Scene, service: PostgresqlService, supervisor: Supervisor) -> bool:
    """Is the service out, though a failover was provable and nothing forbids it?"""
    ledger = supervisor.ledger
    if ledger.blocked is not None or ledger.open_executions or not scene.controller.leads:
        return False
    if ledger.primary is None or ledger.split:
        return False
    world = scene.world
    servers = world.servers(service.name)
    if any(_serves(s) for s in servers):
        return False
    judged = supervisor.judged
    if judged is not None and judged.diagnosis.code in _LIVES:
        return False
    if judged is not None and any(g.name == "mode" and not g.passed for g in judged.decision.gates):
        return False  # refused as it is configured or seen, as with two receivers under one name (P1)
    old = world.server(service.name, ledger.primary)
    if old.masked or service.objectives.rpo > 0:
        return False  # an administrator's stop is held; asynchronous services need a fence
    known = supervisor.knowledge.state(old.name, PG)
    heard_s = known.last_good_s if known is not None and known.last_good_s is not None else 0.0
    if scene.controller.loop.time() - world.timeline.now_s + old.stopped_s >= heard_s - _ON_ITS_WAY_S:
        return False  # the last that was heard of it: an administrator stops it
    names = old.live.get(NAMES) or old.conf.get(NAMES, "")
    setting = parsed(names) if names else None
    if setting is None or not setting.synchronous:
        return False
    ops = scene.controller.host.name
    if answers(old, ops, _ANSWERED_S):
        return False  # it is there: its writes wait for a standby, and who is detached is attached again
    readable = [
        s
        for s in servers
        if s is not old
        and s.process is Process.UP
        and s.host.up
        and not s.frozen
        and s.in_recovery
        and not s.standby.stuck
        and not s.postmaster_stopped
        and not s.refuses_monitor
        and world.network.open(ops, s.host.name)
        and world.network.open(s.host.name, ops)
        and s.branch.system == old.branch.system
    ]
    returning = supervisor.case.returning(supervisor.surroundings(), scene.controller.loop.time())
    wanted = {n.lower() for n in setting.names}
    named = [s for s in readable if s.application_name.lower() in wanted]
    fit = [
        s
        for s in readable
        if not service.members[s.name].excluded
        and s.name not in returning  # a person is asked
        and service.members[s.name].role.value != "dr"
        and s.free_bytes > FULL_BYTES
    ]
    provable = len(named) >= setting.readable_needed and bool(fit)
    comparable = len({s.branch for s in readable}) == 1
    return provable and comparable and majority_can_see(scene, old)


def _judge(scene: Scene, ending: Ending) -> None:
    world = scene.world
    audit = world.audit
    ending.seconds = world.timeline.now_s
    ending.settled = settled(scene)
    for controller in scene.controllers:
        for error in controller.loop.errors:
            audit.broken("internal", f"{error.get('message')}: {error.get('exception')!r}")
    for name, supervisor in scene.controller.supervisors.items():
        servers = world.servers(name)
        serving = [s for s in servers if _serves(s) and s.branch.system == world.system_of(name)]
        if len(serving) > 1 and name not in audit.overridden:
            audit.broken("S2", f"{', '.join(s.name for s in serving)} accept writes at the same time")
        survivor = serving[0] if len(serving) == 1 else None
        if survivor is not None:
            lost = audit.lost(name, survivor)
            if lost and name not in audit.overridden and world.estate.services[name].objectives.rpo == 0:
                ending.lost += len(lost)
                audit.broken("S3", f"{len(lost)} acknowledged writes are not on {survivor.name}")
        _count_failovers(scene, name, ending)
        if not ending.settled and excuse(scene, name) is None:
            judged = supervisor.judged
            code = judged.diagnosis.code if judged is not None else "not judged"
            audit.broken("recovery", f"{name} has not recovered, though a person has helped: {code}")
    ending.acked = len(audit.acked)
    ending.recovered = ending.settled
    ending.violations = list(audit.violations)


def _count_failovers(scene: Scene, service: str, ending: Ending) -> None:
    """Those that ran by themselves; without any grave fault they are false."""
    opened = scene.world.store.read(0, (ev.EXECUTION_OPENED,), service, None, None)
    data = [e.data for e in opened if e.data["trigger"] == "automatic" and e.data["kind"] == "failover"]
    ending.failovers += len(data)
    ending.false_failovers += 0 if _grave(scene) else len(data)


def _grave(scene: Scene) -> bool:
    """Was there any fault that takes a primary away?"""
    faults = [e.fault for e in scene.scenario.events]
    if "postmaster-stopped" in faults and len(set(faults)) > 1:
        return True  # nobody new is let in: with the old sessions waiting for a standby, nothing shows life
    return any(KINDS[fault].grave or fault in _MAY_COST for fault in faults)


# Not grave in themselves, and enough to take a primary away if they last; or, as a cut between controllers
# and its host, not to be told apart from its loss while no standby receives anything.
_MAY_COST: Final = frozenset(
    {"slow-disk", "slow-link", "lossy-link", "admin-stop", "backend-killed", "restart", "ops-cut"}
)
