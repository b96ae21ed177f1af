"""From what is known to diagnosis and decision: gathers the inputs of the pure core, and keeps nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from config.schema import Estate, Service, ServiceMode
from controller.alert_evidence import with_alerts
from controller.alerts import Firing
from controller.approval_rules import ApprovalState, Rule, Standing, rule_for
from controller.decide import decide
from controller.diagnose import diagnose
from controller.flapping import described
from controller.following import why_not_following
from controller.gates import DecisionInput
from controller.order import FIRST, Turn
from controller.remedies.table import REMEDIES
from controller.supervisor.consent import Question, consent
from controller.supervisor.knowledge import Knowledge
from controller.supervisor.ledger import Ledger, Lost
from controller.tally import tally, third_places
from controller.views import DeclaredView, ServiceView
from model.decision import Decision
from model.diagnosis import Diagnosis, Root, Stance
from model.disaster import Command
from model.health import Health, ProbeState
from model.level import LEVELS, higher_level
from model.quorum import Choice, MemberPosition, Proof


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What lies outside the service and weighs in its decision. moving: an execution that changes who is
    primary is under way, or what it changed is just being written down."""

    leader: bool
    epoch: int
    budget_left: int
    wall_ns: int
    broken_dependencies: tuple[str, ...] = ()
    moving: bool = False
    boot_id: str = ""
    # Declared probes that look at the service as its clients do, by name.
    endpoint: Mapping[str, ProbeState] = field(default_factory=dict)
    # Control socket of a load balancer of its endpoint → what that tells.
    balancers: Mapping[str, ProbeState] = field(default_factory=dict)
    # What lies below the service's trouble: named beside the diagnosis, and nothing is decided on it.
    root: Root | None = None
    turn: Turn = FIRST
    # The estate's probes that tell about the service.
    declared: Sequence[DeclaredView] = ()
    # Shown beside the diagnosis; nothing is decided on them.
    alerts: Sequence[Firing] = ()
    # A declared disaster concerns it: people decide.
    command: Command | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One service as it is judged: what was declared, what is known, what the journal holds. command: see
    `Surroundings`."""

    estate: Estate
    service: Service
    knowledge: Knowledge
    ledger: Ledger
    command: Command | None = None

    @property
    def rule(self) -> Rule:
        """What an approval needs at the level of now, of its own incident or the declared disaster; without
        any, at the lowest."""
        incident, command = self.ledger.incident, self.command
        level = higher_level(
            incident.level if incident is not None else LEVELS[0],
            command.level if command is not None else LEVELS[0],
        )
        return rule_for(self.estate.levels, self.service, level)

    def returning(self, around: Surroundings, now_s: float) -> dict[str, Lost]:
        """Members that lost the primary's role within `no_return`, for how long that still counts."""
        window_ms = self.service.no_return * 1000
        ago_ms = {
            m: lost.ago_ms(around.boot_id, now_s, around.wall_ns) for m, lost in self.ledger.lost.items()
        }
        return {m: lost for m, lost in self.ledger.lost.items() if ago_ms[m] < window_ms}


@dataclass(frozen=True, slots=True)
class Outlook:
    """What could be done, as far as the last readings tell."""

    view: ServiceView
    diagnosis: Diagnosis
    members: tuple[MemberPosition, ...]
    choice: Choice
    proof: Proof


@dataclass(frozen=True, slots=True)
class Judged:
    """One judgement, whole: what `explain` prints and what the supervisor acts on. `at_s`: monotonic.
    approval: the request that the decision looked at. command: see `Surroundings`."""

    at_s: float
    outlook: Outlook
    decision: Decision
    approval: ApprovalState | None = None
    command: Command | None = None

    @property
    def view(self) -> ServiceView:
        return self.outlook.view

    @property
    def diagnosis(self) -> Diagnosis:
        return self.outlook.diagnosis


def judge(case: Case, around: Surroundings, now_s: float) -> Judged:
    knowledge, ledger = case.knowledge, case.ledger
    view = knowledge.view(
        ledger.primary,
        now_s,
        broken_dependencies=around.broken_dependencies,
        moving=around.moving or ledger.moving,
        system_identifier=ledger.system_identifier,
        recorded_timeline=ledger.timeline,
        endpoint=around.endpoint,
        balancers=around.balancers,
        retired=ledger.retired,
        declared=around.declared,
    )
    diagnosis = diagnose(view, now_s)
    if around.root is not None and diagnosis.info.stance is not Stance.NONE:
        diagnosis = replace(diagnosis, root=around.root)
    members, choice, proof = candidates(view, returning=case.returning(around, now_s), command=around.command)
    outlook = Outlook(view, diagnosis, members, choice, proof)
    given = decision_input(case, around, outlook, now_s)
    if around.alerts:
        outlook = replace(outlook, diagnosis=with_alerts(diagnosis, around.alerts, now_s))
    return Judged(now_s, outlook, decide(given), given.approval, around.command)


def staying_behind(members: Sequence[MemberPosition], command: Command | None) -> tuple[MemberPosition, ...]:
    """The members with those at the place that is to be left as no candidates: they prove, and don't lead."""
    if command is None or not command.leaving:
        return tuple(members)
    return tuple(
        replace(m, not_candidate=m.not_candidate or "its place is to be left")
        if m.member in command.leaving
        else m
        for m in members
    )


def decision_input(case: Case, around: Surroundings, outlook: Outlook, now_s: float) -> DecisionInput:
    """All that the gates look at."""
    estate, service, knowledge, ledger = case.estate, case.service, case.knowledge, case.ledger
    view, choice = outlook.view, outlook.choice
    candidate = view.member(choice.candidate)
    until_s = REMEDIES[view.engine.name].acknowledged_until(view, now_s)
    age_s = knowledge.canary_age_s(view.engine.marker(candidate.facts), until_s) if candidate else None
    primary = service.members.get(ledger.primary or "")
    rule = case.rule
    approval = approval_of(ledger, rule, outlook, around.wall_ns)
    lost = case.returning(around, now_s).get(choice.candidate or "")
    seen = view.member(ledger.primary)
    votes = tally(view, now_s)
    known = [seen] if view.engine.primaries else view.members
    return DecisionInput(
        service=service.name,
        diagnosis=outlook.diagnosis,
        mode=service.mode.value,
        paused=ledger.paused(around.wall_ns),
        leader=around.leader,
        epoch=around.epoch,
        observer_sane=knowledge.observer_sane,
        observer_why=knowledge.observer_why,
        blocked=ledger.blocked,
        lost_by=None if lost is None else lost.execution,
        lost_ago_ms=None if lost is None else lost.ago_ms(around.boot_id, now_s, around.wall_ns),
        no_return_ms=int(service.no_return * 1000),
        turn=around.turn,
        budget_left=around.budget_left,
        open_execution=ledger.open_executions[0] if ledger.open_executions else None,
        choice=choice,
        proof=outlook.proof,
        rpo_s=service.objectives.rpo,
        canary_age_ms=None if age_s is None else int(age_s * 1000),
        candidate_site_role=(
            estate.site_of(service.members[candidate.name]).role.value if candidate is not None else None
        ),
        votes=votes,
        third_observers=third_places(
            votes, seen.site if seen is not None else None, candidate.site if candidate is not None else None
        ),
        auto_refusals=tuple(refusals_of_act(service, view, knowledge.impostors.members)),
        approved=approval is not None and approval.standing is Standing.GRANTED,
        approval=approval,
        approval_in_mode_act=rule.in_mode_act,
        primary_was_seen=(
            any(m is not None and m.own.last_good_s is not None for m in known)
            or any(d.state.last_good_s is not None for d in view.declared)
            or ledger.incident is not None
            or ledger.seen_lately(around.wall_ns)
        ),
        fenceable=primary is not None
        and REMEDIES[view.engine.name].fenceable(service, view, estate.nodes[primary.node].access != "none"),
        flapping=described(seen.pg) if seen is not None else None,
        pause_left_ms=ledger.pause_left_ms(around.wall_ns),
        budget_of=estate.daemon.failover_budget.count,
        budget_window_ms=int(estate.daemon.failover_budget.per * 1000),
        at_s=now_s,
        command=around.command,
    )


def candidates(
    view: ServiceView, *, returning: Collection[str] = (), command: Command | None = None
) -> tuple[tuple[MemberPosition, ...], Choice, Proof]:
    """Who counts, who would be promoted, and what is proven; nobody where nothing can be moved.
    returning: see `Remedy.positions`. command: of a declared disaster."""
    remedy = REMEDIES[view.engine.name]
    members = staying_behind(remedy.positions(view, returning), command)
    choice = remedy.choose(members)
    if view.engine.moves and "failover" not in view.engine.runbooks:
        choice = Choice(None, None, f"{view.manager} fails it over by itself: nothing is done beside it")
    return members, choice, remedy.prove(view, members)


def approval_of(ledger: Ledger, rule: Rule, outlook: Outlook, wall_ns: int) -> ApprovalState | None:
    """Of just what would be done now: this incident's remedy, towards the present candidate."""
    info = outlook.diagnosis.info
    if ledger.incident is None or info.runbook is None:
        return None
    question = Question(ledger.incident.id, info.runbook, outlook.choice.candidate, info.code)
    return consent(ledger, rule, question, wall_ns)


def refusals_of_act(service: Service, view: ServiceView, impostors: Collection[str] = ()) -> list[str]:
    """Why mode `act` is refused for this service as it is configured and seen (P1, P10). impostors: members
    in whose name something else streams."""
    if service.mode is not ServiceMode.ACT:
        return []
    return REMEDIES[view.engine.name].refusals(service, view, impostors)


def redundancy_missing(service: Service, ledger: Ledger, view: ServiceView) -> list[str]:
    """What is missing to the required number of copies; empty: redundancy is there (T9)."""
    if not view.engine.primaries:
        return [f"{m.name}: {m.own.why}" for m in view.members if view.engine.probe and not m.fresh] + [
            f"{d.name}: {d.state.why}" for d in view.declared if d.state.health is not Health.UP
        ]
    primary = view.member(view.primary)
    if primary is None or not primary.leads:
        return ["no primary that answers"]
    missing = [f"{member} has not rejoined" for member in ledger.retired if member in service.members]
    for standby in view.standbys:
        if not standby.fresh:
            missing.append(f"{standby.name}: {standby.own.why}")
        elif (why := why_not_following(view, standby)) is not None:
            missing.append(f"{standby.name} {why}")
    return missing + REMEDIES[view.engine.name].lacking(service, view)


def primary_to_adopt(view: ServiceView) -> str | None:
    """The one member that is primary while the others are its standbys; None while that is not clear. It is
    clear once everybody was looked at: the first to answer may be an old primary."""
    if any(m.own.last is None for m in view.members):
        return None
    up = [m for m in view.members if m.fresh]
    primaries = [m for m in up if m.leads]
    if len(primaries) != 1 or len({m.facts.get("system_identifier") for m in up}) != 1:
        return None
    newest = max((m.fact_int("timeline") or 0) for m in up)
    return primaries[0].name if (primaries[0].fact_int("timeline") or 0) >= newest else None
