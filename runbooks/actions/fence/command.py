"""fence.command: a command of the user's own fences, and another one says whether the fence holds."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from model.execution import Effect, StepResult, StepState
from runbooks.actions.base import ActionOptions, StepContext
from runbooks.actions.commands.exec_run import ExecRun, ExecRunOptions
from runbooks.actions.commands.words import Words


class FenceCommandOptions(ExecRunOptions):
    """As of `exec.run`, with an effect that must be looked at."""

    effect: Annotated[Words, Field(min_length=1)] = Field(
        description="A command that says whether the old primary can acknowledge nothing any more: exit code "
        "0 yes, 1 no, any other: not known.",
    )
    changes: Literal[True] = Field(True, description="A fence changes something.")


class FenceCommand(ExecRun):
    """Runs on this controller's host. The exit code of `command` counts for nothing: what `effect` says does.
    An answer of it that is neither 0 nor 1 leaves the outcome unknown.

    Output and undo: as of `exec.run`.
    """

    name: ClassVar[str] = "fence.command"
    Options: ClassVar[type[ActionOptions]] = FenceCommandOptions
    fences: ClassVar[bool] = True

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        result = await super().run(ctx, deadline_s)
        if result.outcome is StepState.SUCCEEDED:
            return result
        seen = await self.check(ctx, deadline_s)
        match seen.effect:
            case Effect.DONE:
                return StepResult(StepState.SUCCEEDED, f"{result.detail}; but {seen.detail}", result.output)
            case Effect.NOT_DONE:
                return StepResult(StepState.FAILED, result.detail, result.output)
            case Effect.UNKNOWN:
                return StepResult(StepState.UNKNOWN, f"{result.detail}; {seen.detail}", result.output)
