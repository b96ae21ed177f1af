"""Rules of diagnosis for MariaDB and Redis: a primary, replicas, and no timelines that order them. Pure.

What is the same as for PostgreSQL is in `primary_rules` and `redundancy_rules`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from controller.findings import Finding, against, bad_for_s, supports
from controller.views import MemberView, ServiceView
from model.diagnosis import Stance
from model.gtid import parse_gtids
from model.health import Health
from model.observation import Failure, Outcome

# Seconds that a replica may be behind before it is called lagging: longer than a large transaction takes.
LAG_WARN_S: Final = 30
# Of the connections, or of the memory, that a server allows: the rest may be gone within minutes.
NEARLY_FULL_PERCENT: Final = 90

# What a living primary that is not well says, by how an attempt failed.
_TROUBLE: Final = {
    Failure.SATURATED: "PrimaryConnectionsExhausted",
    Failure.CREDENTIALS: "ProbeCredentialsRejected",
    Failure.READ_ONLY: "PrimaryReadOnly",
    Failure.SYNC_BLOCKED: "PrimarySyncBlocked",
    Failure.IO_BLOCKED: "PrimaryWritesBlocked",
    Failure.BAD_ANSWER: "PrimaryBadAnswer",
}
_REDIS_TROUBLE: Final = {**_TROUBLE, Failure.SYNC_BLOCKED: "TooFewReplicas"}


def second_primary(view: ServiceView, now_s: float) -> Finding | None:
    """Another member answers as primary. Nothing tells who came later; but who was primary before and has not
    been brought back is the old one."""
    mine = view.member(view.primary)
    if view.moving or mine is None:
        return None
    others = [m for m in view.standbys if m.leads]
    if not others:
        return None
    other = next((m for m in others if m.name not in view.retired), others[0])
    seen = supports(f"{other.name} answers as primary", other.own, now_s)
    if other.name in view.retired and mine.leads:
        also = supports(f"{mine.name} took its place before", mine.own, now_s)
        stance = None if "rejoin" in view.engine.runbooks else Stance.REFUSE
        return Finding("OldPrimaryReturned", other.name, True, (seen, also), stance=stance)
    gone = supports(f"{mine.name}, the primary so far: {mine.own.why}", mine.own, now_s)
    if mine.follows or mine.own.health is Health.DOWN:
        return Finding("SwitchedOutside", other.name, True, (seen, gone), (mine.own,))
    return Finding("SplitBrain", other.name, True, (seen, gone))


def mariadb_trouble(view: ServiceView, now_s: float) -> Finding | None:
    return _trouble(view, now_s, _TROUBLE)


def redis_trouble(view: ServiceView, now_s: float) -> Finding | None:
    member = view.member(view.primary)
    last = member.own.last if member is not None else None
    # OOM is the server's own code: its memory is used up, not its connections.
    if member is not None and last is not None and last.detail.startswith("OOM"):
        return _told(view, member, "PrimaryMemoryFull", now_s)
    return _trouble(view, now_s, _REDIS_TROUBLE)


def _trouble(view: ServiceView, now_s: float, codes: dict[Failure, str]) -> Finding | None:
    """One probe reads and writes, so what it says last is what counts."""
    member = view.member(view.primary)
    if member is None or member.fresh or member.own.last is None:
        return None
    last = member.own.last
    if last.outcome is Outcome.SUCCEEDED or last.failure not in codes:
        return None
    return _told(view, member, codes[last.failure], now_s)


def _told(view: ServiceView, member: MemberView, code: str, now_s: float) -> Finding:
    last = member.own.last
    assert last is not None  # noqa: S101  # whoever asks has looked
    confirmed = bad_for_s(member.own, now_s) >= view.profile.silence_s or last.failure is Failure.CREDENTIALS
    evidence = [supports(f"{member.name}: {last.failure}: {last.detail}", member.own, now_s)]
    if last.facts:
        evidence.append(against("reads are answered", member.own, now_s))
    return Finding(code, member.name, confirmed, tuple(evidence), (member.own,))


def read_only(view: ServiceView, now_s: float) -> Finding | None:
    """By what it says of itself, where no write was tried."""
    member = view.member(view.primary)
    if member is None or view.moving or not member.fresh:
        return None
    if member.follows:
        text = "it runs as a replica, and nobody else is primary"
    elif member.facts.get("read_only") is True:
        text = "read_only is on"
    else:
        return None
    return Finding(
        "PrimaryReadOnly", member.name, True, (supports(f"{member.name}: {text}", member.own, now_s),)
    )


def errant_transactions(view: ServiceView, now_s: float) -> Finding | None:
    """A replica of MariaDB that has transactions of its own which the primary lacks: under its own server id,
    so that they can't be the primary's latest, read a moment later."""
    primary = view.member(view.primary)
    if primary is None or not primary.leads:
        return None
    has = parse_gtids(str(primary.facts.get("gtid_current_pos") or ""))
    for member in view.standbys:
        own_id = member.fact_int("server_id")
        if not member.fresh or own_id is None:
            continue
        for domain, (server, sequence) in parse_gtids(
            str(member.facts.get("gtid_current_pos") or "")
        ).items():
            if server == own_id and sequence > has.get(domain, (0, 0))[1]:
                text = f"{member.name} wrote {domain}-{server}-{sequence} itself; {primary.name} lacks it"
                return Finding("ErrantTransactions", member.name, True, (supports(text, member.own, now_s),))
    return None


def replication_broken(view: ServiceView, now_s: float) -> Finding | None:
    """A thread of MariaDB's replication has stopped with an error: it does not go on by itself."""
    for member in _followers(view):
        sources = member.facts.get("sources")
        for source in sources if isinstance(sources, Sequence) else ():
            for thread in ("io", "sql"):
                error = source.get(f"{thread}_error")
                if source.get(f"{thread}_running") is False and error:
                    text = f"{member.name}: the {thread.upper()} thread has stopped: {error}"
                    return Finding(
                        "ReplicationBroken", member.name, True, (supports(text, member.own, now_s),)
                    )
    return None


def standby_detached(view: ServiceView, now_s: float) -> Finding | None:
    for member in view.standbys:
        if not member.fresh or member.leads or member.receives:
            continue
        text = "does not hear its primary" if member.follows else "replicates from nobody"
        evidence = (supports(f"{member.name} {text}", member.own, now_s),)
        return Finding("StandbyDetached", member.name, True, evidence)
    return None


def replica_writable(view: ServiceView, now_s: float) -> Finding | None:
    """Of MariaDB: what somebody writes there by mistake is lost, or breaks the replication."""
    for member in _followers(view):
        if member.facts.get("read_only") is False:
            evidence = (supports(f"{member.name} is a replica with read_only off", member.own, now_s),)
            return Finding("ReplicaWritable", member.name, True, evidence)
    return None


def semi_sync_off(view: ServiceView, now_s: float) -> Finding | None:
    """MariaDB gives up waiting for a replica after a time-out, and goes on without."""
    member = view.member(view.primary)
    if member is None or not member.leads or member.facts.get("semi_sync_enabled") is not True:
        return None
    if member.facts.get("semi_sync_active") is not False:
        return None
    text = f"{member.name}: semi-synchronous replication is on and not in force"
    return Finding("SemiSyncOff", member.name, True, (supports(text, member.own, now_s),))


def lagging(view: ServiceView, now_s: float) -> Finding | None:
    for member in _followers(view):
        behind_s = max(member.fact_int("seconds_behind") or 0, member.fact_int("lag_s") or 0)
        if behind_s > LAG_WARN_S:
            text = f"{member.name} is {behind_s} s behind"
            return Finding("StandbyLagging", member.name, True, (supports(text, member.own, now_s),))
    return None


def save_failing(view: ServiceView, now_s: float) -> Finding | None:
    """Of Redis."""
    for member in view.members:
        if member.fresh and member.facts.get("last_save_ok") is False:
            text = f"{member.name}: the last background save failed"
            return Finding("SaveFailing", member.name, True, (supports(text, member.own, now_s),))
    return None


def memory_filling(view: ServiceView, now_s: float) -> Finding | None:
    """Of Redis; without a limit nothing fills but the host."""
    return _filling(
        view, now_s, "MemoryFilling", (("used_memory_bytes", "max_memory_bytes"),), "of its memory"
    )


def connections_filling(view: ServiceView, now_s: float) -> Finding | None:
    pairs = (("threads_connected", "max_connections"), ("connected_clients", "max_clients"))
    return _filling(view, now_s, "ConnectionsFilling", pairs, "of its connections")


def _filling(
    view: ServiceView, now_s: float, code: str, pairs: Sequence[tuple[str, str]], of_what: str
) -> Finding | None:
    for member in view.members:
        for used_key, most_key in pairs:
            used, most = member.fact_int(used_key), member.fact_int(most_key)
            if member.fresh and used is not None and most and used * 100 >= most * NEARLY_FULL_PERCENT:
                text = f"{member.name} uses {used * 100 // most} % {of_what}"
                return Finding(code, member.name, True, (supports(text, member.own, now_s),))
    return None


def _followers(view: ServiceView) -> list[MemberView]:
    return [m for m in view.standbys if m.follows]
