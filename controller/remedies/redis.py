"""Redis: the furthest replica takes over, fenced and unproven; a planned switch is proven. Pure.

Acknowledgements wait for no replica: what a failover may have lost is bounded by how old the primary's last
shown offset is that the candidate has (`Engine.marker`), which the gate `rpo` compares with the objective.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from config.redis import RedisService
from config.schema import Service
from controller.redis_evidence import gather, judge
from controller.remedies import replicated
from controller.remedies.remedy import Known, Remedy
from controller.verdict import RpoVerdict
from controller.views import MemberView, ServiceView
from model.events import Event
from model.lsn import Position
from model.quorum import Choice, MemberPosition, Proof, Ranked, preference_of

_ASYNCHRONOUS: Final = (
    "Redis acknowledges before its replicas have a write: nothing proves that none is missing"
)


def _positions(view: ServiceView, returning: Collection[str]) -> Sequence[MemberPosition]:
    return [_position(view, m, m.name in returning) for m in view.standbys]


def _position(view: ServiceView, member: MemberView, returning: bool) -> MemberPosition:
    preference = preference_of(member.site_role, member.preference, remote=member.at_dr, returning=returning)
    replid, offset = member.facts.get("replid"), member.fact_int("replication_offset")
    why_not = _not_counted(view, member)
    if why_not is None and (not isinstance(replid, str) or offset is None):
        why_not = "how far it has come is not known"
    if why_not is not None or offset is None:
        return MemberPosition(member.name, member.name, None, preference, why_not=why_not or "")
    excluded = "excluded by the estate" if member.excluded else None
    return MemberPosition(member.name, member.name, Position(str(replid), 0, offset), preference, excluded)


def _not_counted(view: ServiceView, member: MemberView) -> str | None:
    if not member.fresh:
        return f"not readable: {member.own.why}"
    if member.facts.get("role") != "replica":
        return "it is no replica: it runs as a primary"
    if member.facts.get("syncing") is True or member.facts.get("loading") is True:
        return "it is being given its data, and has not all of it"
    primary = view.member(view.primary)
    theirs = primary.facts.get("replid") if primary is not None else None
    if isinstance(theirs, str) and member.facts.get("replid") not in (None, theirs):
        return "it has another history than the primary"
    return None


def _prove(_view: ServiceView, members: Sequence[MemberPosition]) -> Proof:
    counted = [m for m in members if m.position is not None]
    furthest = max((m.position for m in counted if m.position is not None), key=_lsn, default=None)
    return Proof(False, _ASYNCHRONOUS, 0, tuple(m.member for m in counted), furthest)


def _choose(members: Sequence[MemberPosition], wanted: str | None = None) -> Choice:
    """The furthest, since nothing shows how far the primary was; but the DR site comes last, and before it
    whoever lost the role a short while ago. Nobody, where the histories of those that were read differ."""
    counted = [m for m in members if m.position is not None]
    histories = {m.position.system_identifier for m in counted if m.position is not None}
    fit = sorted((m for m in counted if m.not_candidate is None), key=_rank)
    if len(histories) > 1:
        return Choice(None, None, "the members have different histories, and nobody knows which is ours")
    ranking = [
        Ranked(m.member, place, "the furthest" if place == 1 else f"after {fit[place - 2].member}")
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


def _rank(member: MemberPosition) -> tuple[tuple[int, ...], int, tuple[int, ...], str]:
    offset = member.position.lsn if member.position is not None else 0
    return member.preference[:2], -offset, member.preference[2:], member.member


def _lsn(position: Position) -> int:
    return position.lsn


def _fenceable(service: Service, view: ServiceView, node_access: bool) -> bool:
    """It is gone, or its node can be reached and the estate says how it is stopped there."""
    member = service.members.get(view.primary or "")
    return replicated.gone_primary(view) is not None or (node_access and bool(getattr(member, "control", "")))


def _variables(known: Known) -> Mapping[str, Any]:
    service = known.service
    state = known.knowledge.state(known.primary or "", "redis")
    last = None if state is None else state.last_good
    facts = {} if last is None else last.facts
    return {
        "replid": facts.get("replid"),
        "last_offset": facts.get("replication_offset"),
        "last_offset_ns": None if last is None else int(last.started_s * 1e9),
        "last_acked_canary": known.knowledge.last_acked_canary,
        "min_replicas": service.redis.min_replicas if isinstance(service, RedisService) else 0,
    }


def _verdict(events: Sequence[Event], _incident: str | None, execution: str) -> RpoVerdict:
    return judge(gather(events, execution))


def _refusals(service: Service, _view: ServiceView, _impostors: Collection[str]) -> list[str]:
    if isinstance(service, RedisService) and service.manager == "sentinel":
        return ["Redis Sentinel fails this service over: this product only asks it for a switch (S14)"]
    return []


def _mends_by_itself(service: Service) -> bool:
    return (
        service.managed_by == "none" and isinstance(service, RedisService) and service.redis.rejoin == "auto"
    )


REDIS: Final = Remedy(
    positions=_positions,
    prove=_prove,
    choose=_choose,
    variables=_variables,
    verdict=_verdict,
    fenceable=_fenceable,
    acknowledged_until=replicated.acknowledged_until,
    refusals=_refusals,
    wayward=replicated.wayward,
    mends_by_itself=_mends_by_itself,
)
