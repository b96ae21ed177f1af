"""postgresql.verify_write: a write and a read back through the endpoint, as a client does them.

The number in the canary row is read before anything is written: the newest acknowledged one must be there, or
something was lost (POSTGRESQL P15).
"""

from __future__ import annotations

from typing import ClassVar, Final

from model.execution import Reconciled, StepResult
from model.ports import SqlError, SqlSession
from runbooks.actions.base import Action, StepContext
from runbooks.actions.inputs import as_int
from runbooks.actions.postgresql.inputs import role_user
from runbooks.actions.together import explain

_PAUSE_S: Final = 0.01
_ATTEMPT_S: Final = 2.0  # then a fresh connection: the first may have led to a server that hangs
_TABLE_MISSING: Final = frozenset({"42P01", "3D000", "42501", "42703"})
_TIMELINE: Final = (
    "SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int, "
    "(SELECT n FROM canary WHERE id = 1)"
)
# Never backwards: the canary's own writer may have gone on already.
_WRITE: Final = (
    "UPDATE canary SET n = greatest(n + 1, $1::bigint), token = $2, written = clock_timestamp() "
    "WHERE id = 1 RETURNING n"
)
_READ: Final = "SELECT n FROM canary WHERE id = 1"


class VerifyWrite(Action):
    """Output: `member` that took the write, `canary_found` (before it), `last_acked`, `canary_written`."""

    name: ClassVar[str] = "postgresql.verify_write"
    outputs: ClassVar[tuple[str, ...] | None] = ("member", "canary_found", "last_acked", "canary_written")

    def describe(self, ctx: StepContext) -> list[str]:
        database = ctx.pg.postgresql.canary_database
        return [f"endpoint of {ctx.service.name}, database {database}: read, write and read back the canary"]

    def where(self, ctx: StepContext) -> str:
        return f"through the endpoint as {role_user(ctx.pg, 'monitor')}"

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        clock = ctx.ports.clock
        last_acked = as_int(ctx.vars.get("last_acked_canary"))
        found: int | None = None
        said = "not tried"
        while clock.monotonic_s() < deadline_s:
            try:
                member, session = await _connect(ctx, min(deadline_s, clock.monotonic_s() + _ATTEMPT_S))
                try:
                    end_s = min(deadline_s, clock.monotonic_s() + _ATTEMPT_S)
                    seen = await _look(ctx, member, session, end_s)
                    found = seen if found is None else found
                    written = await _write(ctx, session, max(last_acked or 0, found) + 1, end_s)
                finally:
                    await session.close()
            except SqlError as error:
                said = explain(error)
                if error.sqlstate in _TABLE_MISSING:
                    return StepResult.failed(f"there is no canary that can be written: {said}")
            else:
                return StepResult.ok(
                    f"{member} took canary {written}, found {found}, last acknowledged {last_acked}",
                    member=member,
                    canary_found=found,
                    last_acked=last_acked,
                    canary_written=written,
                )
            await clock.sleep(_PAUSE_S)
        output = {} if found is None else {"canary_found": found, "last_acked": last_acked}
        return StepResult.failed(f"no write was acknowledged through the endpoint: {said}", **output)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        return Reconciled.not_done("a verification is made again, never guessed")


async def _connect(ctx: StepContext, deadline_s: float) -> tuple[str, SqlSession]:
    return await ctx.ports.sql.connect_endpoint(
        ctx.service.name,
        role="monitor",
        database=ctx.pg.postgresql.canary_database,
        timeout_s=max(deadline_s - ctx.ports.clock.monotonic_s(), 0.001),
    )


async def _look(ctx: StepContext, member: str, session: SqlSession, end_s: float) -> int:
    """The canary on the server that the endpoint leads to. Raises SqlError if that is not the one that was
    promoted: the old primary may have come back, and somebody else may have promoted another one."""
    left_s = max(end_s - ctx.ports.clock.monotonic_s(), 0.001)
    [(timeline, found)] = await session.query(_TIMELINE, timeout_s=left_s)
    promoted = as_int(ctx.output("promote").get("timeline"))
    expected = ctx.output("promote").get("member", member)
    other = member in ctx.pg.members and member != expected
    if other or (promoted is not None and int(timeline) != promoted):
        raise SqlError(f"the endpoint leads to {member} on timeline {timeline}, not to the new primary")
    return int(found or 0)


async def _write(ctx: StepContext, session: SqlSession, number: int, end_s: float) -> int:
    clock = ctx.ports.clock
    left_s = max(end_s - clock.monotonic_s(), 0.001)
    rows = await session.query(_WRITE, (number, f"verify {ctx.execution}"), timeout_s=left_s)
    if not rows:
        raise SqlError("the canary's row is missing")
    written = int(rows[0][0])
    [(read,)] = await session.query(_READ, timeout_s=max(end_s - clock.monotonic_s(), 0.001))
    if int(read) < written:
        raise SqlError(f"canary {written} was acknowledged and {read} was read back")
    return written
