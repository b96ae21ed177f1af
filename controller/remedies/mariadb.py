"""MariaDB: the furthest replica takes over, with the proof of semi-sync; GTIDs for the way back. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from config.mariadb import MariadbService
from config.schema import Service
from controller.mariadb_evidence import gather, judge
from controller.remedies import replicated
from controller.remedies.remedy import Known, Remedy
from controller.remedies.replicated import gone_primary
from controller.verdict import RpoVerdict
from controller.views import MemberView, ServiceView
from model.events import Event
from model.gtid import compared, furthest, parse_gtids, parse_logged, unknown_to
from model.lsn import Position
from model.quorum import Choice, MemberPosition, Proof, Ranked, preference_of
from model.semi_sync import SemiSync

# Of the primary's facts: what its runbooks have to know when it does not answer any more.
_SHOWN: Final = (
    "gtid_binlog_pos", "gtid_binlog_state", "gtid_domain_id", "server_id", "semi_sync_enabled",
    "semi_sync_active", "semi_sync_wait_point", "semi_sync_wait_no_replica", "semi_sync_timeout_ms",
    "semi_sync_clients", "canary_n",
)  # fmt: skip


def _positions(view: ServiceView, returning: Collection[str]) -> Sequence[MemberPosition]:
    return [_position(view, m, m.name in returning) for m in view.standbys]


def _position(view: ServiceView, member: MemberView, returning: bool) -> MemberPosition:
    preference = preference_of(member.site_role, member.preference, remote=member.at_dr, returning=returning)
    why_not = _not_counted(view, member)
    if why_not is not None:
        return MemberPosition(member.name, member.name, None, preference, why_not=why_not)
    rest, sequence = compared(_received(member), _domain(view))
    return MemberPosition(
        member.name, member.name, Position(rest, 0, sequence), preference, _not_candidate(member)
    )


def _not_counted(view: ServiceView, member: MemberView) -> str | None:
    if not member.fresh:
        return f"not readable: {member.own.why}"
    if member.facts.get("role") != "replica":
        return "it is no replica: it follows nobody"
    primary = view.member(view.primary)
    known = primary.facts if primary is not None else {}
    text, server_id = known.get("gtid_binlog_state"), known.get("server_id")
    if isinstance(text, str) and isinstance(server_id, int):
        logged = parse_logged(str(member.facts.get("gtid_binlog_state") or ""))
        own = unknown_to(logged, parse_logged(text), but=server_id)
        if own:
            return f"it has transactions that the primary never had ({', '.join(own)})"
    return None


def _not_candidate(member: MemberView) -> str | None:
    if member.excluded:
        return "excluded by the estate"
    if member.facts.get("sql_running") is False:
        return "it does not apply what it has received"
    if member.facts.get("log_bin") is False or member.facts.get("log_replica_updates") is False:
        return "nobody could follow it: log_bin and log_slave_updates must be on"
    return None


def _received(member: MemberView) -> dict[int, tuple[int, int]]:
    sources = member.facts.get("sources")
    texts = (
        [str(s.get("gtid_io_pos") or "") for s in sources if isinstance(s, Mapping)]
        if isinstance(sources, Sequence)
        else []
    )
    own = (str(member.facts.get(k) or "") for k in ("gtid_current_pos", "gtid_binlog_pos"))
    return furthest(*(parse_gtids(t) for t in (*texts, *own)))


def _domain(view: ServiceView) -> int:
    primary = view.member(view.primary)
    return (primary.fact_int("gtid_domain_id") if primary is not None else None) or 0


def _prove(view: ServiceView, members: Sequence[MemberPosition]) -> Proof:
    counted = [m for m in members if m.position is not None]
    names = tuple(m.member for m in counted)
    best = max((m.position for m in counted if m.position is not None), key=lambda p: p.lsn, default=None)
    doubt = _doubt(view, names, {m.position.system_identifier for m in counted if m.position is not None})
    needed = len(_acknowledging(view))
    if doubt is not None:
        return Proof(False, doubt, needed, names, best)
    text = f"every acknowledged write was on one of {', '.join(names)}, and all can be read"
    return Proof(True, text, needed, names, best)


def _doubt(view: ServiceView, counted: Sequence[str], lineages: Collection[str]) -> str | None:
    primary = view.member(view.primary)
    if primary is None or primary.own.last_good is None:
        return "what the primary's semi-sync did is not known"
    missing = [m for m in _acknowledging(view) if m not in counted]
    if missing:
        return f"{', '.join(missing)} may have acknowledged writes, and can't be read"
    if len(lineages) > 1:
        return "the replicas differ in other domains than that in which the primary writes"
    ends_s = primary.own.first_bad_s if primary.own.first_bad_s is not None else primary.own.last_good_s
    age_s = (ends_s or 0.0) - primary.own.last_good.started_s
    acknowledging = [m for m in counted if _acknowledges(view.member(m))]
    return SemiSync.of(primary.facts).doubt(counted=len(acknowledging), age_ms=max(0, int(age_s * 1000)))


def _acknowledging(view: ServiceView) -> list[str]:
    """Members that may have acknowledged what the primary's last readings do not show: all that acknowledge,
    except one that had been away since before the primary was last seen."""
    primary = view.member(view.primary)
    seen = primary.own.last_good if primary is not None else None
    found: list[str] = []
    for member in view.standbys:
        bad_s = member.own.first_bad_s
        away = not member.fresh and bad_s is not None and seen is not None and bad_s < seen.started_s
        if _acknowledges(member) and not away:
            found.append(member.name)
    return found


def _acknowledges(member: MemberView | None) -> bool:
    return member is not None and member.facts.get("semi_sync_replica_enabled") is True


def _choose(members: Sequence[MemberPosition], wanted: str | None = None) -> Choice:
    """The furthest; of those that are equally far the preferred one."""
    counted = [m for m in members if m.position is not None]
    ahead = max((_sequence(m) for m in counted), default=0)
    fit = sorted(
        (m for m in counted if m.not_candidate is None), key=lambda m: (-_sequence(m), m.preference, m.member)
    )
    ranking = [
        Ranked(m.member, place, "the furthest" if _sequence(m) == ahead else f"{ahead - _sequence(m)} behind")
        for place, m in enumerate(fit, 1)
    ]
    out = [m for m in members if m not in fit]
    ranking += [Ranked(m.member, None, m.not_candidate or m.why_not or "not readable") for m in out]
    best = next((m for m in fit if wanted is None or m.member == wanted), None)
    if best is None:
        asked = [r for r in ranking if wanted is None or r.member == wanted]
        reasons = "; ".join(f"{r.member}: {r.why}" for r in asked)
        return Choice(None, None, f"no member can be promoted ({reasons or 'none left'})", tuple(ranking))
    return Choice(best.member, None, "nobody that may take over is further", tuple(ranking))


def _sequence(member: MemberPosition) -> int:
    return member.position.lsn if member.position is not None else 0


def _fenceable(service: Service, view: ServiceView, node_access: bool) -> bool:
    """It is gone; or it waits for replicas for as good as ever; or its process can be ended on its node."""
    primary, member = view.member(view.primary), service.members.get(view.primary or "")
    held = primary is not None and SemiSync.of(primary.facts).holds_for_good
    return held or gone_primary(view) is not None or (node_access and bool(getattr(member, "control", "")))


def _variables(known: Known) -> Mapping[str, Any]:
    service = known.service
    state = known.knowledge.state(known.primary or "", "mariadb")
    last = None if state is None else state.last_good
    settings = service.mariadb if isinstance(service, MariadbService) else None
    return {
        "shown": {} if last is None else {k: last.facts.get(k) for k in _SHOWN},
        "shown_ns": None if last is None else int(last.started_s * 1e9),
        "counted": [m.member for m in known.members if m.position is not None],
        "must_prove": service.objectives.rpo == 0,
        "last_acked_canary": known.knowledge.last_acked_canary,
        "when_single_copy": "block" if settings is None else settings.when_single_copy,
        "semi_sync": settings is not None and settings.semi_sync,
    }


def _verdict(events: Sequence[Event], _incident: str | None, execution: str) -> RpoVerdict:
    return judge(gather(events, execution))


def _refusals(service: Service, _view: ServiceView, _impostors: Collection[str]) -> list[str]:
    if isinstance(service, MariadbService) and service.mariadb.control is None:
        return ["the estate names no account that may change it (mariadb: {control: …})"]
    return []


def _lacking(service: Service, view: ServiceView) -> list[str]:
    primary = view.member(view.primary)
    if service.objectives.rpo > 0 or primary is None or not primary.leads:
        return []
    now = SemiSync.of(primary.facts)
    if now.misconfigured is not None:
        return [now.misconfigured]
    return [] if now.active is not False else ["semi-sync has fallen back to asynchronous"]


def _mends_by_itself(service: Service) -> bool:
    return isinstance(service, MariadbService) and service.mariadb.rejoin == "auto"


MARIADB: Final = Remedy(
    positions=_positions,
    prove=_prove,
    choose=_choose,
    variables=_variables,
    verdict=_verdict,
    fenceable=_fenceable,
    acknowledged_until=replicated.acknowledged_until,
    refusals=_refusals,
    lacking=_lacking,
    wayward=replicated.wayward,
    mends_by_itself=_mends_by_itself,
)
