"""Whom an execution promotes, as its steps have found it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from model.errors import RunbookError
from model.gtid import Logged, parse_logged, unknown_to
from model.semi_sync import SemiSync
from runbooks.actions.base import StepContext
from runbooks.actions.inputs import as_int, members_in, people_named_candidate, preference, variable
from runbooks.actions.mariadb.asking import member_of
from runbooks.actions.mariadb.state import MariadbState


def candidate_of(ctx: StepContext) -> str:
    """Whom the proof (or, in a planned switch, the readiness check) chose. Raises RunbookError."""
    for found in (ctx.output("prove").get("candidate"), ctx.output("ready").get("candidate")):
        if isinstance(found, str) and found:
            return found
    return variable(ctx, "candidate")


def shown_candidate(ctx: StepContext) -> str:
    """The same for a plan, where nobody has been looked at yet."""
    try:
        return candidate_of(ctx)
    except RunbookError:
        fit = [n for n in members_in(ctx, "standbys") if not member_of(ctx, n).excluded]
        best = min(fit, key=lambda n: (preference(ctx, member_of(ctx, n)), n), default=None)
        return best or "CANDIDATE"


def shown_facts(ctx: StepContext) -> Mapping[str, Any]:
    """Of the primary, as it was last seen; empty if it never was."""
    value = ctx.vars.get("shown")
    return value if isinstance(value, Mapping) else {}


def shown_semi_sync(ctx: StepContext) -> SemiSync:
    return SemiSync.of(shown_facts(ctx))


def shown_age_ms(ctx: StepContext) -> int | None:
    """Since that reading began."""
    began_ns = as_int(ctx.vars.get("shown_ns"))
    if began_ns is None:
        return None
    return max(0, int(ctx.ports.clock.monotonic_s() * 1000) - began_ns // 1_000_000)


def domain_of(facts: Mapping[str, Any]) -> int:
    """In which the primary writes; the server's own default is 0."""
    return as_int(facts.get("gtid_domain_id")) or 0


def errant(state: MariadbState, primary: Mapping[str, Any]) -> list[str]:
    """GTIDs that it has and the primary never had; the primary's own latest, which nobody had read yet, are
    none. Where nothing is known of the primary, nothing is found."""
    text = primary.get("gtid_binlog_state")
    if not isinstance(text, str):
        return []
    logged: Logged = parse_logged(text)
    return unknown_to(state.logged, logged, but=as_int(primary.get("server_id")))


def why_no_copy(state: MariadbState, primary: Mapping[str, Any]) -> str | None:
    """Why what the member has says nothing of what the primary acknowledged, or None."""
    if not state.replicates:
        return "it is no replica: it follows nobody"
    if len(state.sources) > 1 or state.sources[0]["name"]:
        return "it replicates from several, or over a connection with a name"
    if state.sources[0]["using_gtid"] in (None, "No"):
        return "it does not replicate by GTID"
    own = errant(state, primary)
    if own:
        return f"it has transactions that the primary never had ({', '.join(own)})"
    return None


def why_not_candidate(ctx: StepContext, state: MariadbState) -> str | None:
    """Why it may not be promoted, though it counts as a copy; None if it may."""
    if not state.applying:
        return f"it does not apply what it has received: {state.fault or 'its SQL thread does not run'}"
    if any(s["delay_s"] for s in state.sources):
        return "it applies with a delay"
    if not (state.facts.get("log_bin") and state.facts.get("log_replica_updates")):
        return "nobody could follow it: log_bin and log_slave_updates must be on"
    if member_of(ctx, state.member).excluded:
        return "excluded by the estate"
    if state.member in members_in(ctx, "not_asked"):
        return "a person must be asked for it first"
    return None


def best_of(ctx: StepContext, states: Sequence[MariadbState]) -> str | None:
    """By preference, of those that are fit and equally far. A given candidate is taken where it is among
    them; one that people named, or nobody."""
    wanted = ctx.vars.get("candidate")
    if isinstance(wanted, str) and wanted:
        if any(s.member == wanted for s in states):
            return wanted
        if people_named_candidate(ctx):
            return None
    names = [s.member for s in states]
    return min(names, key=lambda n: (preference(ctx, member_of(ctx, n)), n), default=None)
