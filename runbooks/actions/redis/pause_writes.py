"""redis.pause_writes: the primary holds its clients' writes back, and says how far it has come.

Clients wait and see no error. What was acknowledged is below the offset that is read afterwards. The pause
has an end of its own: by then the primary has been made a replica, or nothing has been changed.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from model.errors import BcmError
from model.execution import Precheck, Reconciled, StepResult
from model.ports import NoAnswerError
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.inputs import variable
from runbooks.actions.redis.asking import tell, within_reach
from runbooks.actions.redis.state import read_state


class PauseOptions(ActionOptions):
    """for_ms: after so long the server goes on by itself."""

    for_ms: int = Field(10_000, ge=100, le=600_000)


class PauseWrites(Action):
    """Output: `final_offset`, `replid`, `paused_ms`."""

    name: ClassVar[str] = "redis.pause_writes"
    Options: ClassVar[type[ActionOptions]] = PauseOptions
    needs_primary: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...] | None] = ("final_offset", "replid", "paused_ms")

    def __init__(self, options: PauseOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        return [f"{variable(ctx, 'primary')}: CLIENT PAUSE {self._options.for_ms} WRITE; INFO replication"]

    def where(self, ctx: StepContext) -> str:
        return variable(ctx, "primary")

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        primary = variable(ctx, "primary")
        why_not = await within_reach(ctx, primary, ctx.ports.clock.monotonic_s() + 2.0)
        return [
            Precheck(
                what=f"{primary} can be told to hold writes back",
                how="PING over a fresh connection",
                ok=why_not is None,
                result=why_not or "it answers",
                why="a planned switch loses nothing because of it",
                if_failed="it is no planned switch: use `failover`",
            )
        ]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        primary, sent = variable(ctx, "primary"), False
        try:
            if not (await read_state(ctx, primary, deadline_s)).primary:
                return StepResult.failed(f"{primary} is no primary")
            sent = True
            pause = ("CLIENT", "PAUSE", str(self._options.for_ms), "WRITE")
            await tell(ctx, primary, pause, deadline_s=deadline_s)
            state = await read_state(ctx, primary, deadline_s)
        except NoAnswerError as error:
            made = StepResult.unknown if sent else StepResult.failed
            return made(f"{primary} can't be closed: {error}")
        except BcmError as error:
            return StepResult.failed(error.what)
        return StepResult.ok(
            f"{primary} holds writes back from offset {state.offset}",
            final_offset=state.offset,
            replid=state.replid,
            paused_ms=self._options.for_ms,
        )

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        """Whether it is in force can't be seen without a write, and it may end at any moment."""
        return Reconciled.not_done("a pause is made anew: the last one may have ended")

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        primary = variable(ctx, "primary")
        try:
            await tell(ctx, primary, ("CLIENT", "UNPAUSE"), deadline_s=deadline_s)
        except BcmError as error:
            return StepResult.unknown(error.what)
        except NoAnswerError as error:
            return StepResult.unknown(f"{error}; a pause ends by itself within {self._options.for_ms} ms")
        return StepResult.ok(f"{primary} goes on with its clients' writes")
