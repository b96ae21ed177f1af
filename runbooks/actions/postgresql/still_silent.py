"""postgresql.still_silent: the probes have heard nothing of the old primary since the first look (S6).

The last question before the point of no return. It costs no session and waits for nobody, so that nothing can
stand still between it and the intent: what came back while other steps took their time is seen here.
"""

from __future__ import annotations

from typing import ClassVar

from model.errors import BcmError
from model.execution import StepResult
from runbooks.actions.base import Action, StepContext
from runbooks.actions.postgresql.inputs import OVERRIDE_ANSWERS, overridden, variable
from runbooks.actions.postgresql.last_look import heard_again


class StillSilent(Action):
    """Succeeds unless an answer to the probes came in after the first `postgresql.last_look` began."""

    name: ClassVar[str] = "postgresql.still_silent"
    changing: ClassVar[bool] = False
    outputs: ClassVar[tuple[str, ...] | None] = ()

    def describe(self, ctx: StepContext) -> list[str]:
        return [f"{variable(ctx, 'primary')}: no probe was answered since the first look"]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        try:
            primary = variable(ctx, "primary")
        except BcmError as error:
            return StepResult.failed(str(error))
        if not heard_again(ctx, primary):
            return StepResult.ok(f"no probe has heard of {primary} since the first look")
        if overridden(ctx, OVERRIDE_ANSWERS):
            return StepResult.ok(f"{primary} answers the probes; rule {OVERRIDE_ANSWERS} is overridden")
        return StepResult.failed(f"{primary} answers the probes again")
