"""The survivors as the proof and the choice see them: who counts, and who may be promoted. Pure.

Made from the last readings, before anything is detached: what it says opens or closes a gate. The proof that
counts is made by the runbook, from positions read after the members have dropped the old primary (P5).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from controller.views import MemberView, ServiceView
from model.lsn import Position, format_lsn, may_be_invented
from model.quorum import MemberPosition, preference_of

# What a new primary needs in its first seconds, before anybody can look: four WAL segments of 16 MiB.
ROOM_BYTES = 64 * 1024 * 1024


def positions(
    view: ServiceView,
    high_water: Mapping[str, tuple[int, int]] | None = None,
    returning: Collection[str] = (),
) -> list[MemberPosition]:
    """Every member but the primary, in the order of the view.

    high_water: member → furthest (timeline, position in bytes) that it ever showed, if not the view's own.
    returning: members that lost the primary's role a short while ago: others come first.
    A member that can't be read, is of another lineage or is below its own high-water mark has no position: it
    does not count (P3). One that counts may still be no candidate (P4, P16).
    """
    marks = view.high_water if high_water is None else high_water
    return [_position(view, m, marks.get(m.name), m.name in returning) for m in view.standbys]


def _position(
    view: ServiceView, member: MemberView, mark: tuple[int, int] | None, returning: bool
) -> MemberPosition:
    preference = preference_of(member.site_role, member.preference, remote=member.at_dr, returning=returning)
    name, app = member.name, member.application_name
    why_not = _not_counted(view, member, mark)
    timeline, lsn = member.fact_int("timeline"), member.fact_int("position")
    system = member.facts.get("system_identifier")
    if why_not is None and (timeline is None or lsn is None or not isinstance(system, str)):
        why_not = "its position is not known"
    if why_not is not None or timeline is None or lsn is None:
        return MemberPosition(name, app, None, preference, why_not=why_not or "")
    return MemberPosition(name, app, Position(str(system), timeline, lsn), preference, _no_candidate(member))


def _not_counted(view: ServiceView, member: MemberView, mark: tuple[int, int] | None) -> str | None:
    if not member.fresh:
        return f"not readable: {member.pg.why}"
    if member.facts.get("in_recovery") is not True:
        return "it is no standby: it runs as a primary"
    system = member.facts.get("system_identifier")
    if view.identity is not None and isinstance(system, str) and system != view.identity:
        return f"it is of another system ({system}, not {view.identity})"
    timeline, lsn = member.fact_int("timeline"), member.fact_int("position")
    if timeline is None or lsn is None:
        return "its position is not known"
    if view.timeline is not None and timeline != view.timeline:
        return f"it is on timeline {timeline}, the primary on {view.timeline}"
    if mark is not None and (timeline, lsn) < mark:
        at, once = format_lsn(lsn), f"{format_lsn(mark[1])} (timeline {mark[0]})"
        return (
            f"it is at {at} (timeline {timeline}), below {once} that it once had: an older copy of its disk"
        )
    if unsettled(member.facts):
        return f"it says {format_lsn(lsn)}, a segment's start: what it has on disk is not settled (P3)"
    return None


def unsettled(facts: Mapping[str, object]) -> bool:
    """Its position is a segment's start that it has not replayed, and it has not finished replaying: it may
    have less than it says (P3). Such a reading proves nothing, and must raise no high-water mark."""
    received, replayed = facts.get("receive_lsn"), facts.get("replay_lsn")
    if not isinstance(received, int) or facts.get("replay_idle") is True:
        return False
    return may_be_invented(received, replayed if isinstance(replayed, int) else None)


def _no_candidate(member: MemberView) -> str | None:
    if member.excluded:
        return "excluded by the estate"
    if member.facts.get("replay_paused") is True:
        return "its replay is paused"
    delay_ms = member.fact_int("apply_delay_ms")
    if delay_ms:
        return f"it applies changes {delay_ms} ms late (recovery_min_apply_delay)"
    for what in ("wal", "data"):
        known = member.free_bytes(what)
        if known is not None and known[0] < ROOM_BYTES:
            return f"no room on its disk: {known[0] >> 20} MiB free for {what}"
    return None
