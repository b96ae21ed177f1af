"""Rules of diagnosis about the primary, from lost to slow. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from controller.findings import Finding, against, bad_for_s, supports
from controller.partition_rules import seen_by_others
from controller.tally import lost_here
from controller.views import MemberView, ServiceView
from model.diagnosis import Evidence, Stance
from model.health import DISK_FULL_BYTES, Health, ProbeState
from model.observation import Failure, Outcome

# For so many times the grace of a restart a volume must stay full before that alone is believed.
_FULL_GRACES: Final = 2
# How a write fails that finds no room.
_NO_ROOM: Final = frozenset({Failure.DISK_FULL, Failure.IO_BLOCKED})
# Slow answers in a row before they are called a state and not a moment.
SLOW_ANSWERS: Final = 5
# Canaries that are missing before open sessions count as silent too.
_CANARIES_MISSED: Final = 3


def went_back(view: ServiceView, now_s: float) -> Finding | None:
    """It came back empty, as another system, or from a snapshot: nothing may follow it (P3, P17)."""
    member = view.member(view.primary)
    if member is None or not member.fresh or member.facts.get("in_recovery") is not False:
        return None
    system, timeline, lsn = (member.facts.get(k) for k in ("system_identifier", "timeline", "position"))
    if view.system_identifier is not None and isinstance(system, str) and system != view.system_identifier:
        text = f"{member.name} is system {system}, the service is {view.system_identifier}"
        return Finding("PrimaryWentBack", member.name, True, (supports(text, member.pg, now_s),))
    mark = view.high_water.get(member.name)
    if mark is not None and isinstance(timeline, int) and isinstance(lsn, int) and (timeline, lsn) < mark:
        text = f"{member.name} is at {lsn} on timeline {timeline}; it was at {mark[1]} on timeline {mark[0]}"
        return Finding("PrimaryWentBack", member.name, True, (supports(text, member.pg, now_s),))
    return None


def disk_full(view: ServiceView, now_s: float) -> Finding | None:
    """A full pg_wal makes the server PANIC, so that it is refused or starting for ever: the volume, or its
    last words, tell why (P16)."""
    finding = _disk_full_here(view, now_s)
    return finding if finding is None or not view.elsewhere else seen_by_others(view, finding, now_s)


def _disk_full_here(view: ServiceView, now_s: float) -> Finding | None:
    member = view.member(view.primary)
    if member is None or member.pg.health is Health.UNKNOWN:
        return None
    full = _full_volume(member, now_s)
    told = [s for s in _not_up(member) if s.disk_full_s is not None]
    if member.fresh:
        return _full_and_alive(view, member, full, told, now_s)
    if not (full or told):
        return None
    long_enough = bad_for_s(member.pg, now_s) >= view.profile.silence_s
    evidence = [*full, supports(f"{member.name}: {member.pg.why}", member.pg, now_s)]
    evidence += [supports("its last words were that the disk is full", s) for s in told]
    confirmed = member.pg.health is Health.DOWN or long_enough
    return Finding("PrimaryDiskFull", member.name, confirmed, tuple(evidence), _both(member))


def _full_and_alive(
    view: ServiceView, member: MemberView, full: list[Evidence], told: list[ProbeState], now_s: float
) -> Finding | None:
    """It answers, and its writes go on failing. The canary's row may still find room in its page where others
    find none: then `df` has to say so for longer, since a runaway query's files may be gone in a moment, and
    must have shown room before, since some file systems never show any."""
    full_s = member.pg.full_from_s if member.pg.room_s is not None else None
    # What was told before it found room, or before its writes began to wait, is of the past.
    told = [s for s in told if _failure(s) in _NO_ROOM]
    if not told and not (full and full_s is not None):
        return None
    fails = max((bad_for_s(s, now_s) for s in told), default=0.0) >= view.profile.silence_s
    stays = full_s is not None and now_s - full_s >= _FULL_GRACES * view.profile.restart_grace_s
    waiting = [s for s in _not_up(member) if s in told or _failure(s) is Failure.IO_BLOCKED]
    evidence = [*full, *(supports(f"{member.name}: {s.why}", s, now_s) for s in waiting)]
    evidence.append(against("reads are answered", member.pg, now_s))
    by_volume = replace(member.pg, last_good_s=member.pg.room_s, first_bad_s=full_s)
    states = tuple(told or waiting) or (by_volume,)
    return Finding("PrimaryDiskFull", member.name, fails or stays, tuple(evidence), states)


def _full_volume(member: MemberView, now_s: float) -> list[Evidence]:
    for what in ("wal", "data"):
        known = member.free_bytes(what)
        if known is not None and known[0] < DISK_FULL_BYTES:
            text = f"{member.name}: {known[0]} bytes free for {what}"
            return [supports(text, member.pg, now_s)]
    return []


def down(view: ServiceView, now_s: float) -> Finding | None:
    """The primary is out; what it is depends on who still hears it, and how it went."""
    finding = _down_here(view, now_s)
    return finding if finding is None or not view.elsewhere else seen_by_others(view, finding, now_s)


def _down_here(view: ServiceView, now_s: float) -> Finding | None:
    member = view.member(view.primary)
    if member is None or not lost_here(view, member, now_s):
        return None
    state = member.pg
    evidence = [supports(f"{member.name}: {state.why}", state, now_s)]
    if state.last_good_s is not None:
        evidence.append(supports(f"last answer {now_s - state.last_good_s:.2f} s ago", state, now_s))
    if _still_writes(view, member, now_s):
        evidence.append(against("its open sessions still write", member.canary, now_s))
        return Finding("PrimaryListenerHung", member.name, True, tuple(evidence), (state,))
    vetoes = [m for m in view.standbys if m.vetoes]
    if vetoes:
        names = ", ".join(m.name for m in vetoes)
        evidence.append(against(f"{names} still receives from it", vetoes[0].pg, now_s))
        return _lost("PrimaryPartitioned", member, evidence)
    stopped_s = _stopped_s(member)
    if stopped_s is not None:
        return _stopped(view, member, evidence, now_s - stopped_s)
    if state.refusals >= view.profile.refusals or _failure(state) is Failure.REFUSED:
        evidence.append(against("the host answers: connections are refused, not dropped", state, now_s))
        return _lost("PrimaryProcessDown", member, evidence)
    return _silent(view, member, evidence, now_s)


def _stopped_s(member: MemberView) -> float | None:
    """When it last said that an administrator stops it, unless it has answered since: a write that is blocked
    ever since the restart has not told its own probe."""
    said = max((s.stopping_s for s in _both(member) if s.stopping_s is not None), default=None)
    answered = max((s.last_good_s for s in _both(member) if s.last_good_s is not None), default=None)
    return None if said is None or (answered is not None and answered > said) else said


def _lost(code: str, member: MemberView, evidence: list[Evidence]) -> Finding:
    return Finding(code, member.name, True, tuple(evidence), _both(member))


def _still_writes(view: ServiceView, member: MemberView, now_s: float) -> bool:
    """A canary that began after the silence of fresh connections was acknowledged just now: only the
    postmaster hangs (P13). A held session alone proves nothing; a write on it does."""
    canary, state = member.canary, member.pg
    if canary is None or canary.last_good is None or state.first_bad_s is None:
        return False
    young_s = _CANARIES_MISSED * view.profile.canary_interval_s
    return canary.last_good.started_s > state.first_bad_s and now_s - canary.last_good.ended_s <= young_s


def _stopped(view: ServiceView, member: MemberView, evidence: list[Evidence], ago_s: float) -> Finding:
    """Its sessions were ended by an administrator's stop: somebody restarts it, or stopped it for good."""
    evidence.append(supports("its sessions were ended by an administrator's stop (57P01)", member.pg))
    if ago_s < view.profile.restart_grace_s:
        return _lost("PrimaryRestarting", member, evidence)
    if view.on_admin_stop == "failover":
        evidence.append(supports("the estate says `on_admin_stop: failover`"))
        stance = Stance.ACT
        return Finding(
            "PrimaryShutDownByAdmin", member.name, True, tuple(evidence), _both(member), stance=stance
        )
    return _lost("PrimaryShutDownByAdmin", member, evidence)


def _silent(view: ServiceView, member: MemberView, evidence: list[Evidence], now_s: float) -> Finding:
    """Silent, not refused: hung, its host gone, or its site gone."""
    nodes = list(member.node_probes.values())
    alive = [s for s in nodes if s.health is Health.UP]
    silent = [s for s in nodes if s.health is Health.DOWN or _silent_since(s, now_s, view)]
    evidence += [against(f"its host answers ({s.probe})", s, now_s) for s in alive]
    evidence += [supports(f"its host: {s.why}", s, now_s) for s in silent]
    unreachable = _failure(member.pg) is Failure.UNREACHABLE
    if unreachable:
        evidence.append(supports("the network says that there is no such host", member.pg, now_s))
    if alive or not (silent or unreachable):
        return _lost("PrimaryHung", member, evidence)
    neighbours = [m for m in view.members if m.site == member.site and m.name != member.name]
    if neighbours and all(m.pg.health is Health.DOWN for m in neighbours):
        evidence += [supports(f"{m.name}: {m.pg.why}", m.pg, now_s) for m in neighbours]
        return _lost("SiteDown", member, evidence)
    return _lost("PrimaryNodeDown", member, evidence)


def host_is_silent(view: ServiceView, member: MemberView, now_s: float) -> bool:
    """Something looks at its host, and nothing of it answers. What runs on a host can't take that away."""
    nodes = member.node_probes.values()
    return bool(nodes) and all(s.health is Health.DOWN or _silent_since(s, now_s, view) for s in nodes)


def _silent_since(state: ProbeState, now_s: float, view: ServiceView) -> bool:
    """Not yet `down` by its own count, but silent for most of what is asked: its attempts began later."""
    if state.health is not Health.SUSPECT or state.silent_from_s is None:
        return False
    return now_s - state.silent_from_s >= view.profile.silence_s / 2


# What a living primary that is not well says of itself, most telling first; by which of its probes.
_ANSWERS: Final[tuple[tuple[Failure, str], ...]] = (
    (Failure.SATURATED, "PrimaryConnectionsExhausted"),
    (Failure.CREDENTIALS, "ProbeCredentialsRejected"),
    (Failure.READ_ONLY, "PrimaryReadOnly"),
    (Failure.SYNC_BLOCKED, "PrimarySyncBlocked"),
)


def answers_with_trouble(view: ServiceView, now_s: float) -> Finding | None:
    member = view.member(view.primary)
    if member is None:
        return None
    state = member.pg
    found = restarting(view, now_s)
    if found is not None:
        return found
    for failure, code in _ANSWERS:
        for seen in _not_up(member):
            if _failure(seen) is failure:
                text = f"{member.name}: {failure}: {seen.last.detail if seen.last else ''}"
                confirmed = bad_for_s(seen, now_s) >= view.profile.silence_s or failure is Failure.CREDENTIALS
                evidence = [supports(text, seen, now_s)]
                if member.fresh:
                    evidence.append(against("reads are answered", state, now_s))
                return Finding(code, member.name, confirmed, tuple(evidence), (seen,))
    return None


def restarting(view: ServiceView, now_s: float) -> Finding | None:
    """Within the grace it is a restart. To answer `not ready` for longer is an outage, but still no death: it
    recovers, or waits for sessions to end."""
    member = view.member(view.primary)
    if member is None or member.pg.health is not Health.SUSPECT or member.pg.restarting_s is None:
        return None
    state = member.pg
    evidence = (supports(f"{member.name}: {state.why}", state, now_s),)
    long = bad_for_s(state, now_s) >= view.profile.restart_grace_s
    if long and state.starting_s is not None:  # also while it refuses, between two starts
        return Finding("PrimaryNotReady", member.name, True, evidence, _both(member))
    return Finding("PrimaryRestarting", member.name, True, evidence, _both(member))


def suspect(view: ServiceView, now_s: float) -> Finding | None:
    """Not settled yet, or not to be settled from here."""
    member = view.member(view.primary)
    if member is None or member.fresh:
        return None
    code = "PrimaryUnknown" if member.pg.health is Health.UNKNOWN else "PrimarySuspect"
    evidence = (supports(f"{member.name}: {member.pg.why}", member.pg, now_s),)
    return Finding(code, member.name, code == "PrimaryUnknown", evidence, _both(member))


def read_only(view: ServiceView, now_s: float) -> Finding | None:
    """By what it says of itself, where no write was tried: a standby, or a default of read-only."""
    member = view.member(view.primary)
    if member is None or view.moving or not member.fresh:
        return None
    state = member.pg
    if member.facts.get("in_recovery") is True:
        text = "it runs as a standby, and nobody else is primary"
    elif member.facts.get("default_read_only") is True:
        text = "default_transaction_read_only is on"
    else:
        return None
    return Finding("PrimaryReadOnly", member.name, True, (supports(f"{member.name}: {text}", state, now_s),))


def writes_blocked(view: ServiceView, now_s: float) -> Finding | None:
    """A write that waits for a lock says nothing of the server (P15)."""
    member = view.member(view.primary)
    canary = member.canary if member else None
    if member is None or canary is None or not member.fresh:
        return None
    if canary.health in (Health.UP, Health.UNKNOWN) or _failure(canary) is Failure.LOCK_BLOCKED:
        return None
    if canary.health is not Health.DOWN and bad_for_s(canary, now_s) < view.profile.silence_s:
        return None
    read = member.pg.last_good
    if read is None or (canary.first_bad_s is not None and read.started_s <= canary.first_bad_s):
        return None  # no read was answered since: it may be the whole server that is silent
    evidence = (supports(canary.why, canary, now_s), against("reads are answered", member.pg, now_s))
    return Finding("PrimaryWritesBlocked", member.name, True, evidence, (canary,))


def slow(view: ServiceView, now_s: float) -> Finding | None:
    member = view.member(view.primary)
    for state in _both(member) if member else ():
        if state.slow >= SLOW_ANSWERS and state.last is not None:
            text = f"{state.slow} slow answers in a row, the last after {state.last.latency_s:.2f} s"
            return Finding("LatencyDegraded", view.primary, True, (supports(text, state, now_s),))
    return None


def _both(member: MemberView) -> tuple[ProbeState, ...]:
    return tuple(s for s in (member.pg, member.canary) if s is not None)


def _not_up(member: MemberView) -> list[ProbeState]:
    """The canary first: it writes, and so finds more."""
    return [s for s in (member.canary, member.pg) if s is not None and s.health is not Health.UP]


def _failure(state: ProbeState) -> Failure | None:
    """Of the last observation, where that was no success."""
    return None if state.last is None or state.last.outcome is Outcome.SUCCEEDED else state.last.failure
