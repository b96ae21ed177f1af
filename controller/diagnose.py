"""Diagnosis: what is wrong with a service. Pure; the first rule that matches wins, root causes first.

Each rule is a function of the view that returns a finding or None; the order of an engine's rules is the
order of precedence and is part of the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from controller import endpoint_rules as endpoint
from controller import generic_rules as generic
from controller import pool_rules as pool
from controller import primary_rules as primary
from controller import redundancy_rules as redundancy
from controller import replica_rules as replicas
from controller.engines import Engine
from controller.findings import Finding, Rule, first_bad_s, last_good_s, supports
from controller.partition_rules import lost_elsewhere, told
from controller.tally import reaches_anything, tally
from controller.views import ServiceView
from model.diagnosis import CodeInfo, Diagnosis
from model.health import Health
from model.observation import Failure


def diagnose(view: ServiceView, now_s: float) -> Diagnosis:
    """The first rule that matches, with its evidence."""
    rules = RULES_OF[view.engine.name]
    found = next((f for f in (rule(view, now_s) for rule in rules) if f is not None), None)
    finding = found or Finding("Healthy", view.primary, True, ())
    return Diagnosis(
        service=view.name,
        info=with_runbook(finding.info, view.engine),
        member=finding.member,
        confirmed=finding.confirmed,
        since_s=now_s,
        last_good_s=last_good_s(finding.states),
        first_bad_s=first_bad_s(finding.states),
        evidence=finding.evidence,
    )


def with_runbook(info: CodeInfo, engine: Engine) -> CodeInfo:
    """A code's row with the runbook that the engine has for its remedy, if any."""
    runbook = engine.runbooks.get(info.remedy or "")
    return info if info.runbook == runbook else replace(info, runbook=runbook)


def other_manager(view: ServiceView, _now: float) -> Finding | None:
    for member in view.members:
        manager = member.facts.get("other_manager")
        if manager and manager != view.manager:
            text = supports(f"{member.name} shows signs of {manager}", member.own)
            return Finding("OtherManagerPresent", member.name, True, (text,))
    return None


def not_observed(view: ServiceView, _now: float) -> Finding | None:
    member = view.member(view.primary)
    if member is None or (member.own.last is None and member.own.health is Health.UNKNOWN):
        return Finding("NotObservedYet", view.primary, True, ())
    return None


def observer_isolated(view: ServiceView, now_s: float) -> Finding | None:
    """When everything looks dead, suspect yourself (S6): no member answers, not even by a refusal, and no
    reference target has shown that the own network works."""
    if view.observer_sane is True or reaches_anything(view, now_s):
        return None
    if view.observer_sane is None and not any(m.own.health is Health.DOWN for m in view.members):
        return None
    why = view.observer_why or "no reference targets are configured: own network not judged"
    evidence = [supports(why), *(supports(f"{m.name}: {m.own.why}", m.own, now_s) for m in view.members)]
    if view.elsewhere:
        evidence += told(tally(view, now_s).others)
    return Finding("ObserverIsolated", None, True, tuple(evidence))


def everything_unknown(view: ServiceView, now_s: float) -> Finding | None:
    if any(m.own.health is not Health.UNKNOWN for m in view.members):
        return None
    if any(m.own.last is not None and m.own.last.failure is Failure.CREDENTIALS for m in view.members):
        return None
    why = tuple(supports(f"{m.name}: {m.own.why}", m.own, now_s) for m in view.members)
    return Finding("EverythingUnknown", view.primary, True, why)


def second_primary(view: ServiceView, now_s: float) -> Finding | None:
    """Another member answers as primary, on our timeline or a later one. While an execution of ours moves the
    primary's role that is no news."""
    mine = view.member(view.primary)
    if view.moving or mine is None:
        return None
    ours = mine.fact_int("timeline") or view.recorded_timeline
    others = [m for m in redundancy.rogue_primaries(view) if (m.fact_int("timeline") or 0) >= (ours or 0)]
    if not others:
        return None
    other = others[0]
    theirs = other.fact_int("timeline")
    seen = supports(f"{other.name} answers as primary on timeline {theirs}", other.pg, now_s)
    stepped_down = mine.fresh and mine.facts.get("in_recovery") is True
    if not stepped_down and (theirs == ours or mine.fresh):
        also = supports(f"{mine.name} is primary on timeline {ours}: {mine.pg.why}", mine.pg, now_s)
        return Finding("SplitBrain", other.name, True, (seen, also))
    gone = supports(f"{mine.name}, the primary so far: {mine.pg.why}", mine.pg, now_s)
    states = tuple(s for s in (mine.pg, mine.canary) if s is not None)
    return Finding("SwitchedOutside", other.name, True, (seen, gone), states)


def dependency(view: ServiceView, now_s: float) -> Finding | None:
    """Its cause lies below, unless its own process is seen to have died, or its host: no service below does
    that. Where a whole site goes, each has lost its own, and those below go first (gate `order`)."""
    member = view.member(view.primary)
    if not view.broken_dependencies or member is None or member.fresh:
        return None
    if member.pg.refusals >= view.profile.refusals or primary.host_is_silent(view, member, now_s):
        return None
    evidence = (
        supports(f"out: {', '.join(view.broken_dependencies)}"),
        supports(f"{member.name}: {member.pg.why}", member.pg, now_s),
    )
    return Finding("DependencyDown", member.name, True, evidence, (member.pg,))


# What makes a judgement impossible, and what takes its place where there is one primary.
_FIRST: Final[tuple[Rule, ...]] = (not_observed, observer_isolated, everything_unknown)
_REPLICATED: Final[tuple[Rule, ...]] = (
    *_FIRST,
    replicas.second_primary,
    dependency,
    primary.disk_full,
    primary.down,
    redundancy.all_standbys_down,
)
_NO_WORSE: Final[tuple[Rule, ...]] = (
    endpoint.endpoint_down,
    redundancy.standby_down,
    replicas.standby_detached,
    redundancy.credentials_rejected,
)

RULES_OF: Final[Mapping[str, tuple[Rule, ...]]] = {
    "postgresql": (
        other_manager,
        *_FIRST,
        second_primary,
        primary.went_back,
        dependency,
        primary.disk_full,
        primary.down,
        redundancy.all_standbys_down,
        primary.answers_with_trouble,
        primary.suspect,
        primary.read_only,
        primary.writes_blocked,
        redundancy.old_primary_returned,
        endpoint.endpoint_down,
        redundancy.foreign_system,
        redundancy.standby_down,
        redundancy.standby_detached,
        redundancy.credentials_rejected,
        redundancy.drift,
        redundancy.lagging,
        redundancy.disk_filling,
        lost_elsewhere,
        primary.slow,
    ),
    "mariadb": (
        other_manager,
        *_REPLICATED,
        primary.restarting,
        replicas.mariadb_trouble,
        primary.suspect,
        replicas.read_only,
        replicas.errant_transactions,
        replicas.replication_broken,
        *_NO_WORSE,
        replicas.replica_writable,
        replicas.semi_sync_off,
        replicas.lagging,
        replicas.connections_filling,
        lost_elsewhere,
        primary.slow,
    ),
    "redis": (
        other_manager,
        *_REPLICATED,
        primary.restarting,
        replicas.redis_trouble,
        primary.suspect,
        replicas.read_only,
        *_NO_WORSE,
        replicas.save_failing,
        replicas.lagging,
        replicas.memory_filling,
        replicas.connections_filling,
        lost_elsewhere,
        primary.slow,
    ),
    "http": (
        pool.pool_not_observed,
        observer_isolated,
        everything_unknown,
        pool.pool_out,
        pool.pool_credentials_rejected,
        pool.pool_suspect,
        endpoint.way_to_pool_down,
        pool.pool_members_down,
    ),
    "generic": (
        generic.service_not_observed,
        generic.service_isolated,
        generic.service_unknown,
        generic.service_out,
        generic.service_credentials_rejected,
        generic.service_suspect,
        generic.service_degraded,
    ),
}
