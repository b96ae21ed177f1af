"""postgresql.checkpoint: write out what is dirty, before it would cost time or hide a divergence.

Before a planned shutdown it shortens the time that clients wait. Before pg_rewind it is needed on the new
primary: without one PostgreSQL 15 says `no rewind required`, exits with 0 and keeps divergent rows (P17).
"""

from __future__ import annotations

from typing import ClassVar

from model.errors import BcmError
from model.execution import StepResult
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.postgresql.inputs import candidate_of, role_user, shown_candidate
from runbooks.actions.postgresql.locks import locks_of
from runbooks.actions.together import on_each, reasons


class CheckpointOptions(ActionOptions):
    """members: where. candidate: also on the member that was chosen."""

    members: tuple[str, ...] = ()
    candidate: bool = False


class Checkpoint(Action):
    """On a standby it makes a restart point."""

    name: ClassVar[str] = "postgresql.checkpoint"
    Options: ClassVar[type[ActionOptions]] = CheckpointOptions
    changing: ClassVar[bool] = False  # no user of the service and no proof can tell that it was made
    outputs: ClassVar[tuple[str, ...] | None] = ("done",)

    def __init__(self, options: CheckpointOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        also = [shown_candidate(ctx)] if self._options.candidate else []
        return [f"{m}: CHECKPOINT" for m in (*self._options.members, *also)]

    def where(self, ctx: StepContext) -> str:
        return f"{', '.join(self._options.members)} as {role_user(ctx.pg, 'control')}"

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        try:
            members = list(self._options.members)
            if self._options.candidate:
                members.append(candidate_of(ctx))
            locks = locks_of(ctx)
        except BcmError as error:
            return StepResult.failed(str(error))

        async def one(member: str) -> None:
            async with locks.session(member, deadline_s) as locked:
                await locked.query("CHECKPOINT")

        done, failed = await on_each(members, one, clock=ctx.ports.clock, deadline_s=deadline_s)
        if failed:
            return StepResult.failed(f"no checkpoint{reasons(failed)}", done=list(done))
        return StepResult.ok(f"made on {', '.join(done)}", done=list(done))
