"""Whom an execution promotes, as its steps have found it out."""

from __future__ import annotations

from collections.abc import Sequence

from model.errors import RunbookError
from runbooks.actions.base import StepContext
from runbooks.actions.inputs import members_in, people_named_candidate, preference, variable
from runbooks.actions.redis.asking import member_of, service_of
from runbooks.actions.redis.state import RedisState


def candidate_of(ctx: StepContext) -> str:
    """Whom the positions (or, in a planned switch, the readiness check) chose. Raises RunbookError."""
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


def why_not(ctx: StepContext, state: RedisState, replid: str) -> str | None:
    """Why the member can't be promoted, or None. replid: of the old primary's history; '' while not known."""
    member = service_of(ctx).members[state.member]
    if state.primary:
        return "it is no replica: it runs as a primary"
    if state.syncing or state.loading:
        return "it is being given its data, and has not all of it"
    if not state.replid:
        return "it has never followed anybody"
    if replid and state.replid != replid:
        return f"it has another history ({state.replid[:8]}…, not {replid[:8]}…)"
    if member.excluded:
        return "excluded by the estate"
    if state.member in members_in(ctx, "not_asked"):
        return "a person must be asked for it first"
    return None


def best_of(ctx: StepContext, states: Sequence[RedisState]) -> str | None:
    """The furthest comes first, since nothing proves how far the old primary was; but the DR site comes last,
    and before it whoever lost the role a short while ago. A given candidate is taken where it is fit; one
    that people named, or nobody."""
    wanted = ctx.vars.get("candidate")
    if isinstance(wanted, str) and wanted:
        if any(s.member == wanted for s in states):
            return wanted
        if people_named_candidate(ctx):
            return None

    def rank(state: RedisState) -> tuple[tuple[int, ...], int, tuple[int, ...], str]:
        prefers = preference(ctx, member_of(ctx, state.member))
        return prefers[:2], -state.offset, prefers[2:], state.member

    best = min(states, key=rank, default=None)
    return None if best is None else best.member
