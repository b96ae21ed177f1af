"""mariadb.last_look: whoever answers is not dead."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from model.errors import DeclinedError
from model.execution import StepResult
from model.ports import NoAnswerError
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.inputs import OVERRIDE_ANSWERS, overridden, variable
from runbooks.actions.mariadb.asking import looking


class LastLookOptions(ActionOptions):
    """patience_ms: how long a silent server is waited for; a living one answers within a round trip."""

    patience_ms: int = Field(200, ge=20, le=10_000)


class LastLook(Action):
    """Succeeds if the old primary does not answer a fresh connection. Output: `answer`: refused, silent or
    alive (the last only where a person overrides S6); `said`."""

    name: ClassVar[str] = "mariadb.last_look"
    Options: ClassVar[type[ActionOptions]] = LastLookOptions
    changing: ClassVar[bool] = False
    outputs: ClassVar[tuple[str, ...] | None] = ("answer", "said")

    def __init__(self, options: LastLookOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        primary = variable(ctx, "primary")
        return [f"{primary}: SELECT 1 within {self._options.patience_ms} ms; any answer ends the failover"]

    def where(self, ctx: StepContext) -> str:
        return variable(ctx, "primary")

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        primary = variable(ctx, "primary")
        since_s = ctx.ports.clock.monotonic_s()
        answer, said = await self._look(ctx, primary, deadline_s)
        answered_s = ctx.ports.answered_s(ctx.service.name, primary)
        if answer != "alive" and answered_s is not None and answered_s > since_s:
            answer, said = "alive", "it answers the probes again"
        if answer != "alive":
            return StepResult.ok(f"{primary} does not answer: {said}", answer=answer, said=said)
        if overridden(ctx, OVERRIDE_ANSWERS):
            text = f"{primary} answers ({said}); rule {OVERRIDE_ANSWERS} is overridden"
            return StepResult.ok(text, answer=answer, said=said)
        return StepResult.failed(f"{primary} answers: {said}", answer=answer, said=said)

    async def _look(self, ctx: StepContext, primary: str, deadline_s: float) -> tuple[str, str]:
        """A server that has no connection left, or knows no such account, says so: it lives."""
        within_s = self._options.patience_ms / 1000
        try:
            async with looking(ctx, primary, deadline_s, within_s=within_s) as asking:
                await asking.query("SELECT 1", within_s=within_s)
        except DeclinedError as error:
            return "alive", error.what
        except NoAnswerError as error:
            return ("refused" if error.refused else "silent"), str(error)
        return "alive", "it answers SELECT 1"
