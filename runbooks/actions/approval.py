"""approval: others than whoever asked for the execution must agree in time; no answer is a no."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from model.execution import StepResult
from model.people import Question, QuestionKind, Word
from runbooks.actions.base import Action, ActionOptions, StepContext


class ApprovalOptions(ActionOptions):
    """persons: at least so many; the level of the incident and the service may ask for more."""

    what: str = Field(min_length=1, max_length=500, description="What they agree to, in a sentence.")
    persons: int = Field(1, ge=1, le=5)


class Approval(Action):
    """Output: `by`, who agreed."""

    name: ClassVar[str] = "approval"
    Options: ClassVar[type[ActionOptions]] = ApprovalOptions
    changing: ClassVar[bool] = False
    asks: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...] | None] = ("by",)

    def __init__(self, options: ApprovalOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        agreement = ctx.ports.consent.agreement(ctx.service.name, ctx.actor, self._options.persons, ())
        who = "" if agreement.may_answer is None else f" of {', '.join(agreement.may_answer)}"
        return [f"{agreement.needed} other person{'s' * (agreement.needed > 1)}{who}: {self._options.what}"]

    def where(self, ctx: StepContext) -> str:
        return "people"

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        question = Question(QuestionKind.APPROVAL, self._options.what, self._options.persons)
        reply = await ctx.ask(question, deadline_s)
        by = list(reply.by)
        if reply.word is Word.YES:
            return StepResult.ok(reply.reason, by=by)
        if reply.word is Word.NO:
            return StepResult.failed(f"denied by {' and '.join(by)}: {reply.reason}", by=by)
        return StepResult.failed(reply.reason, by=by)
