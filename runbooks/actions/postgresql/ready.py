"""postgresql.ready: may the primary be moved as planned, and to whom? Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

from model.errors import BcmError
from model.execution import Precheck, StepResult
from model.ports import SqlError
from runbooks.actions.base import Action, StepContext
from runbooks.actions.inputs import members_in, people_named_candidate, preference, variable
from runbooks.actions.postgresql.glance import glance, precheck_standby
from runbooks.actions.postgresql.inputs import member_named, settings_in_force, shortfall
from runbooks.actions.postgresql.locks import Locked, locks_of
from runbooks.actions.postgresql.server import Server
from runbooks.actions.postgresql.state import StandbyState, read_state
from runbooks.actions.together import explain, on_each, reasons

# What a standby may lack when the primary closes: one segment is streamed in a fraction of a second.
_LAG_BYTES: Final = 16 << 20
_STREAMS: Final = """
SELECT lower(application_name), (pg_current_wal_flush_lsn() - coalesce(replay_lsn, '0/0'))::bigint
FROM pg_stat_replication WHERE state = 'streaming'"""


@dataclass(frozen=True, slots=True)
class _Field:
    """Who streams from the primary, and how far each is behind; and each standby's own view."""

    lag_bytes: dict[str, int]
    states: dict[str, StandbyState]
    unread: dict[str, str]


class Ready(Action):
    """Output: `candidate`, `standbys` that stream, `unfit` (member → why it can't be the candidate)."""

    name: ClassVar[str] = "postgresql.ready"
    changing: ClassVar[bool] = False
    needs_primary: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...] | None] = ("candidate", "standbys", "unfit")

    def describe(self, ctx: StepContext) -> list[str]:
        return [
            f"{variable(ctx, 'primary')}: takes writes, its standbys stream and lag by less than a segment",
            f"node access to {member_named(ctx, variable(ctx, 'primary')).node}: its server can be stopped",
        ]

    def where(self, ctx: StepContext) -> str:
        return ", ".join([variable(ctx, "primary"), *members_in(ctx, "standbys")])

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        primary = variable(ctx, "primary")
        state = await glance(ctx, primary)
        ok = not isinstance(state, str) and not state.in_recovery
        rows = [
            Precheck(
                what=f"{primary} is the primary",
                how="pg_is_in_recovery()",
                ok=ok,
                result=state if isinstance(state, str) else ("primary" if ok else "standby"),
                why="a planned switch needs both sides alive",
                if_failed="if the primary is lost, this is a failover",
            )
        ]
        for member in members_in(ctx, "standbys"):
            rows += await precheck_standby(ctx, member)
        return rows

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        primary = variable(ctx, "primary")
        try:
            processes = await Server(ctx, member_named(ctx, primary)).processes()
            if not processes:
                return StepResult.failed(f"node access sees no process of {primary}: is data_dir right?")
            async with locks_of(ctx).session(primary, deadline_s) as locked:
                lags = await _lags(locked, ctx)
            field = await _read_standbys(ctx, lags, deadline_s)
            settings = settings_in_force(ctx)
        except BcmError as error:
            return StepResult.failed(str(error))
        except SqlError as error:
            return StepResult.failed(f"{primary} can't be read: {explain(error)}")
        streaming = [m for m in members_in(ctx, "standbys") if m in field.lag_bytes]
        # After the switch the candidate needs somebody to confirm its commits.
        problem = shortfall(settings, [member_named(ctx, m) for m in streaming])
        unfit = {m: why for m in members_in(ctx, "standbys") if (why := _unfit(ctx, m, field))}
        output: dict[str, Any] = {"standbys": streaming, "unfit": unfit}
        if problem is not None:
            return StepResult.failed(f"too few standbys stream from {primary}: {problem}", **output)
        candidate = _choose(ctx, [m for m in streaming if m not in unfit])
        if candidate is None:
            return StepResult.failed(f"nobody can take over from {primary}{reasons(unfit)}", **output)
        return StepResult.ok(
            f"{candidate} can take over from {primary}{reasons(unfit)}", candidate=candidate, **output
        )


async def _lags(locked: Locked, ctx: StepContext) -> dict[str, int]:
    """Bytes that each streaming standby has not replayed. Raises BcmError if this is no primary."""
    [(recovery,)] = await locked.query("SELECT pg_is_in_recovery()")
    if recovery:
        raise BcmError(f"{locked.member} is not the primary")
    rows = {str(name): int(lag) for name, lag in await locked.query(_STREAMS)}
    members = {m: member_named(ctx, m).application_name.lower() for m in members_in(ctx, "standbys")}
    return {m: rows[app] for m, app in members.items() if app in rows}


async def _read_standbys(ctx: StepContext, lags: dict[str, int], deadline_s: float) -> _Field:
    locks = locks_of(ctx)

    async def read(member: str) -> StandbyState:
        async with locks.session(member, deadline_s) as locked:
            return await read_state(locked)

    standbys = locks.members_of(members_in(ctx, "standbys"))
    states, unread = await on_each(standbys, read, clock=ctx.ports.clock, deadline_s=deadline_s)
    return _Field(lags, states, unread)


def _unfit(ctx: StepContext, name: str, field: _Field) -> str | None:
    state = field.states.get(name)
    if state is None:
        return field.unread.get(name, "not locked")
    if name not in field.lag_bytes:
        return "it does not stream from the primary"
    if member_named(ctx, name).excluded:
        return "the estate excludes it"
    if name in members_in(ctx, "no_room"):
        return "no room on its disk (P16)"
    if field.lag_bytes[name] > _LAG_BYTES:
        return f"it is {field.lag_bytes[name] >> 20} MB behind"
    return state.stuck


def _choose(ctx: StepContext, fit: list[str]) -> str | None:
    wanted = ctx.vars.get("candidate")
    if wanted in fit:
        return str(wanted)
    if wanted and people_named_candidate(ctx):
        return None
    return min(fit, key=lambda m: (preference(ctx, member_named(ctx, m)), m), default=None)
