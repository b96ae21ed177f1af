"""postgresql.repoint: the other standbys follow the new primary.

Until the first of them streams, commits on the new primary wait (POSTGRESQL P11): the step is done then; the
others are waited for only briefly, and those that do not come are named. It may run while the promotion does:
a standby follows a standby, and changes to the new timeline with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from model.errors import BcmError
from model.execution import Reconciled, StepResult
from model.ports import SqlError
from runbooks.actions.base import Action, StepContext
from runbooks.actions.inputs import members_in
from runbooks.actions.postgresql.conninfo import conninfo_for
from runbooks.actions.postgresql.detach import previous_of
from runbooks.actions.postgresql.glance import looking
from runbooks.actions.postgresql.inputs import candidate_of, member_named, role_user, shown_candidate
from runbooks.actions.postgresql.locks import Locked, locks_of
from runbooks.actions.postgresql.settings import alter
from runbooks.actions.postgresql.slots import ensure_slot
from runbooks.actions.postgresql.state import read_state
from runbooks.actions.together import on_each, reasons

_POLL_S: Final = 0.003
_NUDGE_S: Final = 0.1
_OTHERS_S: Final = 0.1  # the first attempt of a second standby ends with the first's, give or take this
_PROMOTED: Final = """
SELECT CASE WHEN NOT r THEN (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint END
FROM (SELECT pg_is_in_recovery()) AS x (r)"""
# It streams, and has what was there right after the promotion: so it is on the new timeline.
_STREAMING: Final = """
SELECT lower(application_name) FROM pg_stat_replication
WHERE state = 'streaming' AND flush_lsn >= '0/0'::pg_lsn + $1::numeric"""


class Repoint(Action):
    """Output: `attached`, and `missing` (member → why)."""

    name: ClassVar[str] = "postgresql.repoint"
    outputs: ClassVar[tuple[str, ...] | None] = ("attached", "missing")

    def describe(self, ctx: StepContext) -> list[str]:
        candidate = shown_candidate(ctx)
        return [
            f"{m}: ALTER SYSTEM SET primary_conninfo to {candidate}; pg_reload_conf(); until it streams"
            for m in members_in(ctx, "standbys")
            if m != candidate
        ]

    def where(self, ctx: StepContext) -> str:
        return f"{', '.join(_others(ctx, shown_candidate(ctx)))} as {role_user(ctx.pg, 'control')}"

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        try:
            primary = candidate_of(ctx)
            locks = locks_of(ctx)
        except BcmError as error:
            return StepResult.failed(str(error))
        others = _others(ctx, primary)
        if not others:
            return StepResult.ok("there is no other standby", attached=[], missing={})
        told, missing = await on_each(
            locks.members_of(others),
            lambda m: _tell(ctx, m, primary, deadline_s),
            clock=ctx.ports.clock,
            deadline_s=deadline_s,
            enough=bool,
        )
        missing |= {m: "not locked" for m in others if m not in told and m not in missing}
        try:
            # Not over the lock session: the promotion, which may run at the same time, has that to itself.
            async with looking(ctx, primary, deadline_s) as session:
                attached = await _wait(session, ctx, list(told))
        except (BcmError, SqlError) as error:
            return StepResult.failed(
                f"{primary} can't be asked who streams from it: {error}", missing=missing
            )
        missing |= {m: "does not stream yet" for m in told if m not in attached}
        if not attached:
            return StepResult.failed(
                f"no standby streams from {primary}{reasons(missing)}", attached=[], missing=missing
            )
        return StepResult.ok(
            f"stream from {primary}: {', '.join(attached)}{reasons(missing)}",
            attached=attached,
            missing=missing,
        )

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        primary = candidate_of(ctx)
        others = _others(ctx, primary)
        async with locks_of(ctx).session(primary, deadline_s) as locked:
            attached = await _attached(locked, ctx, others, _promoted_lsn(ctx))
        if others and not attached:
            return Reconciled.not_done(f"no standby streams from {primary}")
        missing = {m: "does not stream yet" for m in others if m not in attached}
        return Reconciled.done(
            f"stream from {primary}: {', '.join(attached)}", attached=attached, missing=missing
        )


def _others(ctx: StepContext, primary: str) -> list[str]:
    return [m for m in members_in(ctx, "standbys") if m != primary]


async def _tell(ctx: StepContext, name: str, primary: str, deadline_s: float) -> None:
    member = member_named(ctx, name)
    await ensure_slot(ctx, member, member_named(ctx, primary))
    async with locks_of(ctx).session(name, deadline_s) as locked:
        state = await read_state(locked)
        if not state.in_recovery:
            raise BcmError("it is no standby")
        previous = state.conninfo or previous_of(ctx, name)
        conninfo = conninfo_for(member, member_named(ctx, primary), ctx.pg, previous)
        await alter(locked, "primary_conninfo", conninfo)


async def _wait(locked: Locked, ctx: StepContext, told: list[str]) -> list[str]:
    """Those that stream: until all do, or `_OTHERS_S` after the first. [] at the deadline."""
    nudged_s = locked.clock.monotonic_s()
    end_s = locked.deadline_s - 0.05
    attached: list[str] = []
    from_lsn: int | None = None
    while told and locked.clock.monotonic_s() < end_s:
        if from_lsn is None:
            [(from_lsn,)] = await locked.query(_PROMOTED)
        now = [] if from_lsn is None else await _attached(locked, ctx, told, from_lsn)
        if now and not attached:
            end_s = min(end_s, locked.clock.monotonic_s() + _OTHERS_S)
        attached = now or attached
        if len(attached) == len(told):
            break
        if from_lsn is not None and not attached and locked.clock.monotonic_s() - nudged_s >= _NUDGE_S:
            nudged_s = locked.clock.monotonic_s()
            await _nudge(ctx, told, locked.deadline_s)
        await locked.clock.sleep(_POLL_S)
    return attached


def _promoted_lsn(ctx: StepContext) -> int:
    promoted: Mapping[str, Any] = ctx.output("promote")
    return int(promoted.get("lsn") or 0)


async def _attached(locked: Locked, ctx: StepContext, members: list[str], from_lsn: int) -> list[str]:
    """Those that have on disk what the new primary had at `from_lsn`."""
    names = {str(row[0]) for row in await locked.query(_STREAMING, from_lsn)}
    return [m for m in members if member_named(ctx, m).application_name.lower() in names]


async def _nudge(ctx: StepContext, members: list[str], deadline_s: float) -> None:
    """Their first attempt may have failed, and they would sleep for up to 5 s: see attach."""

    async def reload(member: str) -> None:
        async with locks_of(ctx).session(member, deadline_s) as locked:
            await locked.query("SELECT pg_reload_conf()")

    _done, failed = await on_each(members, reload, clock=ctx.ports.clock, deadline_s=deadline_s, enough=bool)
    if failed:
        ctx.progress(f"asked to try again{reasons(failed)}")
