"""redis.demote: the old primary becomes a replica of the candidate, before that is promoted.

From then on it refuses writes for good; there is a moment with no primary at all, and none with two.
"""

from __future__ import annotations

from typing import ClassVar

from model.errors import BcmError
from model.execution import Reconciled, StepResult
from model.ports import NoAnswerError
from runbooks.actions.base import Action, StepContext
from runbooks.actions.inputs import variable
from runbooks.actions.redis.asking import service_of, tell
from runbooks.actions.redis.choosing import candidate_of, shown_candidate
from runbooks.actions.redis.closing import refuses_writes
from runbooks.actions.redis.state import address_of, read_state


class Demote(Action):
    """Of the variable `primary`. Output: `old_primary`: read_only; `how`."""

    name: ClassVar[str] = "redis.demote"
    fences: ClassVar[bool] = True
    needs_primary: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...] | None] = ("old_primary", "how")

    def describe(self, ctx: StepContext) -> list[str]:
        candidate = shown_candidate(ctx)
        if candidate not in service_of(ctx).members:
            return [f"{variable(ctx, 'primary')}: REPLICAOF {candidate}; a write is refused"]
        host, port = address_of(service_of(ctx), candidate)
        return [f"{variable(ctx, 'primary')}: REPLICAOF {host} {port} ({candidate}); a write is refused"]

    def where(self, ctx: StepContext) -> str:
        return variable(ctx, "primary")

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        primary, sent = variable(ctx, "primary"), False
        try:
            host, port = address_of(service_of(ctx), candidate_of(ctx))
            sent = True
            await tell(ctx, primary, ("REPLICAOF", host, str(port)), deadline_s=deadline_s)
            return await self._seen(ctx, deadline_s)
        except NoAnswerError as error:
            made = StepResult.unknown if sent else StepResult.failed
            return made(f"{primary} is not seen to be a replica: {error}")
        except BcmError as error:
            return StepResult.failed(error.what)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        try:
            result = await self._seen(ctx, deadline_s)
        except NoAnswerError as error:
            return Reconciled.unknown(str(error))
        if not result.output:
            return Reconciled.not_done(result.detail)
        return Reconciled.done(result.detail, **result.output)

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        """It becomes the primary again, if it follows the candidate: nobody else has been promoted."""
        primary = variable(ctx, "primary")
        try:
            host, port = address_of(service_of(ctx), candidate_of(ctx))
            if (await read_state(ctx, primary, deadline_s)).follows(host, port):
                await tell(ctx, primary, ("REPLICAOF", "NO", "ONE"), deadline_s=deadline_s)
            back = (await read_state(ctx, primary, deadline_s)).primary
        except (BcmError, NoAnswerError) as error:
            return StepResult.unknown(f"{primary} is not seen to be the primary again: {error}")
        if back:
            return StepResult.ok(f"{primary} is the primary again")
        return StepResult.failed(f"{primary} is a replica of somebody else")

    async def _seen(self, ctx: StepContext, deadline_s: float) -> StepResult:
        primary = variable(ctx, "primary")
        host, port = address_of(service_of(ctx), candidate_of(ctx))
        if not (await read_state(ctx, primary, deadline_s)).follows(host, port):
            return StepResult.failed(f"{primary} does not follow {candidate_of(ctx)}")
        # What was held back is let go: it is refused, and its clients look for the new primary.
        await tell(ctx, primary, ("CLIENT", "UNPAUSE"), deadline_s=deadline_s)
        said = await refuses_writes(ctx, primary, deadline_s)
        if said is None:
            return StepResult.failed(f"{primary} takes writes as a replica (replica-read-only no)")
        return StepResult.ok(f"{primary} is a replica: {said}", old_primary="read_only", how=said)
