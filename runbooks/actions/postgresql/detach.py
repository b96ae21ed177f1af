"""postgresql.detach: the standbys drop the old primary, tentatively (POSTGRESQL P5, P6).

Once enough of them have dropped it, it can acknowledge nothing that they lack. Until a promotion is intended
all of it can be taken back, and must be if the proof fails: a healthy primary without standbys is an outage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from config.schema import PostgresqlMember
from model.errors import BcmError
from model.execution import Precheck, Reconciled, StepResult
from model.ports import Clock, SqlError
from runbooks.actions.base import Action, StepContext
from runbooks.actions.inputs import members_in, variable
from runbooks.actions.postgresql.attach import attach
from runbooks.actions.postgresql.conninfo import conninfo_for, refuse_secret
from runbooks.actions.postgresql.glance import precheck_standby
from runbooks.actions.postgresql.inputs import member_named, role_user, settings_in_force, shortfall
from runbooks.actions.postgresql.locks import Locked, Locks, locks_of
from runbooks.actions.postgresql.settings import alter, alter_text
from runbooks.actions.postgresql.state import StandbyState, read_state
from runbooks.actions.postgresql.unstick import unstick
from runbooks.actions.together import on_each, reasons

POLL_S: Final = 0.002
# A startup process that was just about to start a receiver when it was told has done so by the second look.
_CLEAN_LOOKS: Final = 2
_BEFORE: Final = (
    "SELECT pg_is_in_recovery(), current_setting('primary_conninfo'), "
    "current_setting('recovery_min_apply_delay')"
)
_AGAIN_S: Final = 0.05  # between two tries to lock a standby that does not answer
_MEMORY: Final = "postgresql.detach.previous"


@dataclass(slots=True)
class _Work:
    """What the members' concurrent work has in common. previous: their primary_conninfo, without secrets."""

    ctx: StepContext
    deadline_s: float
    previous: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Detach(Action):
    """Output: `detached`, `previous` (member → primary_conninfo that it had), `left_out` with the reasons."""

    name: ClassVar[str] = "postgresql.detach"
    fences: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...] | None] = ("detached", "previous", "left_out")

    def describe(self, ctx: StepContext) -> list[str]:
        return [
            f"{m}: {alter_text('primary_conninfo', '')}; pg_reload_conf(); until its receiver is gone"
            for m in members_in(ctx, "standbys")
        ]

    def where(self, ctx: StepContext) -> str:
        return f"{', '.join(members_in(ctx, 'standbys'))} as {role_user(ctx.pg, 'control')}"

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        return [row for m in members_in(ctx, "standbys") for row in await precheck_standby(ctx, m)]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        try:
            locks = locks_of(ctx)
            settings = settings_in_force(ctx)
            members = locks.members_of(members_in(ctx, "standbys"))
            named = {m: member_named(ctx, m) for m in members}
        except BcmError as error:
            return StepResult.failed(str(error))
        work = _Work(ctx, deadline_s)
        ctx.resources[_MEMORY] = work.previous

        async def detach_one(member: str) -> None:
            async with locks.session(member, deadline_s) as locked:
                await _detach(locked, work)

        done, left_out = await on_each(
            members,
            detach_one,
            clock=ctx.ports.clock,
            deadline_s=deadline_s,
            enough=lambda detached: shortfall(settings, [named[m] for m in detached]) is None,
        )
        output = {"detached": list(done), "previous": dict(work.previous), "left_out": left_out}
        problem = shortfall(settings, [named[m] for m in done])
        notes = "".join(f"; {note}" for note in work.notes)
        if problem is not None:
            text = f"too few have dropped the old primary: {problem}{reasons(left_out)}{notes}"
            return StepResult.failed(text, **output)
        return StepResult.ok(
            f"dropped the old primary: {', '.join(done)}{reasons(left_out)}{notes}", **output
        )

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        """Done if enough are detached now; what they had before is then no longer known from here."""
        locks = locks_of(ctx)
        settings = settings_in_force(ctx)
        members = locks.members_of(members_in(ctx, "standbys"))
        states, failed = await on_each(
            members, lambda m: _state(ctx, m, deadline_s), clock=ctx.ports.clock, deadline_s=deadline_s
        )
        detached = [m for m, state in states.items() if state.detached]
        problem = shortfall(settings, [member_named(ctx, m) for m in detached])
        if problem is not None:
            return Reconciled.not_done(f"detached: {', '.join(detached) or 'none'}: {problem}")
        left_out = {m: "still attached" for m in states if m not in detached} | failed
        return Reconciled.done(
            f"detached: {', '.join(detached)}", detached=detached, previous={}, left_out=left_out
        )

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        """Every standby that may have dropped the old primary streams from it again. Never over a broken lock
        (P7): one that is not held is taken anew, which a newer controller refuses."""
        try:
            locks = locks_of(ctx)
            upstream = member_named(ctx, variable(ctx, "primary"))
        except BcmError as error:
            return StepResult.failed(str(error))
        previous = {**ctx.output("detach").get("previous", {}), **ctx.resources.get(_MEMORY, {})}
        deadline_s = min(deadline_s, ctx.ports.clock.monotonic_s() + ctx.pg.postgresql.detach_ttl)

        standbys = members_in(ctx, "standbys")
        touched = _touched(ctx, standbys, previous)

        async def reattach(name: str) -> bool:
            member = member_named(ctx, name)
            if name not in locks.members:
                await _lock_again(locks, name, ctx.ports.clock, deadline_s)
            async with locks.session(name, deadline_s) as locked:
                return await _reattach(locked, ctx, member, upstream, previous.get(name))

        streaming, failed = await on_each(
            [m for m in standbys if m in touched or m in locks.members],
            reattach,
            clock=ctx.ports.clock,
            deadline_s=deadline_s + 0.1,
        )
        if failed:
            return StepResult.failed(f"not all follow {upstream.name} again{reasons(failed)}")
        late = [m for m, connected in streaming.items() if not connected]
        note = f"; {', '.join(late)} will connect when {upstream.name} answers" if late else ""
        return StepResult.ok(
            f"follow {upstream.name} again: {', '.join(streaming) or 'nobody had left'}{note}"
        )


def _touched(ctx: StepContext, standbys: list[str], previous: Mapping[str, str]) -> list[str]:
    """Who may have been detached: after a result that was not recorded, whoever was ever locked."""
    if ctx.output("detach"):
        return list(previous)
    return [m for m in standbys if m in previous or m in ctx.output("lock").get("ever", standbys)]


async def _lock_again(locks: Locks, member: str, clock: Clock, deadline_s: float) -> None:
    """Until it is locked. Raises LockError, SqlError with the last reason at the deadline."""
    while True:
        try:
            return await locks.acquire(member, deadline_s)
        except SqlError:
            if clock.monotonic_s() + _AGAIN_S >= deadline_s:
                raise
        await clock.sleep(_AGAIN_S)


async def _state(ctx: StepContext, member: str, deadline_s: float) -> StandbyState:
    async with locks_of(ctx).session(member, deadline_s) as locked:
        return await read_state(locked)


async def _detach(locked: Locked, work: _Work) -> None:
    """Raises BcmError if the member does not count."""
    # Not the whole state: that costs a fresh session several milliseconds, which the receiver can end in.
    [(recovery, conninfo, delay)] = await locked.query(_BEFORE)
    if not recovery:
        raise BcmError("it is no standby")
    if delay != "0":
        # Its delay is there on purpose; it does not count, and k is reached without it or not at all.
        raise BcmError(f"recovery_min_apply_delay is {delay}")
    if conninfo:
        refuse_secret(conninfo, locked.member)
        work.previous[locked.member] = conninfo
        await alter(locked, "primary_conninfo", "")
    clean = 0
    while clean < _CLEAN_LOOKS:
        state = await read_state(locked)
        clean = clean + 1 if state.detached else 0
        if state.stuck is not None:
            note = await unstick(locked, state)
            if note is not None and note not in work.notes:
                work.notes.append(note)
        if clean < _CLEAN_LOOKS:
            if locked.clock.monotonic_s() + POLL_S >= work.deadline_s:
                raise BcmError(f"it has not dropped the old primary in time ({_why(state)})")
            await locked.clock.sleep(POLL_S)


def _why(state: StandbyState) -> str:
    if state.stuck is not None:
        return state.stuck
    return "its receiver is still there" if state.receiver else "the setting is not in force yet"


async def _reattach(
    locked: Locked,
    ctx: StepContext,
    member: PostgresqlMember,
    upstream: PostgresqlMember,
    previous: str | None,
) -> bool:
    """Does it stream again? Raises BcmError if it may not, SqlError."""
    state = await read_state(locked)
    if not state.in_recovery:
        raise BcmError("it has been promoted: nothing is re-attached any more")
    # Written again even where a conninfo is in force: the file may say otherwise, if a reload was refused.
    conninfo = conninfo_for(member, upstream, ctx.pg, previous or state.conninfo or None)
    return await attach(locked, conninfo)


def previous_of(ctx: StepContext, member: str) -> str | None:
    """The member's conninfo before it was detached, if it is known."""
    found = ctx.output("detach").get("previous", {}).get(member)
    return str(found) if found else None
