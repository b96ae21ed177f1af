"""postgresql.fence: the old primary is fenced directly, whenever it answers (POSTGRESQL P8).

It is the second fence: the standbys have dropped it already. It is for what they can't do: clients that would
go back to a primary that was restarted in place, and sessions with synchronous_commit=local.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal

from pydantic import Field

from config.schema import Control, PostgresqlMember
from model.errors import BcmError
from model.execution import Precheck, Reconciled, StepResult
from model.ports import SqlError
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.inputs import variable
from runbooks.actions.postgresql.inputs import member_named
from runbooks.actions.postgresql.locks import Locked, LockError, Locks, locks_of
from runbooks.actions.postgresql.server import Server
from runbooks.actions.postgresql.sessions import end_clients
from runbooks.actions.postgresql.settings import alter_and_see, alter_text
from runbooks.actions.together import explain

_READ_ONLY: Final = "default_transaction_read_only"
_AGAIN_S: Final = 0.02  # between two attempts to reach it: a restarted server takes clients at once
_LOOK_S: Final = 0.05  # between two looks on the node
# Where nobody listens there is nothing to stop yet, and the processor belongs to the promotion: commands on
# the node wait so long. A server that is restarted meanwhile is met over SQL, which does not wait.
_GIVE_WAY_S: Final = 0.3
_TRY_S: Final = 0.5  # of one attempt to log in: a hung server answers none
# An answer that was so long under way (a host or this process stood still) says nothing of now: look again.
_OLD_S: Final = 5.0
_LOOKED_S: Final = 0.15  # the node waits so long for what the server itself says it is
# Without node access: so long without a client's session, read-only throughout.
_QUIET_S: Final = 1.0


class FenceOptions(ActionOptions):
    """member: whom; the variable `primary`, if not given. must: what the step needs to succeed. `stopped`:
    no process of it is left, seen through node access. `fenced`: that, or read-only without clients.
    settle_ms: how long it must stay away, where nothing keeps its manager from starting it again in place;
    such managers wait 100 ms or so."""

    settle_ms: int = Field(1000, ge=0, le=600_000)
    member: str | None = None
    must: Literal["stopped", "fenced"] = "fenced"


@dataclass(slots=True)
class _Seen:
    """What is known so far. `stopped` and `read_only` say how. standby: it runs as one by now, so that it is
    no old primary any more: a controller that slept meanwhile must not hurt it."""

    stopped: str | None = None
    read_only: str | None = None
    last: str = "not looked at yet"
    ended: int = 0
    standby: bool = False
    looked: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Fence(Action):
    """Output: `old_primary`: stopped, read_only or unreachable; `how`; `ended_sessions`."""

    name: ClassVar[str] = "postgresql.fence"
    Options: ClassVar[type[ActionOptions]] = FenceOptions
    fences: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...] | None] = ("old_primary", "how", "ended_sessions")

    def __init__(self, options: FenceOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        member = self._member(ctx)
        lines = [f"{member.name}: {alter_text(_READ_ONLY, 'on')}; pg_reload_conf(); end clients' sessions"]
        try:
            server = Server(ctx, member)
        except BcmError as error:
            return [*lines, f"{member.node}: no node access ({error.what}): it can't be stopped"]
        return [*lines, server.shown(server.stop_command("fast")), f"{member.node}: kill -9, if it stays"]

    def where(self, ctx: StepContext) -> str:
        member = self._member(ctx)
        return f"{member.name}, node {member.node} as {member.os_user}"

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        member = self._member(ctx)
        try:
            found = await Server(ctx, member).processes()
            ok, result = True, f"{len(found)} processes of {member.name}"
        except BcmError as error:
            ok, result = False, error.what
        return [
            Precheck(
                what=f"node access to {member.node}",
                how=f"list the server's processes as {member.os_user}",
                ok=ok,
                result=result,
                why="the only fence for sessions that do not wait for standbys (P8)",
                if_failed="configure `access` of the node, or accept the fence of the standbys alone",
            )
        ]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        try:
            member, locks = self._member(ctx), locks_of(ctx)
        except BcmError as error:
            return StepResult.failed(str(error), old_primary="unreachable")
        seen = _Seen()
        tasks = [
            asyncio.ensure_future(_by_node(ctx, member, seen, self._options.settle_ms / 1000)),
            asyncio.ensure_future(_by_sql(ctx, member, locks, seen, self._options.must)),
        ]
        left_s = deadline_s - ctx.ports.clock.monotonic_s()
        try:
            done, _ = await asyncio.wait(tasks, timeout=max(left_s, 0), return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()  # what neither of them expects is the engine's to judge
        return self._result(member, seen)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        member = self._member(ctx)
        try:
            processes = await Server(ctx, member).processes()
        except BcmError as error:
            return Reconciled.not_done(f"{member.node} can't be looked at: {error.what}")
        if processes:
            return Reconciled.not_done(f"{len(processes)} processes of {member.name} are there")
        return Reconciled.done(
            f"no process of {member.name} is there", old_primary="stopped", how="seen", ended_sessions=0
        )

    def _result(self, member: PostgresqlMember, seen: _Seen) -> StepResult:
        if seen.stopped is not None and seen.over.is_set():
            text, state = f"{member.name} is stopped ({seen.stopped})", "stopped"
        elif seen.read_only is not None:
            text, state = f"{member.name} is read-only, and runs: {seen.last}", "read_only"
        elif seen.stopped is not None:
            text, state = (
                f"{member.name} was stopped ({seen.stopped}); whether it stays so is not known",
                "unreachable",
            )
        else:
            text, state = f"{member.name} can't be reached: {seen.last}", "unreachable"
        good = state == "stopped" or (state == "read_only" and self._options.must == "fenced")
        result = StepResult.ok if good else StepResult.failed
        how = seen.stopped or seen.read_only or seen.last
        return result(text, old_primary=state, how=how, ended_sessions=seen.ended)

    def _member(self, ctx: StepContext) -> PostgresqlMember:
        return member_named(ctx, self._options.member or variable(ctx, "primary"))


async def _by_node(ctx: StepContext, member: PostgresqlMember, seen: _Seen, settle_s: float) -> None:
    """Stop it, and see to it that it stays away. Ends when it does, or without node access."""
    clock = ctx.ports.clock
    try:
        server = Server(ctx, member)
    except BcmError as error:
        seen.last = error.what
        return
    managed = member.control_kind is Control.SYSTEMD
    if ctx.output("final_look").get("answer") == "refused":
        await clock.sleep(_GIVE_WAY_S)
    with suppress(TimeoutError):
        await asyncio.wait_for(seen.looked.wait(), _LOOKED_S)
    while not seen.standby:
        if not ctx.ports.lease.held():
            seen.last = "this controller does not lead any more"
            return
        asked_s = clock.monotonic_s()
        try:
            how = await server.stop()
            if how is not None:
                seen.stopped = how if seen.stopped is None else f"{seen.stopped}, and again: {how}"
                away = managed or await server.stays_away(settle_s)
                if away and clock.monotonic_s() - asked_s <= settle_s + _OLD_S:
                    seen.over.set()
                    return
        except BcmError as error:
            seen.last = error.what
        await clock.sleep(_LOOK_S)


async def _by_sql(ctx: StepContext, member: PostgresqlMember, locks: Locks, seen: _Seen, must: str) -> None:
    """Make it read-only and end its clients' sessions, whenever it answers, until it is over."""
    clock = ctx.ports.clock
    quiet_since_s: float | None = None
    while not seen.over.is_set():
        try:
            if member.name not in locks.members:
                await locks.acquire(member.name, clock.monotonic_s() + _TRY_S)
            async with locks.session(member.name, clock.monotonic_s() + _TRY_S) as locked:
                if must == "fenced" and await _is_standby(locked):
                    seen.standby, seen.read_only = True, "it runs as a standby"
                    seen.last = "it takes no writes"
                    seen.over.set()
                    return
                if quiet_since_s is None:
                    await alter_and_see(locked, _READ_ONLY, "on")
                ended, left = await end_clients(locked, ctx.pg)
            seen.ended += ended
            seen.last = f"{left} sessions of superusers can't be ended" if left else "no client is left"
            seen.read_only = "read-only, clients' sessions ended"
            if quiet_since_s is None or ended or left:
                quiet_since_s = clock.monotonic_s()
            if (
                must == "fenced"
                and clock.monotonic_s() - quiet_since_s >= _QUIET_S
                and not _access(ctx, member)
            ):
                seen.over.set()
        except LockError as error:
            seen.last = error.what
            quiet_since_s = None
        except SqlError as error:
            seen.last = explain(error)
            quiet_since_s = None
        finally:
            seen.looked.set()
        await clock.sleep(_AGAIN_S)


async def _is_standby(locked: Locked) -> bool:
    [(recovery,)] = await locked.query("SELECT pg_is_in_recovery()")
    return bool(recovery)


def _access(ctx: StepContext, member: PostgresqlMember) -> bool:
    try:
        ctx.ports.node(member.node)
    except BcmError:
        return False
    return True
