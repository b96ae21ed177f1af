"""A read-only look at a member over a session of its own, for prechecks and whatever needs no lock."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from model.errors import BcmError
from model.execution import Precheck
from model.ports import SqlError
from runbooks.actions.base import StepContext
from runbooks.actions.postgresql.locks import Locked
from runbooks.actions.postgresql.state import StandbyState, read_state
from runbooks.actions.together import explain

APPLICATION_NAME = "bcm-failover:look"
PRECHECK_S = 2.0  # a person waits for the plan; a member that takes longer will not be quick in need either


@contextlib.asynccontextmanager
async def looking(
    ctx: StepContext, member: str, deadline_s: float, *, role: str = "control"
) -> AsyncIterator[Locked]:
    """A fresh session without a lock, for reading only. Raises SqlError."""
    session = await ctx.ports.sql.connect(
        ctx.service.name,
        member,
        role=role,
        database=ctx.pg.postgresql.database,
        timeout_s=max(deadline_s - ctx.ports.clock.monotonic_s(), 0.001),
        application_name=APPLICATION_NAME,
    )
    try:
        yield Locked(member, session, ctx.ports.clock, deadline_s)
    finally:
        await session.close()


async def glance(ctx: StepContext, member: str) -> StandbyState | str:
    """The member's state, or why it can't be read."""
    try:
        async with looking(ctx, member, ctx.ports.clock.monotonic_s() + PRECHECK_S) as locked:
            return await read_state(locked)
    except SqlError as error:
        return explain(error)
    except BcmError as error:
        return error.what


async def precheck_reachable(ctx: StepContext, member: str, *, why: str) -> Precheck:
    state = await glance(ctx, member)
    bad = isinstance(state, str)
    return Precheck(
        what=f"{member} answers",
        how=f"a session as {ctx.pg.postgresql.roles.control.user}",
        ok=not bad,
        result=state if isinstance(state, str) else ("standby" if state.in_recovery else "primary"),
        why=why,
        if_failed="see its server log, pg_hba.conf and the control role's password",
    )


async def precheck_standby(ctx: StepContext, member: str) -> list[Precheck]:
    """Could it be detached and follow another?"""
    state = await glance(ctx, member)
    if isinstance(state, str):
        return [await precheck_reachable(ctx, member, why="its positions are part of the proof (P1)")]
    return [
        Precheck(
            what=f"replay on {member} is not held up",
            how="pg_stat_activity, pg_get_wal_replay_pause_state()",
            ok=state.stuck is None,
            result=state.stuck or "it replays",
            why="a standby whose replay is stuck goes on confirming writes to the old primary (P5)",
            if_failed="pg_wal_replay_resume(), or end the sessions that hold it up",
        )
    ]
