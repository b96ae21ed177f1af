"""postgresql.catch_up: the candidate streams what it lacks from the member that has it (POSTGRESQL P4).

Nothing is promoted yet: a standby serves another standby, on the old timeline.
"""

from __future__ import annotations

from typing import ClassVar, Final

from model.errors import BcmError
from model.execution import Reconciled, StepResult
from model.lsn import format_lsn
from model.ports import SqlError
from runbooks.actions.base import Action, StepContext
from runbooks.actions.inputs import as_int
from runbooks.actions.postgresql.conninfo import conninfo_for
from runbooks.actions.postgresql.detach import previous_of
from runbooks.actions.postgresql.inputs import candidate_of, member_named, shown_candidate
from runbooks.actions.postgresql.locks import Locked, locks_of
from runbooks.actions.postgresql.settings import alter
from runbooks.actions.postgresql.state import read_state
from runbooks.actions.together import explain

_POLL_S: Final = 0.003
_NUDGE_S: Final = 0.1


class CatchUp(Action):
    """Output: `lsn`, how far the candidate came (bytes), and `from`."""

    name: ClassVar[str] = "postgresql.catch_up"
    outputs: ClassVar[tuple[str, ...] | None] = ("lsn", "from")

    def describe(self, ctx: StepContext) -> list[str]:
        source = ctx.output("prove").get("source") or "the furthest member"
        return [f"{shown_candidate(ctx)}: streams from {source} until it has all of it, then drops it again"]

    def where(self, ctx: StepContext) -> str:
        return shown_candidate(ctx)

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        source = ctx.output("prove").get("source")
        if not source:
            return StepResult.ok("nobody is ahead of the candidate")
        try:
            candidate = candidate_of(ctx)
            target = _target(ctx, str(source))
            conninfo = conninfo_for(
                member_named(ctx, candidate),
                member_named(ctx, str(source)),
                ctx.pg,
                previous_of(ctx, candidate),
            )
            async with locks_of(ctx).session(candidate, deadline_s) as locked:
                reached = await _stream(locked, conninfo, target)
        except BcmError as error:
            return StepResult.failed(str(error))
        except SqlError as error:
            return StepResult.failed(f"it did not catch up with {source}: {explain(error)}")
        return StepResult.ok(
            f"{candidate} has all that {source} has, up to {format_lsn(reached)}",
            lsn=reached,
            **{"from": source},
        )

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        source = ctx.output("prove").get("source")
        if not source:
            return Reconciled.done("nobody is ahead of the candidate")
        candidate = candidate_of(ctx)
        async with locks_of(ctx).session(candidate, deadline_s) as locked:
            state = await read_state(locked)
        if state.detached and state.position and state.position.lsn >= _target(ctx, str(source)):
            return Reconciled.done(f"{candidate} has it", lsn=state.position.lsn, **{"from": source})
        return Reconciled.not_done(f"{candidate} is at {state.position}")

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        """Drop the source again; the undo of the detaching gives the old upstream back."""
        try:
            candidate = candidate_of(ctx)
            async with locks_of(ctx).session(candidate, deadline_s) as locked:
                await alter(locked, "primary_conninfo", "")
        except (BcmError, SqlError) as error:
            return StepResult.failed(f"the candidate may still stream from another standby: {error}")
        return StepResult.ok(f"{candidate} streams from nobody")


def _target(ctx: StepContext, source: str) -> int:
    lsn = as_int(ctx.output("prove").get("positions", {}).get(source, {}).get("lsn"))
    if lsn is None:
        raise BcmError(f"the proof has no position of {source}")
    return lsn


async def _stream(locked: Locked, conninfo: str, target: int) -> int:
    """Stream until `target` is on disk and drop the source again. The position reached. Raises SqlError."""
    await alter(locked, "primary_conninfo", conninfo)
    nudged_s = locked.clock.monotonic_s()
    dropped = False
    while True:
        state = await read_state(locked)
        there = state.position is not None and state.position.lsn >= target
        if there and not dropped:
            dropped = True
            await alter(locked, "primary_conninfo", "")
        elif there and state.detached and state.position is not None:
            return state.position.lsn
        elif not there and locked.clock.monotonic_s() - nudged_s >= _NUDGE_S:
            nudged_s = locked.clock.monotonic_s()
            await locked.query("SELECT pg_reload_conf()")  # see attach: wakes a sleeping startup process
        await locked.clock.sleep(_POLL_S)
