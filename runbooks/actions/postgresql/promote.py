"""postgresql.promote: the candidate becomes the primary (POSTGRESQL P12).

Once issued it can't be withdrawn: a time-out is UNKNOWN, never failed, and nobody else may be promoted. What
holds up replay on the candidate is ended: the promotion would wait for it.
"""

from __future__ import annotations

from typing import ClassVar, Final

from model.errors import BcmError
from model.execution import Precheck, Reconciled, StepResult
from model.lsn import format_lsn
from model.ports import SqlError
from runbooks.actions.base import Action, StepContext
from runbooks.actions.inputs import OVERRIDE_PROOF, members_in, overridden
from runbooks.actions.postgresql.glance import precheck_standby
from runbooks.actions.postgresql.inputs import (
    candidate_of,
    member_named,
    role_user,
    settings_in_force,
    shortfall,
    shown_candidate,
)
from runbooks.actions.postgresql.locks import Locked, locks_of
from runbooks.actions.postgresql.state import StandbyState, read_state
from runbooks.actions.postgresql.unstick import unstick
from runbooks.actions.together import explain

_POLL_S: Final = 0.002
# A look with less time than this may end with the deadline, and its session and its lock with it (P7).
_ANSWER_S: Final = 0.25
# A promotion that takes longer is looked at: does something hold up replay?
_LOOK_S: Final = 0.1
# So long a candidate may take to go on with replay before anything is issued.
_UNSTICK_S: Final = 2.0
# Not pg_promote(true): that looks only every 100 ms whether it is done.
_PROMOTE: Final = "SELECT pg_promote(false)"
_ALREADY: Final = "55000"  # "recovery is not in progress"


class Promote(Action):
    """Output: `member`, `timeline`, `lsn` (bytes, just after the promotion)."""

    name: ClassVar[str] = "postgresql.promote"
    promotes: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...] | None] = ("member", "timeline", "lsn")

    def describe(self, ctx: StepContext) -> list[str]:
        return [f"{shown_candidate(ctx)}: {_PROMOTE}; until pg_is_in_recovery() is false"]

    def where(self, ctx: StepContext) -> str:
        return f"{shown_candidate(ctx)} as {role_user(ctx.pg, 'control')}"

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        candidate = shown_candidate(ctx)
        return await precheck_standby(ctx, candidate) if candidate in ctx.pg.members else []

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        issued = accepted = False
        try:
            candidate = candidate_of(ctx)
            async with locks_of(ctx).session(candidate, deadline_s) as locked:
                state = await _going_on(locked)
                if state.in_recovery and state.stuck is not None:
                    return StepResult.failed(f"{candidate} would not get through: {state.stuck}")
                if state.in_recovery:
                    short = _too_few_locked(ctx)
                    if short is not None:
                        return StepResult.failed(f"too few standbys are locked: {short}")
                    issued = True
                    await _issue(locked)
                    accepted = True
                return await _wait(locked, ctx)
        except BcmError as error:
            return StepResult.failed(str(error))
        except SqlError as error:
            if not issued:
                return StepResult.failed(f"not issued: {explain(error)}")
            # Whatever ends the session says nothing of a promotion that was asked for in it (P12).
            ended = error.outcome_unknown or (error.sqlstate or "57").startswith("57")
            if not accepted and not ended:
                return StepResult.failed(f"the server refused: {explain(error)}")
            return StepResult.unknown(
                f"issued to {candidate}, and not seen to end ({explain(error)}): nobody else may be promoted"
            )

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        """In recovery: issuing it again to the same member is safe, to another one it never is."""
        candidate = candidate_of(ctx)
        async with locks_of(ctx).session(candidate, deadline_s) as locked:
            state = await read_state(locked)
            if state.in_recovery:
                return Reconciled.not_done(f"{candidate} is in recovery")
            result = await _wait(locked, ctx)
        return Reconciled.done(result.detail, **result.output)


def _too_few_locked(ctx: StepContext) -> str | None:
    """Whoever holds fewer locks than the proof needs can't know that no other controller is at work (P7)."""
    if overridden(ctx, OVERRIDE_PROOF):
        return None
    locked = locks_of(ctx).members_of(members_in(ctx, "standbys"))
    return shortfall(settings_in_force(ctx), [member_named(ctx, m) for m in locked])


async def _going_on(locked: Locked) -> StandbyState:
    """The candidate's state, once nothing holds up its replay or it has been waited for. Raises SqlError."""
    until_s = min(locked.clock.monotonic_s() + _UNSTICK_S, locked.deadline_s - _ANSWER_S)
    while True:
        state = await read_state(locked)
        over = locked.clock.monotonic_s() >= until_s or state.apply_delay_ms > 0
        if not state.in_recovery or state.stuck is None or over:
            return state
        await unstick(locked, state)
        await locked.clock.sleep(_POLL_S)


async def _issue(locked: Locked) -> None:
    try:
        await locked.query(_PROMOTE)
    except SqlError as error:
        if error.sqlstate != _ALREADY:
            raise


async def _wait(locked: Locked, ctx: StepContext) -> StepResult:
    """Until it takes writes. Raises SqlError at the deadline."""
    look_s = locked.clock.monotonic_s() + _LOOK_S
    while True:
        [(recovery,)] = await locked.query("SELECT pg_is_in_recovery()")
        if not recovery:
            break
        if locked.clock.monotonic_s() + _POLL_S + _ANSWER_S >= locked.deadline_s:
            return StepResult.unknown(
                f"issued to {locked.member}, which is still in recovery: nobody else may be promoted",
                member=locked.member,
            )
        if locked.clock.monotonic_s() >= look_s:
            state = await read_state(locked)
            if state.in_recovery and state.stuck is not None:
                await unstick(locked, state)
            look_s = locked.clock.monotonic_s() + _LOOK_S
        await locked.clock.sleep(_POLL_S)
    [(lsn, timeline)] = await locked.query(
        "SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint, "
        "('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int"
    )
    ctx.progress(f"{locked.member} is the primary, on timeline {timeline}")
    return StepResult.ok(
        f"{locked.member} is the primary, on timeline {timeline} from {format_lsn(int(lsn))}",
        member=locked.member,
        timeline=int(timeline),
        lsn=int(lsn),
    )
