"""postgresql.still_silent: the old primary is as silent as it was at the final look (S6).

The last question before the point of no return, which waits for nobody: what came back while other steps took
their time is seen here. Where the final look is old by now, because a link is slow or this process stood
still, the probes may not have had their turn either, and the primary is looked at once more.
"""

from __future__ import annotations

from typing import ClassVar, Final

from model.errors import BcmError
from model.execution import StepResult
from runbooks.actions.base import Action, StepContext
from runbooks.actions.inputs import OVERRIDE_ANSWERS, overridden, variable
from runbooks.actions.postgresql.last_look import heard_again, look, looked_s

# A final look is worth so much time; the steps beside it take a few milliseconds and some round trips.
_FRESH_S: Final = 0.25
_PATIENCE_S: Final = 0.25


class StillSilent(Action):
    """Succeeds unless an answer to the probes came in after the first `postgresql.last_look` began, or to a
    fresh session where the newest look is older than a moment."""

    name: ClassVar[str] = "postgresql.still_silent"
    changing: ClassVar[bool] = False
    outputs: ClassVar[tuple[str, ...] | None] = ()

    def describe(self, ctx: StepContext) -> list[str]:
        return [f"{variable(ctx, 'primary')}: no answer to the probes since the first look"]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        try:
            primary = variable(ctx, "primary")
            said = await _said(ctx, primary, deadline_s)
        except BcmError as error:
            return StepResult.failed(f"the old primary can't be looked at: {error}")
        if said is None:
            return StepResult.ok(f"nothing was heard of {primary} since the first look")
        if overridden(ctx, OVERRIDE_ANSWERS):
            return StepResult.ok(f"{primary} answers ({said}); rule {OVERRIDE_ANSWERS} is overridden")
        return StepResult.failed(f"{primary} answers: {said}")


async def _said(ctx: StepContext, primary: str, deadline_s: float) -> str | None:
    """How it shows that it lives, if it does. Raises BcmError if this side can't look."""
    now_s, newest_s = ctx.ports.clock.monotonic_s(), looked_s(ctx)
    if newest_s is None or now_s - newest_s > _FRESH_S:
        answer, said = await look(ctx, primary, min(now_s + _PATIENCE_S, deadline_s))
        if answer == "alive":
            return said
    return "it answers the probes again" if heard_again(ctx, primary) else None
