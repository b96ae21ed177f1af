"""postgresql.follow: a member that runs as a standby of the same lineage needs no more than a new upstream.

Anything else (down, a primary, diverged) is left to the steps that follow; this one changes nothing then.
"""

from __future__ import annotations

from typing import ClassVar, Final

from model.errors import BcmError
from model.execution import Reconciled, StepResult
from model.ports import SqlError
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.postgresql.attach import attach
from runbooks.actions.postgresql.conninfo import conninfo_for
from runbooks.actions.postgresql.locks import Locked, locks_of
from runbooks.actions.postgresql.rejoining import (
    RejoinOptions,
    lineage_of,
    present_primary,
    refuse_stranger,
    rejoining_member,
)
from runbooks.actions.postgresql.slots import ensure_slot
from runbooks.actions.postgresql.state import read_state
from runbooks.actions.together import explain

_TRY_S: Final = 1.0  # a standby that can stream does so in a tenth of this


class Follow(Action):
    """Output: `streaming`, and `why` not."""

    name: ClassVar[str] = "postgresql.follow"
    Options: ClassVar[type[ActionOptions]] = RejoinOptions
    outputs: ClassVar[tuple[str, ...] | None] = ("streaming", "why")

    def __init__(self, options: RejoinOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        member, primary = rejoining_member(ctx, self._options), present_primary(ctx, self._options)
        return [f"{member.name}: if it runs as a standby, primary_conninfo to {primary.name}"]

    def where(self, ctx: StepContext) -> str:
        return rejoining_member(ctx, self._options).name

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        clock = ctx.ports.clock
        try:
            member, primary = rejoining_member(ctx, self._options), present_primary(ctx, self._options)
            if member.name == primary.name:
                return StepResult.failed(f"{member.name} can't follow itself")
            locks = locks_of(ctx)
            lineage = await lineage_of(ctx, primary, deadline_s)
        except BcmError as error:
            return StepResult.failed(str(error))
        end_s = min(deadline_s, clock.monotonic_s() + _TRY_S)
        try:
            if member.name not in locks.members:
                await locks.acquire(member.name, end_s)
            async with locks.session(member.name, end_s) as locked:
                state = await read_state(locked)
                try:
                    refuse_stranger(member.name, state.system_identifier, state.timeline, lineage)
                except BcmError as error:
                    return StepResult.failed(str(error), streaming=False)
                if not state.in_recovery:
                    return StepResult.ok("it runs as a primary", streaming=False, why="a primary")
                conninfo = conninfo_for(member, primary, ctx.pg, state.conninfo or None)
                await ensure_slot(ctx, member, primary)
                streaming = await attach(locked, conninfo)
        except (BcmError, SqlError) as error:
            why = explain(error) if isinstance(error, SqlError) else error.what
            return StepResult.ok(f"it does not run as a standby: {why}", streaming=False, why=why)
        if streaming:
            return StepResult.ok(f"{member.name} streams from {primary.name}", streaming=True)
        return StepResult.ok("it does not stream as it is", streaming=False, why="diverged or behind")

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        member = rejoining_member(ctx, self._options)
        return await _streams(ctx, member.name, deadline_s)


async def _streams(ctx: StepContext, member: str, deadline_s: float) -> Reconciled:
    locks = locks_of(ctx)
    if member not in locks.members:
        return Reconciled.not_done("it is not locked")
    async with locks.session(member, deadline_s) as locked:
        if await _status(locked) == "streaming":
            return Reconciled.done("it streams", streaming=True)
    return Reconciled.not_done("it does not stream")


async def _status(locked: Locked) -> str:
    return (await read_state(locked)).receiver_status
