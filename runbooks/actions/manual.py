"""manual: somebody does something by hand and says so before the time-out; no answer is a no.

Nothing looks at the effect: a step after it that does (a probe, a query) makes it more than a word (S11).
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from model.execution import StepResult
from model.people import Question, QuestionKind, Word
from runbooks.actions.base import Action, ActionOptions, StepContext


class ManualOptions(ActionOptions):
    do: str = Field(min_length=1, max_length=2000, description="What is to be done, for whoever does it.")


class Manual(Action):
    """Output: `by`, who did it; `said`, what they said of it."""

    name: ClassVar[str] = "manual"
    Options: ClassVar[type[ActionOptions]] = ManualOptions
    changing: ClassVar[bool] = False
    asks: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...] | None] = ("by", "said")

    def __init__(self, options: ManualOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        return [f"by hand: {self._options.do}"]

    def where(self, ctx: StepContext) -> str:
        return "people"

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        reply = await ctx.ask(Question(QuestionKind.MANUAL, self._options.do), deadline_s)
        by = " and ".join(reply.by)
        if reply.word is Word.YES:
            said = f": {reply.reason}" if reply.reason else ""
            return StepResult.ok(f"done by {by}{said}", by=by, said=reply.reason)
        if reply.word is Word.NO:
            return StepResult.failed(f"{by} could not do it: {reply.reason}")
        return StepResult.failed(reply.reason)
