"""Rules of diagnosis about the standbys, the settings and the early warnings. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from controller.findings import Finding, supports
from controller.following import why_not_confirming
from controller.views import MemberView, ServiceView
from model.health import Health
from model.observation import Failure
from model.quorum import SyncSetting, parse_synchronous_standby_names, without

# Bytes that a standby may be behind before it is called lagging: seconds of a busy server's log.
LAG_WARN_BYTES: Final = 64 * 1024 * 1024


def rogue_primaries(view: ServiceView) -> list[MemberView]:
    """Members that answer as primary of the same system without being the service's primary."""
    return [
        m
        for m in view.standbys
        if m.fresh and m.facts.get("in_recovery") is False and not _foreign(view, m)
    ]  # fmt: skip


def _foreign(view: ServiceView, member: MemberView) -> bool:
    system = member.facts.get("system_identifier")
    return view.identity is not None and isinstance(system, str) and system != view.identity


def all_standbys_down(view: ServiceView, now_s: float) -> Finding | None:
    """The cause of writes that wait for a standby, so it comes before them."""
    standbys, primary = view.standbys, view.member(view.primary)
    if not standbys or primary is None or not primary.fresh:
        return None
    if any(m.pg.health is not Health.DOWN for m in standbys):
        return None
    evidence = tuple(supports(f"{m.name}: {m.pg.why}", m.pg, now_s) for m in standbys)
    return Finding("AllStandbysDown", None, True, evidence, tuple(m.pg for m in standbys))


def old_primary_returned(view: ServiceView, now_s: float) -> Finding | None:
    """On an older timeline than the primary's (SplitBrain has the others)."""
    for member in rogue_primaries(view):
        theirs, ours = member.fact_int("timeline"), view.timeline
        if theirs is not None and ours is not None and theirs < ours:
            text = f"{member.name} answers as primary on timeline {theirs}; {view.primary} is on {ours}"
            return Finding("OldPrimaryReturned", member.name, True, (supports(text, member.pg, now_s),))
    return None


def foreign_system(view: ServiceView, now_s: float) -> Finding | None:
    for member in view.standbys:
        if member.fresh and _foreign(view, member):
            text = (
                f"{member.name} is system {member.facts['system_identifier']}, the service is {view.identity}"
            )
            return Finding("ForeignSystem", member.name, True, (supports(text, member.pg, now_s),))
    return None


def standby_down(view: ServiceView, now_s: float) -> Finding | None:
    for member in view.standbys:
        if member.pg.health is not Health.DOWN:
            continue
        hosts = [s for s in member.node_probes.values() if s.health is Health.DOWN]
        evidence = [supports(f"{member.name}: {member.pg.why}", member.pg, now_s)]
        evidence += [supports(f"its host: {s.why}", s, now_s) for s in hosts]
        code = "NodeDown" if hosts else "StandbyDown"
        return Finding(code, member.name, True, tuple(evidence), (member.pg,))
    return None


def standby_detached(view: ServiceView, now_s: float) -> Finding | None:
    for member in view.standbys:
        if member.fresh and member.facts.get("in_recovery") is True and (why := _detached(view, member)):
            evidence = [supports(f"{member.name} {why}", member.pg, now_s)]
            if member.mendable:
                return Finding("StandbyDetached", member.name, True, tuple(evidence))
            evidence.append(supports(f"there is no node access to {member.node}: a person must rejoin it"))
            return Finding("RedundancyLost", member.name, True, tuple(evidence))
    return None


def _detached(view: ServiceView, member: MemberView) -> str | None:
    if not member.facts.get("walreceiver"):
        return "has no WAL receiver"
    return why_not_confirming(view, member)


def credentials_rejected(view: ServiceView, now_s: float) -> Finding | None:
    for member in view.standbys:
        last = member.pg.last
        if last is not None and last.failure is Failure.CREDENTIALS:
            evidence = (supports(f"{member.name}: {last.detail}", member.pg, now_s),)
            return Finding("ProbeCredentialsRejected", member.name, True, evidence)
    return None


def drift(view: ServiceView, _now: float) -> Finding | None:
    """Looser than intended: fewer copies, or names that the estate does not state (P2). Narrower is no drift:
    after a failover only the remaining standbys are named, until the old primary is back (P11)."""
    member = view.member(view.primary)
    if view.intended_setting is None or len(view.settings) != 1 or member is None:
        return None
    actual = view.settings[0]
    names = tuple(m.application_name.lower() for m in view.members)
    why = _looser(actual, view.intended_setting, member.application_name, names)
    if why is None:
        return None
    text = f"in force: {actual.text!r}; the estate states {view.intended_setting!r}: {why}"
    return Finding("ConfigDrift", view.primary, True, (supports(text),))


# In every judgement of a service it is the same question.
@lru_cache(maxsize=4096)
def _looser(actual: SyncSetting, stated: str, own_name: str, known: tuple[str, ...]) -> str | None:
    """known: application names of the members, in lower case: after a switch the old primary takes the new
    one's place among the names."""
    try:
        intended = without(parse_synchronous_standby_names(stated), own_name)
    except ValueError:
        return None
    if not intended.synchronous:
        return None
    if not actual.synchronous:
        return "commits wait for no standby"
    unknown = [n for n in actual.names if n.lower() not in known]
    if unknown:
        return f"{', '.join(unknown)} is no member of this service"
    if actual.k < min(intended.k, len(actual.names)):
        return f"{actual.k} copies instead of {intended.k}"
    return None


def lagging(view: ServiceView, now_s: float) -> Finding | None:
    primary = view.member(view.primary)
    current = primary.fact_int("current_lsn") if primary else None
    for member in view.standbys:
        position = member.fact_int("position")
        if not member.fresh or current is None or position is None:
            continue
        if current - position > LAG_WARN_BYTES:
            text = f"{member.name} is {(current - position) >> 20} MiB behind"
            return Finding("StandbyLagging", member.name, True, (supports(text, member.pg, now_s),))
    return None


def disk_filling(view: ServiceView, now_s: float) -> Finding | None:
    for member in view.members:
        for what in ("wal", "data"):
            known = member.free_bytes(what)
            if known is not None and known[1] and known[0] * 100 < known[1] * view.disk_free_percent:
                free, size = known
                text = f"{member.name}: {free * 100 // size} % free for {what} ({free >> 20} MiB)"
                return Finding("DiskFilling", member.name, True, (supports(text, member.pg, now_s),))
    return None
