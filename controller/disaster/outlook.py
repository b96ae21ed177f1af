"""What a site plan has to know of a service: read from its supervisor, as things are now."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from config.schema import Estate
from controller.executions import Execution, durations
from controller.remedies.table import REMEDIES
from controller.site_plan import KnownService, Obstacle
from controller.supervisor.judgement import Judged, staying_behind
from controller.supervisor.supervisor import Supervisor
from controller.supervisor.switch_gates import Wish, failover_decision, switchover_gates
from model.diagnosis import Stance
from model.disaster import Command, Scope, Tier
from model.execution import ExecutionState
from model.quorum import Choice


def leaving(estate: Estate, scope: Scope, supervisor: Supervisor) -> tuple[str, ...]:
    """The service's members at the place; of a service that is concerned itself, where its primary is."""
    service = supervisor.service
    if scope.kind == "service":
        primary = supervisor.ledger.primary
        return (primary,) if primary is not None and service.name == scope.name else ()
    return tuple(m.name for m in service.members.values() if estate.nodes[m.node].site == scope.name)


def out(judged: Judged) -> bool:
    """The service is out in a way that a failover mends: its own supervisor asks for that."""
    info = judged.diagnosis.info
    acts = info.stance in (Stance.ACT, Stance.CONFIRM) and info.level is not None
    return acts and judged.diagnosis.confirmed


def switchover_runbook(supervisor: Supervisor) -> str:
    """Its name, also where there is none yet and a person moves the service by hand."""
    engine = supervisor.knowledge.engine
    return engine.runbooks.get("switchover", f"{engine.name}-switchover")


def choice_of(judged: Judged, away: tuple[str, ...]) -> Choice:
    """Who would be promoted, if none of `away` is."""
    command = Command("", Tier.NATURAL, Scope("", ""), "", leaving=away)
    return REMEDIES[judged.view.engine.name].choose(staying_behind(judged.outlook.members, command))


def known_service(
    supervisor: Supervisor, away: tuple[str, ...], runs: Iterable[Execution], person: str
) -> KnownService:
    """runs: past executions, for how long it takes."""
    judged = supervisor.judge_now()
    choice = choice_of(judged, away)
    is_out = out(judged)
    runbook = (judged.diagnosis.info.runbook if is_out else None) or switchover_runbook(supervisor)
    service = supervisor.service
    obstacles = list(_common(supervisor, choice))
    if choice.candidate is not None:
        wish = Wish(choice.candidate, person)
        obstacles += _of_failover(supervisor, wish) if is_out else _of_switchover(supervisor, wish, judged)
    return KnownService(
        service=service.name,
        importance=service.importance,
        mode=service.mode.value,
        primary=supervisor.ledger.primary,
        leaving=away,
        candidate=choice.candidate,
        runbook=runbook,
        obstacles=tuple(obstacles),
        expected_ms=expected_ms(runs, runbook),
        by_hand=not judged.view.engine.moves,
    )


def _common(supervisor: Supervisor, choice: Choice) -> Iterable[Obstacle]:
    ledger = supervisor.ledger
    paused = ledger.paused(supervisor.wall_ns())
    if paused is not None:
        yield Obstacle("pause", paused)
    if ledger.blocked is not None:
        yield Obstacle("blocked", ledger.blocked)
    if choice.candidate is None:
        yield Obstacle("candidate", choice.reason)


def _of_failover(supervisor: Supervisor, wish: Wish) -> list[Obstacle]:
    decision = failover_decision(supervisor, wish, supervisor.surroundings())
    return [Obstacle(g.name, g.reason) for g in decision.gates if not g.passed and not g.asks]


def _of_switchover(supervisor: Supervisor, wish: Wish, judged: Judged) -> list[Obstacle]:
    gates = switchover_gates(supervisor, wish, supervisor.surroundings(), judged)
    return [Obstacle(g.name, g.reason) for g in gates if not g.passed and not g.asks]


def expected_ms(runs: Iterable[Execution], runbook: str) -> int | None:
    """How long a whole run of it took, at the 95th percentile of those that got through; None without any."""
    taken = [
        run.took.ns
        for run in runs
        if run.runbook == runbook
        and run.mode != "dry-run"
        and run.state == ExecutionState.SUCCEEDED.value
        and run.took.ns is not None
    ]
    return durations(taken).p95_ms if taken else None


def frozen(version: str, digest: str, supervisors: Iterable[Supervisor]) -> dict[str, Any]:
    """What was so at the declaration, small enough for the journal."""
    services = {}
    for supervisor in supervisors:
        judged = supervisor.judge_now()
        services[supervisor.service.name] = {
            "primary": supervisor.ledger.primary,
            "code": judged.diagnosis.code,
            "mode": supervisor.service.mode.value,
            "incident": supervisor.ledger.incident_id,
        }
    return {"version": version, "estate_digest": digest, "services": services}
