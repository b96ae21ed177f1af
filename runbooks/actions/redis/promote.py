"""redis.promote: a replica becomes the primary."""

from __future__ import annotations

from typing import ClassVar

from model.errors import BcmError
from model.execution import Reconciled, StepResult
from model.ports import NoAnswerError
from runbooks.actions.base import Action, StepContext
from runbooks.actions.redis.asking import tell
from runbooks.actions.redis.choosing import candidate_of, shown_candidate
from runbooks.actions.redis.state import RedisState, read_state


class Promote(Action):
    """Output: `member`, `replid` and `offset` of the history that it begins."""

    name: ClassVar[str] = "redis.promote"
    promotes: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...] | None] = ("member", "replid", "offset")

    def describe(self, ctx: StepContext) -> list[str]:
        return [f"{shown_candidate(ctx)}: REPLICAOF NO ONE; until INFO says role:master"]

    def where(self, ctx: StepContext) -> str:
        return shown_candidate(ctx)

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        issued = False
        try:
            candidate = candidate_of(ctx)
            if (await read_state(ctx, candidate, deadline_s)).syncing:
                return StepResult.failed(f"{candidate} is being given its data: it has not all of it")
            issued = True
            await tell(ctx, candidate, ("REPLICAOF", "NO", "ONE"), deadline_s=deadline_s)
            state = await read_state(ctx, candidate, deadline_s)
        except NoAnswerError as error:
            if not issued:
                return StepResult.failed(f"not issued: {error}")
            return StepResult.unknown(
                f"issued, and not seen to be done ({error}): nobody else may be promoted"
            )
        except BcmError as error:
            return StepResult.failed(error.what)
        if not state.primary:
            return StepResult.failed(f"{candidate} still says that it is a replica")
        return StepResult.ok(_told(state), **_output(state))

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        """As a replica: issuing it again to the same member is safe, to another one it never is."""
        try:
            state = await read_state(ctx, candidate_of(ctx), deadline_s)
        except NoAnswerError as error:
            return Reconciled.unknown(str(error))
        if not state.primary:
            return Reconciled.not_done(f"{state.member} is a replica")
        return Reconciled.done(_told(state), **_output(state))


def _told(state: RedisState) -> str:
    return f"{state.member} is the primary, from offset {state.offset}"


def _output(state: RedisState) -> dict[str, object]:
    return {"member": state.member, "replid": state.replid, "offset": state.offset}
