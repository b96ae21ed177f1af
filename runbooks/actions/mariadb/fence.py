"""mariadb.fence: the old primary can acknowledge nothing that its successor lacks, and that is seen.

Gone: nobody listens where it was, asked again and again for `settle_ms`. Read-only: it answers, was closed
for writes, its clients' sessions were ended, and a write was refused. Stopped: its process was ended on its
node. Blocked: all of its replicas have left it, and it waits for one of them for so long that nobody will
have left it alone until then (`model.semi_sync.HOLDS_FOR_GOOD_MS`); a server that hangs and goes on waits
too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from pydantic import Field

from model.errors import BcmError
from model.execution import Precheck, Reconciled, StepResult
from model.ports import NoAnswerError
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.inputs import OVERRIDE_FENCE, members_in, overridden, variable
from runbooks.actions.mariadb.asking import member_of
from runbooks.actions.mariadb.choosing import shown_semi_sync
from runbooks.actions.mariadb.closing import CLOSE, OPEN, close, refuses_writes
from runbooks.actions.mariadb.locks import changing
from runbooks.actions.mariadb.state import read_state, state_over
from runbooks.actions.process import Server

_PROGRAMS: Final = frozenset({"mariadbd", "mysqld"})
_AGAIN_S: Final = 0.02
_LOOK_S: Final = 0.5  # of one attempt; a living server answers within a round trip
_SILENT_TWICE: Final = 2


class FenceOptions(ActionOptions):
    """member: whom; the variable `primary`, if not given. must: `closed`: one of the four above. `stopped`:
    its process is gone from its node, or it is a replica by now; and where its node can't be reached it is
    watched for as long as the step may take, and closed whenever it answers. settle_ms: so long nobody must
    listen before it is gone."""

    member: str | None = None
    must: Literal["closed", "stopped"] = "closed"
    settle_ms: int = Field(100, ge=0, le=600_000)


@dataclass(slots=True)
class _Seen:
    state: str = "unreachable"
    how: str = "not looked at yet"
    ended: int = 0
    refused_since_s: float | None = None
    silent: int = 0
    replica: bool = False


class Fence(Action):
    """Output: `old_primary`: stopped, gone, read_only, blocked or unreachable; `how`; `ended_sessions`."""

    name: ClassVar[str] = "mariadb.fence"
    Options: ClassVar[type[ActionOptions]] = FenceOptions
    fences: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...] | None] = ("old_primary", "how", "ended_sessions")

    def __init__(self, options: FenceOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        name = self._member(ctx)
        lines = [f"{name}: {CLOSE}; KILL CONNECTION of every client; a write is refused"]
        try:
            return [*lines, server_of(ctx, name).shown()]
        except BcmError as error:
            return [*lines, f"no access to its process: {error.what}"]

    def where(self, ctx: StepContext) -> str:
        name = self._member(ctx)
        return f"{name}, node {member_of(ctx, name).node}"

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        name = self._member(ctx)
        try:
            stopped = await server_of(ctx, name).is_stopped()
            ok, result = True, "no process is there" if stopped else "its process is there"
        except BcmError as error:
            ok, result = False, error.what
        return [
            Precheck(
                what=f"the process of {name} can be stopped on its node",
                how="look at its unit or its process through node access",
                ok=ok,
                result=result,
                why="it fences a server that is silent, whatever its semi-sync time-out is",
                if_failed="set the member's `control` and its node's `access`, or a long semi_sync_timeout",
            )
        ]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        clock, seen = ctx.ports.clock, _Seen()
        member = self._member(ctx)
        while True:
            if not ctx.ports.lease.held():
                seen.how = "this controller does not lead any more"
                break
            await self._by_session(ctx, member, seen, deadline_s)
            if self._is_enough(seen):
                break
            if (seen.silent >= _SILENT_TWICE or self._options.must == "stopped") and await _by_node(
                ctx, member, seen, deadline_s
            ):
                break
            if seen.silent >= _SILENT_TWICE and self._options.must == "closed" and self._is_blocked(ctx):
                seen.state, seen.how = "blocked", "it waits for replicas, and all of them have left it"
                break
            if clock.monotonic_s() + _AGAIN_S >= deadline_s:
                break
            await clock.sleep(_AGAIN_S)
        return self._result(ctx, member, seen)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        member = self._member(ctx)
        try:
            said = await refuses_writes(ctx, member, deadline_s)
        except NoAnswerError as error:
            if not error.refused:
                return Reconciled.not_done(f"{member} is silent: {error}")
            return Reconciled.done(f"{member} is gone", old_primary="gone", how=str(error), ended_sessions=0)
        except BcmError as error:
            return Reconciled.not_done(f"{member} lets nobody in: {error.what}")
        if said is None:
            return Reconciled.not_done(f"{member} takes writes")
        return Reconciled.done(
            f"{member} takes no writes", old_primary="read_only", how=said, ended_sessions=0
        )

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        """It takes writes again. One that was stopped is started, where it is a unit."""
        member = self._member(ctx)
        try:
            async with changing(ctx, member, deadline_s, late=True) as asking:
                if (await state_over(asking)).replicates:
                    return StepResult.ok(f"{member} is a replica: nothing of it was changed")
                await asking.query(OPEN)
        except NoAnswerError as error:
            if ctx.output(ctx.step).get("old_primary") == "stopped":
                return await _start(ctx, member)
            return StepResult.ok(f"{member} does not answer ({error}): nothing of it was changed")
        except BcmError as error:
            return StepResult.unknown(f"{member} can't be opened again: {error.what}")
        return StepResult.ok(f"{member} takes writes again")

    async def _by_session(self, ctx: StepContext, member: str, seen: _Seen, deadline_s: float) -> None:
        now_s = ctx.ports.clock.monotonic_s()
        end_s = min(deadline_s, now_s + _LOOK_S)
        try:
            seen.replica = (await read_state(ctx, member, end_s)).replicates
            async with changing(ctx, member, end_s, late=True) as asking:
                seen.ended += await close(ctx, asking)
            said = await refuses_writes(ctx, member, end_s)
        except NoAnswerError as error:
            seen.state, seen.how = "unreachable", str(error)
            if not error.refused:
                seen.silent, seen.refused_since_s = seen.silent + 1, None
                return
            seen.refused_since_s = now_s if seen.refused_since_s is None else seen.refused_since_s
            if now_s - seen.refused_since_s >= self._options.settle_ms / 1000:
                seen.state = "gone"
        except BcmError as error:
            # It lives, and can't be closed: as one that is silent, for the node.
            seen.state, seen.how, seen.silent = "unreachable", error.what, seen.silent + 1
        else:
            seen.refused_since_s = None
            if said is not None:
                seen.state, seen.how = "read_only", f"it refuses writes: {said}"
            else:
                seen.state, seen.how = "unreachable", "it answers, and is not seen to refuse writes"

    def _is_enough(self, seen: _Seen) -> bool:
        if seen.state == "read_only":
            return self._options.must == "closed" or seen.replica
        return seen.state == "gone" and self._options.must == "closed"

    def _is_blocked(self, ctx: StepContext) -> bool:
        left = [str(m) for m in ctx.output("detach").get("detached", ())]
        everybody = set(members_in(ctx, "counted")) <= set(left)
        return bool(left) and everybody and shown_semi_sync(ctx).holds_for_good

    def _result(self, ctx: StepContext, member: str, seen: _Seen) -> StepResult:
        output = {"old_primary": seen.state, "how": seen.how, "ended_sessions": seen.ended}
        text = f"{member} is {seen.state.replace('_', '-')} ({seen.how})"
        good = seen.state == "stopped" or (self._options.must == "closed" and seen.state != "unreachable")
        if good or (seen.replica and seen.state == "read_only"):
            return StepResult.ok(text, **output)
        if overridden(ctx, OVERRIDE_FENCE):
            return StepResult.ok(f"{text}; rule {OVERRIDE_FENCE} is overridden", **output)
        return StepResult.failed(f"not fenced: {text}", **output)

    def _member(self, ctx: StepContext) -> str:
        return self._options.member or variable(ctx, "primary")


def server_of(ctx: StepContext, member: str) -> Server:
    """Raises NodeAccessError."""
    return Server(ctx, member_of(ctx, member), _PROGRAMS)


async def _by_node(ctx: StepContext, member: str, seen: _Seen, deadline_s: float) -> bool:
    """Stopped on its node?"""
    try:
        how = await server_of(ctx, member).stop(deadline_s)
    except BcmError as error:
        seen.how = f"{seen.how}; {error.what}" if error.what not in seen.how else seen.how
        return False
    seen.state, seen.how = "stopped", how
    return True


async def _start(ctx: StepContext, member: str) -> StepResult:
    try:
        started = await server_of(ctx, member).start()
    except BcmError as error:
        return StepResult.unknown(f"{member} can't be started: {error.what}")
    if started:
        return StepResult.ok(f"{member} was started again")
    return StepResult.failed(f"{member} was stopped, and only whoever runs it can start it again")
