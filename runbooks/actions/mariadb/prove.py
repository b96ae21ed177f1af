"""mariadb.prove: does somebody who is left have every acknowledged write?

With semi-sync each acknowledged write is on at least one replica, so the furthest of all of them has every
one; nobody who acknowledged may be missing. Where semi-sync had fallen back to asynchronous, or may have
since it was last seen, nothing is proven. In a planned switch the old primary is closed, and its last GTID
is known.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, Literal

from model.execution import StepResult
from model.gtid import compared, covers, format_gtids, parse_gtids
from model.ports import NoAnswerError
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.inputs import OVERRIDE_PROOF, members_in, overridden
from runbooks.actions.mariadb.choosing import (
    best_of,
    candidate_of,
    domain_of,
    shown_age_ms,
    shown_facts,
    shown_semi_sync,
    why_no_copy,
    why_not_candidate,
)
from runbooks.actions.mariadb.state import MariadbState, read_state
from runbooks.actions.together import on_each, reasons

_AGAIN_S: Final = 0.005


class ProveOptions(ActionOptions):
    """basis: `lost`: of those that have dropped the old primary. `closed`: the candidate must have applied
    the old primary's last GTID (step `quiesce`); it is waited for."""

    basis: Literal["lost", "closed"] = "lost"


class Prove(Action):
    """Output: `candidate`, `readable`, `positions`: {member: {gtid, rest, sequence}}, `excluded`:
    {member: why}, `complete`, `reason`, `age_ms` of the primary's last reading."""

    name: ClassVar[str] = "mariadb.prove"
    Options: ClassVar[type[ActionOptions]] = ProveOptions
    changing: ClassVar[bool] = False
    outputs: ClassVar[tuple[str, ...] | None] = (
        "candidate", "readable", "positions", "excluded", "complete", "reason", "age_ms",
    )  # fmt: skip

    def __init__(self, options: ProveOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        if self._options.basis == "closed":
            return ["the candidate's GTIDs, until it has applied the closed primary's last one"]
        return [
            "Gtid_IO_Pos of every detached replica; the furthest takes over",
            f"semi-sync of the primary when it was last seen: {shown_semi_sync(ctx).misconfigured or 'good'}",
        ]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        return await (_closed if self._options.basis == "closed" else _lost)(ctx, deadline_s)


async def _lost(ctx: StepContext, deadline_s: float) -> StepResult:
    members = [str(m) for m in ctx.output("detach").get("detached", members_in(ctx, "standbys"))]

    async def read(member: str) -> MariadbState:
        return await read_state(ctx, member, deadline_s)

    states, out = await on_each(members, read, clock=ctx.ports.clock, deadline_s=deadline_s)
    age_ms, primary = shown_age_ms(ctx), shown_facts(ctx)
    out |= {m: why for m, s in states.items() if (why := _no_copy(s, primary, age_ms)) is not None}
    copies = [s for m, s in states.items() if m not in out]
    domain = domain_of(primary)
    doubt = _doubt(ctx, copies, domain, age_ms)
    ahead = max((compared(s.received, domain)[1] for s in copies), default=0)
    furthest = [s for s in copies if compared(s.received, domain)[1] == ahead]
    unfit = {s.member: why for s in furthest if (why := why_not_candidate(ctx, s)) is not None}
    best = best_of(ctx, [s for s in furthest if s.member not in unfit])
    behind = {s.member: f"it is behind {furthest[0].member}" for s in copies if s not in furthest}
    output: dict[str, Any] = {
        "readable": [s.member for s in copies],
        "positions": {s.member: s.position(domain) for s in copies},
        "excluded": {**out, **unfit, **behind},
        "complete": doubt is None,
        "reason": doubt or _all_of(copies),
        **({} if age_ms is None else {"age_ms": age_ms}),
    }
    if best is None:
        return StepResult.failed(f"nobody can be promoted{reasons({**out, **unfit, **behind})}", **output)
    text = f"{best} takes over, at sequence {ahead}"
    if doubt is not None and ctx.vars.get("must_prove", True) and not overridden(ctx, OVERRIDE_PROOF):
        return StepResult.failed(f"not proven: {doubt}", **output)
    return StepResult.ok(f"{text}: {output['reason']}{reasons(out)}", candidate=best, **output)


def _no_copy(state: MariadbState, primary: Any, age_ms: int | None) -> str | None:
    if state.receiving:
        return "it still receives"
    why = why_no_copy(state, primary)
    if why is None and age_ms is not None and (state.uptime_s or 0) * 1000 < age_ms:
        # It asks again, from what it has applied, for what it had received.
        return "it was restarted since the primary was last seen: it may have acknowledged more than it has"
    return why


def _doubt(ctx: StepContext, copies: list[MariadbState], domain: int, age_ms: int | None) -> str | None:
    """Why the furthest need not have every acknowledged write; None: it has."""
    acknowledging = [s.member for s in copies if s.facts.get("semi_sync_replica_enabled") is True]
    missing = [m for m in members_in(ctx, "counted") if m not in [s.member for s in copies]]
    if missing:
        return f"{', '.join(missing)} acknowledged writes and can't be read"
    doubt = shown_semi_sync(ctx).doubt(counted=len(acknowledging), age_ms=age_ms)
    if doubt is not None:
        return doubt
    if len({compared(s.received, domain)[0] for s in copies}) > 1:
        return f"the replicas differ in other domains than {domain}: which is further can't be told"
    return None


def _all_of(copies: list[MariadbState]) -> str:
    names = ", ".join(s.member for s in copies)
    return f"every acknowledged write was on one of {names}, and it is the furthest"


async def _closed(ctx: StepContext, deadline_s: float) -> StepResult:
    candidate = candidate_of(ctx)
    final = parse_gtids(str(ctx.output("quiesce").get("final_gtid") or ""))
    if not final:
        return StepResult.failed("the old primary's last GTID is not known")
    clock, said = ctx.ports.clock, "not asked"
    while True:
        try:
            state = await read_state(ctx, candidate, deadline_s)
        except NoAnswerError as error:
            said = str(error)
        else:
            why = why_no_copy(state, shown_facts(ctx)) or why_not_candidate(ctx, state)
            if why is not None:
                return StepResult.failed(f"{candidate} can't be promoted: {why}")
            if covers(state.applied, final):
                return _all_there(ctx, state, format_gtids(final))
            said = f"it is at {format_gtids(state.applied)}"
        if clock.monotonic_s() + _AGAIN_S >= deadline_s:
            return StepResult.failed(f"{candidate} has not applied {format_gtids(final)} in time: {said}")
        await clock.sleep(_AGAIN_S)


def _all_there(ctx: StepContext, state: MariadbState, final: str) -> StepResult:
    reason = f"{state.member} has all that the old primary had when it was closed ({final})"
    return StepResult.ok(
        reason,
        candidate=state.member,
        readable=[state.member],
        positions={state.member: state.position(domain_of(shown_facts(ctx)))},
        excluded={},
        complete=True,
        reason=reason,
    )
