"""postgresql.await_standby: the member streams from the primary, on its timeline (POSTGRESQL P17).

A standby whose history has forked off is refused by the primary and never streams, so streaming past what the
primary had written when this began means that the divergent part is gone.
"""

from __future__ import annotations

from typing import ClassVar, Final

from pydantic import Field

from config.schema import PostgresqlMember
from model.errors import BcmError
from model.execution import StepResult
from model.ports import SqlError
from runbooks.actions.base import Action, StepContext
from runbooks.actions.postgresql.glance import glance
from runbooks.actions.postgresql.locks import Locked, locks_of
from runbooks.actions.postgresql.rejoining import RejoinOptions, present_primary, rejoining_member
from runbooks.actions.together import explain

_POLL_S: Final = 0.01
_ASK_S: Final = 0.5
_WRITTEN: Final = "SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint"
_STREAMS: Final = """
SELECT state, flush_lsn >= '0/0'::pg_lsn + $2::numeric FROM pg_stat_replication
WHERE lower(application_name) = $1 ORDER BY 2 DESC NULLS LAST LIMIT 1"""


class AwaitOptions(RejoinOptions):
    """required: the step fails if it does not stream; without, the output says so. stall_ms: it is given up
    after so long without any progress; a large one that replays for an hour gets its hour."""

    required: bool = True
    stall_ms: int = Field(10_000, ge=100, le=3_600_000)


class AwaitStandby(Action):
    """Output: `streaming`, and `why` not."""

    name: ClassVar[str] = "postgresql.await_standby"
    Options: ClassVar[type[RejoinOptions]] = AwaitOptions
    changing: ClassVar[bool] = False
    outputs: ClassVar[tuple[str, ...] | None] = ("streaming", "why")

    def __init__(self, options: AwaitOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        member, primary = rejoining_member(ctx, self._options), present_primary(ctx, self._options)
        return [f"{primary.name}: until pg_stat_replication shows {member.application_name} with all WAL"]

    def where(self, ctx: StepContext) -> str:
        return present_primary(ctx, self._options).name

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        try:
            member, primary = rejoining_member(ctx, self._options), present_primary(ctx, self._options)
            async with locks_of(ctx).session(primary.name, deadline_s) as locked:
                why = await self._wait(ctx, locked, member)
        except BcmError as error:
            return StepResult.failed(str(error))
        except SqlError as error:
            why = explain(error)
        if why is None:
            return StepResult.ok(f"{member.name} streams from {primary.name}", streaming=True)
        result = StepResult.failed if self._options.required else StepResult.ok
        return result(f"{member.name} does not stream from {primary.name}: {why}", streaming=False, why=why)

    async def _wait(self, ctx: StepContext, locked: Locked, member: PostgresqlMember) -> str | None:
        """None once it streams and has what there was at the beginning; else what was last seen."""
        [(written,)] = await locked.query(_WRITTEN)
        clock = locked.clock
        moved_s = asked_s = clock.monotonic_s()
        progress = ""
        while True:
            rows = await locked.query(_STREAMS, member.application_name.lower(), int(written))
            if rows and rows[0][0] == "streaming" and rows[0][1]:
                return None
            now_s = clock.monotonic_s()
            if now_s - asked_s >= _ASK_S:
                asked_s = now_s
                seen = await _progress(ctx, member.name)
                if seen != progress:
                    moved_s, progress = now_s, seen
            if now_s + 2 * _POLL_S >= locked.deadline_s or now_s - moved_s > self._options.stall_ms / 1000:
                return f"its state is {rows[0][0]}" if rows else f"it is not connected ({progress})"
            await clock.sleep(_POLL_S)


async def _progress(ctx: StepContext, member: str) -> str:
    """How far it is, by its own word, as a text that changes when it moves."""
    state = await glance(ctx, member)
    return state if isinstance(state, str) else f"received {state.receive_lsn}, replayed {state.replay_lsn}"
