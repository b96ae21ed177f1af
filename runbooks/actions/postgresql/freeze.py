"""postgresql.freeze, postgresql.thaw: standbys stop replaying, so that damage does not reach their data.

A wrong command or an intruder's change is streamed to every copy within milliseconds. A standby whose replay
is paused keeps receiving, and its data stay as they were: the copy from which people can decide.
"""

from __future__ import annotations

from typing import Any, ClassVar

from model.errors import BcmError
from model.execution import Precheck, Reconciled, StepResult
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.inputs import members_in
from runbooks.actions.postgresql.glance import precheck_standby
from runbooks.actions.postgresql.inputs import role_user
from runbooks.actions.postgresql.locks import Locked, locks_of
from runbooks.actions.together import on_each, reasons

_POLL_S = 0.005
_STATE = (
    "SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN pg_get_wal_replay_pause_state() END, "
    "(pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint, pg_last_xact_replay_timestamp()::text"
)


class FreezeOptions(ActionOptions):
    """members: whom; the variable `standbys`, if not given. all: every one of them must do it; else one is
    enough, and who did not is said."""

    members: tuple[str, ...] | None = None
    all: bool = False


class _Replay(Action):
    Options: ClassVar[type[FreezeOptions]] = FreezeOptions
    paused: ClassVar[bool]
    statement: ClassVar[str]

    def __init__(self, options: FreezeOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        return [f"{m}: {self.statement}" for m in self._members(ctx)]

    def where(self, ctx: StepContext) -> str:
        return f"{', '.join(self._members(ctx))} as {role_user(ctx.pg, 'control')}"

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        return [row for m in self._members(ctx) for row in await precheck_standby(ctx, m)]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        return await self._set(ctx, deadline_s, self.statement, paused=self.paused)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        """It counts as not done where too few are so: doing it again changes nothing for the others."""
        seen, failed = await on_each(
            self._members(ctx),
            lambda m: _look(ctx, m, deadline_s),
            clock=ctx.ports.clock,
            deadline_s=deadline_s,
        )
        there = {m: data for m, data in seen.items() if data["paused"] is self.paused}
        left_out = {m: "not so" for m in seen if m not in there} | failed
        if self._enough(ctx, there):
            return Reconciled.done(_text(there, self.paused), **_output(there, left_out))
        return Reconciled.not_done(f"{_text(there, self.paused)}{reasons(left_out)}")

    async def _set(self, ctx: StepContext, deadline_s: float, statement: str, *, paused: bool) -> StepResult:
        async def one(member: str) -> dict[str, Any]:
            async with locks_of(ctx).session(member, deadline_s) as locked:
                return await _until(locked, statement, paused=paused)

        try:
            members = self._members(ctx)
            done, left_out = await on_each(members, one, clock=ctx.ports.clock, deadline_s=deadline_s)
        except BcmError as error:
            return StepResult.failed(str(error))
        text, output = f"{_text(done, paused)}{reasons(left_out)}", _output(done, left_out)
        return StepResult.ok(text, **output) if self._enough(ctx, done) else StepResult.failed(text, **output)

    def _enough(self, ctx: StepContext, done: dict[str, Any]) -> bool:
        return len(done) == len(self._members(ctx)) if self._options.all else bool(done)

    def _members(self, ctx: StepContext) -> list[str]:
        chosen = self._options.members
        return members_in(ctx, "standbys") if chosen is None else list(chosen)


class Freeze(_Replay):
    """Pauses replay. Undo: it goes on.

    Output: `members`, by name what each stands at: `lsn` (bytes), `committed` (the newest transaction in its
    data); `left_out` with the reasons.
    """

    name: ClassVar[str] = "postgresql.freeze"
    outputs: ClassVar[tuple[str, ...] | None] = ("members", "left_out")
    paused: ClassVar[bool] = True
    statement: ClassVar[str] = "SELECT pg_wal_replay_pause()"

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        return await self._set(ctx, deadline_s, Thaw.statement, paused=False)


class Thaw(_Replay):
    """Lets replay go on: what was held back, the damage too, reaches the data. It can't be taken back.

    Output: as of `postgresql.freeze`.
    """

    name: ClassVar[str] = "postgresql.thaw"
    outputs: ClassVar[tuple[str, ...] | None] = ("members", "left_out")
    paused: ClassVar[bool] = False
    statement: ClassVar[str] = "SELECT pg_wal_replay_resume()"


async def _until(locked: Locked, statement: str, *, paused: bool) -> dict[str, Any]:
    """Raises BcmError, SqlError."""
    if not (await _seen(locked))["in_recovery"]:
        raise BcmError("it is no standby")
    await locked.query(statement)
    while True:
        seen = await _seen(locked)
        if seen["paused"] is paused:
            return seen
        if locked.clock.monotonic_s() + _POLL_S >= locked.deadline_s:
            raise BcmError(f"asked, and its replay is {seen['state']!r} still")
        await locked.clock.sleep(_POLL_S)


async def _look(ctx: StepContext, member: str, deadline_s: float) -> dict[str, Any]:
    async with locks_of(ctx).session(member, deadline_s) as locked:
        return await _seen(locked)


async def _seen(locked: Locked) -> dict[str, Any]:
    """paused: None while it is about to be."""
    [(recovery, state, lsn, committed)] = await locked.query(_STATE)
    paused = {"paused": True, "not paused": False}.get(str(state))
    return {
        "in_recovery": recovery,
        "paused": paused,
        "state": state,
        "lsn": int(lsn or 0),
        "committed": committed,
    }


def _output(there: dict[str, Any], left_out: dict[str, str]) -> dict[str, Any]:
    at = {m: {"lsn": seen["lsn"], "committed": seen["committed"]} for m, seen in there.items()}
    return {"members": at, "left_out": left_out}


def _text(there: dict[str, Any], paused: bool) -> str:
    what = "replay is paused" if paused else "replay goes on"
    each = ", ".join(f"{m} (newest commit {seen['committed'] or 'not known'})" for m, seen in there.items())
    return f"{what}: {each or 'nobody'}"
