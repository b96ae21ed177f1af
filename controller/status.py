"""What the daemon says of itself and its services: from memory, JSON-ready."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from config.schema import Estate, ProbeEntry, Service
from controller.alert_evidence import SOURCE
from controller.alerts import Firing
from controller.approval_rules import ApprovalState
from controller.decide import would_text
from controller.disaster.progress import Progress
from controller.early_warnings.desk import OpenWarning
from controller.engines import ClaimedRole
from controller.levels import owed
from controller.losses import Readiness, losses, verdict
from controller.readiness import Ready, readiness
from controller.store.hostclock import wall_utc
from controller.supervisor.approval_records import Approval
from controller.supervisor.judgement import Judged
from controller.supervisor.ledger import Ledger
from controller.supervisor.open_incident import OpenIncident
from controller.supervisor.supervisor import Supervisor
from controller.views import MemberView, ServiceView
from model.decision import NO_RUNBOOKS
from model.diagnosis import Cause, Diagnosis, Root
from model.health import Health, ProbeState
from model.lsn import format_lsn

Json = dict[str, Any]


def service_status(supervisor: Supervisor, wall_ns: int) -> Json:
    """One service of `status`. Before the first judgement its health is unknown."""
    service, ledger, judged = supervisor.service, supervisor.ledger, supervisor.judged
    judged = judged or supervisor.judge_now()
    diagnosis, view = judged.diagnosis, judged.view
    return {
        "name": service.name,
        "engine": service.engine,
        "health": service_health(judged),
        "code": diagnosis.code,
        "sentence": diagnosis.info.sentence,
        "sentence_zh": diagnosis.info.sentence_zh,
        "root": None if diagnosis.root is None else diagnosis.root.key,
        "mode": service.mode.value,
        "importance": service.importance.value,
        "paused": ledger.paused(wall_ns),
        "blocked": ledger.blocked,
        "primary": ledger.primary,
        "profile": service.profile,
        "rpo_s": service.objectives.rpo,
        "rto_s": service.objectives.rto,
        "tolerance": tolerance_line(judged),
        "readiness": readiness_verdict(judged),
        "incident": ledger.incident.id if ledger.incident else None,
        "execution": ledger.open_executions[0] if ledger.open_executions else None,
        "execution_left_ms": rto_left_ms(supervisor),
        "decision": judged.decision.to_json(),
        "settings": list(supervisor.knowledge.settings.texts),
        "last_acked_canary": supervisor.knowledge.last_acked_canary,
        "members": [member_status(service, view, member, judged.at_s, ledger) for member in view.members],
    }


def rto_left_ms(supervisor: Supervisor) -> int | None:
    """What is left of the RTO while something is done about an outage; negative beyond it. None: there is no
    outage, or nothing is done."""
    incident = supervisor.ledger.incident
    if incident is None or incident.recovered or not supervisor.ledger.open_executions:
        return None
    elapsed_s = supervisor.outage_s(supervisor.now_s())
    return round((supervisor.service.objectives.rto - elapsed_s) * 1000)


def service_health(judged: Judged) -> str:
    """up: writes are accepted. suspect: a diagnosis is being confirmed or redundancy is missing."""
    if not judged.view.engine.primaries:
        return _health_by_diagnosis(judged.diagnosis)
    primary = judged.view.member(judged.view.primary)
    if primary is None or primary.pg.health is Health.UNKNOWN:
        return Health.UNKNOWN.value
    if primary.pg.health is not Health.UP:
        return primary.pg.health.value
    if judged.diagnosis.info.level is not None and judged.diagnosis.confirmed:
        return Health.DOWN.value if judged.diagnosis.code != "AllStandbysDown" else Health.SUSPECT.value
    return Health.UP.value if judged.diagnosis.code == "Healthy" else Health.SUSPECT.value


def _health_by_diagnosis(diagnosis: Diagnosis) -> str:
    """Of a service that has no primary."""
    if diagnosis.info.level is not None:
        return (Health.DOWN if diagnosis.confirmed else Health.SUSPECT).value
    if diagnosis.info.cause is Cause.OBSERVER or diagnosis.code == "NotObservedYet":
        return Health.UNKNOWN.value
    return (Health.UP if diagnosis.code == "Healthy" else Health.SUSPECT).value


def tolerance_line(judged: Judged) -> str:
    """What the service survives with proof right now (P19)."""
    proof = judged.outlook.proof
    if not judged.view.engine.moves:
        return NO_RUNBOOKS
    if not proof.complete:
        return f"would not survive the primary with proof: {proof.reason}"
    spare = len(proof.readable) - proof.needed
    more = f" and {spare} standby(s)" if spare > 0 else ""
    return f"survives the loss of the primary{more} with proof; {proof.reason}"


def readiness_verdict(judged: Judged) -> Json:
    """`ready`, `partial` or `not-ready`, and why (P19)."""
    if not judged.view.engine.moves:
        return {"verdict": Readiness.NOT_READY.value, "why": NO_RUNBOOKS}
    word, why = verdict(losses(judged.view, judged.outlook.members))
    return {"verdict": word.value, "why": why}


def member_status(
    service: Service, view: ServiceView, member: MemberView, now_s: float, ledger: Ledger
) -> Json:
    state = member.own
    position, current = member.fact_int("position"), _current_lsn(view)
    lag = None if position is None or current is None else max(0, current - position)
    age_ms = None if state.last is None else int((now_s - state.last.ended_s) * 1000)
    return {
        "name": member.name,
        "role": member.role,
        "node": member.node,
        "site": member.site,
        "address": service.members[member.name].address,
        "health": state.health.value,
        "why": state.why,
        "age_ms": age_ms,
        "in_recovery": None if member.claimed_role is None else member.claimed_role is ClaimedRole.STANDBY,
        "timeline": member.fact_int("timeline"),
        "position": None if position is None else format_lsn(position),
        "lag_bytes": None if member.name == view.primary else lag,
        "sync_state": _sync_state(view, member),
        "canary_n": member.fact_int("canary_n"),
        "retired": member.name in ledger.retired,
        "excluded": member.excluded,
    }


def incident_status(supervisor: Supervisor, incident: OpenIncident, now_s: float) -> Json:
    """An open incident, with what people owe it."""
    return {
        "id": incident.id,
        "service": supervisor.service.name,
        "recovered": incident.recovered,
        **_duties(incident, supervisor.estate, supervisor.outage_s(now_s)),
    }


def _duties(incident: OpenIncident, estate: Estate, elapsed_s: float) -> Json:
    """What the level asks of people. due: [{what, office, left_s}], of what has not been done."""
    levels, level = estate.levels, incident.level
    due = owed(
        levels,
        level,
        elapsed_s,
        confirmed=incident.acknowledged is not None,
        reported=incident.reported is not None,
    )
    return {
        "code": incident.code,
        "level": level,
        "elapsed_s": int(elapsed_s),
        "commander": levels.duties(level).commander,
        "acknowledged": incident.acknowledged,
        "reported": incident.reported,
        # Of a switch by hand nobody is reminded.
        "due": [
            {"what": d.what, "office": d.office, "left_s": int(d.left_s)} for d in due if not incident.manual
        ],
        "missed": [what for what, of in incident.missed if of == level],
    }


def approval_status(supervisor: Supervisor, approval: Approval, state: ApprovalState) -> Json:
    """A request that waits, and for whom."""
    return {
        **state.to_json(),
        "id": approval.id,
        "service": supervisor.service.name,
        "incident": approval.incident,
        "what": approval.what,
        "runbook": approval.runbook,
        "to": approval.to,
        "needs": state.reason,
        "expires_in_s": state.left_ms // 1000,
    }


def roots_status(found: Iterable[tuple[Root, Sequence[str]]]) -> list[Json]:
    """What services suffer from: [{key, code, cause, sentence, sentence_zh, evidence_for, evidence_against,
    services}]."""
    return [{**root.to_json(), "services": list(services)} for root, services in found]


def disaster_status(progress: Progress, incident: OpenIncident, estate: Estate, elapsed_s: int) -> Json:
    """The incident of a declared disaster, as `incident_status` has one; `service` is None. plan: how far it
    has come."""
    declaration = progress.declaration
    return {
        "id": declaration.id,
        "service": None,
        "tier": declaration.tier.value,
        "scope": str(declaration.scope),
        "plan": {"state": progress.state, "moved": progress.moved, "of": len(progress.steps)},
        "recovered": False,
        **_duties(incident, estate, elapsed_s),
        "part_of": None,
    }


def warnings_status(warnings: Iterable[OpenWarning]) -> list[Json]:
    """Early warnings that last: [{code, about, part, sentence, meaning, meaning_zh, since, severity}]."""
    return [warning.to_json() for warning in warnings]


def alert_warnings(firing: Iterable[Firing], now_s: float, wall_s: float) -> list[Json]:
    """Of alerts, those that warn, as `warnings_status` has them, with `source`: alertmanager. `code` is the
    alert's name."""
    return [
        {
            "code": f.alert.name,
            "about": f"service/{f.meaning.service}",
            "part": f.alert.fingerprint,
            "sentence": f.alert.summary or f.alert.name,
            "meaning": "",
            "meaning_zh": "",
            "since": wall_utc(wall_s - (now_s - f.since_s)),
            "severity": "warning",
            "source": SOURCE,
        }
        for f in firing
        if f.meaning.says == "warning"
    ]


def declared_status(declared: Iterable[tuple[ProbeEntry, ProbeState]], now_s: float) -> list[Json]:
    """Declared probes with what is known of them."""
    return [_declared(entry, state, now_s) for entry, state in declared]


def _declared(entry: ProbeEntry, state: ProbeState, now_s: float) -> Json:
    return {
        "name": entry.name,
        "type": entry.type,
        "about": entry.about,
        "health": state.health.value,
        "why": state.why,
        "age_ms": None if state.last is None else int((now_s - state.last.ended_s) * 1000),
        "detail": "" if state.last is None else state.last.detail,
        "flapping": getattr(state, "flapping", False),
    }


def explanation(supervisor: Supervisor) -> Json:
    """What would happen now, and which gate would stop it."""
    judged = supervisor.judge_now()
    return {
        "service": supervisor.service.name,
        "diagnosis": judged.diagnosis.to_json(),
        "decision": judged.decision.to_json(),
        "would": would_text(judged.decision),
        "proof": {
            "complete": judged.outlook.proof.complete,
            "reason": judged.outlook.proof.reason,
            "needed": judged.outlook.proof.needed,
            "readable": list(judged.outlook.proof.readable),
        },
        "readiness": [line.to_json() for line in _readiness(judged)],
        "view": {
            "primary": judged.view.primary,
            "settings": [s.text for s in judged.view.settings],
            "members": {
                m.name: {p: {"health": s.health.value, "why": s.why} for p, s in m.probes.items()}
                for m in judged.view.members
            },
            "nodes": {
                m.node: {p: {"health": s.health.value, "why": s.why} for p, s in m.node_probes.items()}
                for m in judged.view.members
            },
        },
    }


def _readiness(judged: Judged) -> tuple[Ready, ...]:
    outlook = judged.outlook
    if not judged.view.engine.moves:
        return ()
    return readiness(outlook.view, outlook.members, outlook.choice, outlook.proof)


def _current_lsn(view: ServiceView) -> int | None:
    primary = view.member(view.primary)
    return primary.fact_int("current_lsn") if primary is not None and primary.fresh else None


def _sync_state(view: ServiceView, member: MemberView) -> str | None:
    primary = view.member(view.primary)
    rows = primary.facts.get("standbys") if primary is not None and primary.fresh else None
    for row in rows if isinstance(rows, list) else ():
        if (
            isinstance(row, dict)
            and str(row.get("application_name", "")).lower() == member.application_name.lower()
        ):
            return str(row.get("sync_state"))
    return None
