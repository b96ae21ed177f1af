"""PostgreSQL: quorum arithmetic over log positions, and pg_rewind for the way back. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from config.postgresql import PostgresqlService, of_postgresql
from config.schema import Service
from controller.candidates import positions
from controller.evidence import judge_rpo
from controller.evidence_inputs import gather_rpo_inputs
from controller.remedies import replicated
from controller.remedies.remedy import Known, Remedy
from controller.verdict import RpoVerdict
from controller.views import ServiceView
from model.events import Event
from model.quorum import MemberPosition, Proof, prove


def _positions(view: ServiceView, returning: Collection[str]) -> Sequence[MemberPosition]:
    return positions(view, returning=returning)


def _prove(view: ServiceView, members: Sequence[MemberPosition]) -> Proof:
    return prove(view.settings, members)


def _variables(known: Known) -> Mapping[str, Any]:
    """counted: the settings without the primary's own name."""
    knowledge = known.knowledge
    counted = knowledge.counted_settings(known.primary)
    return {
        "settings": list(knowledge.settings.texts),
        "setting_read_ns": knowledge.settings.read_ns,
        "synchronous": bool(counted) and all(s.synchronous for s in counted),
        "last_acked_canary": knowledge.last_acked_canary,
        "high_water": {m: {"timeline": t, "lsn": lsn} for m, (t, lsn) in knowledge.high_water.items()},
        "no_room": [m.member for m in known.members if "room" in (m.not_candidate or "")],
        "intended_names": of_postgresql(known.service).postgresql.synchronous_standby_names,
    }


def _verdict(events: Sequence[Event], incident: str | None, execution: str) -> RpoVerdict:
    return judge_rpo(gather_rpo_inputs(events, incident, execution))


def _refusals(service: Service, view: ServiceView, impostors: Collection[str]) -> list[str]:
    """Names that are not exactly one known server each (P1), and whoever streams in a member's name."""
    pg, reasons = of_postgresql(service), []
    known = {m.application_name.lower() for m in pg.members.values()}
    for setting in view.settings:
        ambiguous = setting.ambiguous()
        if ambiguous:
            reasons.append(f"synchronous_standby_names is ambiguous: {ambiguous}")
        reasons += [
            f"synchronous_standby_names names {name!r}, which is no member of this service"
            for name in setting.names
            if name != "*" and name.lower() not in known
        ]
    primary = view.member(view.primary)
    standbys = primary.facts.get("standbys") if primary is not None else None
    reasons += [
        f"{name} has no WAL receiver, and something streams in its name: it counts for nobody"
        for name in sorted(impostors)
    ]
    return reasons + _twice(pg, standbys if isinstance(standbys, Sequence) else ())


def _twice(service: PostgresqlService, standbys: Sequence[object]) -> list[str]:
    """Receivers that stream twice under one member's name, in whatever letters, count for nobody (P1)."""
    names = [str(s.get("application_name", "")) for s in standbys if isinstance(s, dict)]
    folded = [n.lower() for n in names if service.member_by_application_name(n) is not None]
    return [f"{name!r} streams more than once" for name in sorted(set(folded)) if folded.count(name) > 1]


def _lacking(service: Service, view: ServiceView) -> list[str]:
    if service.objectives.rpo == 0 and not any(s.synchronous for s in view.settings):
        return ["replication is not synchronous"]
    return []


def _mends_by_itself(service: Service) -> bool:
    return of_postgresql(service).postgresql.rejoin == "auto"


POSTGRESQL: Final = Remedy(
    positions=_positions,
    prove=_prove,
    variables=_variables,
    verdict=_verdict,
    refusals=_refusals,
    lacking=_lacking,
    wayward=replicated.wayward,
    mends_by_itself=_mends_by_itself,
)
