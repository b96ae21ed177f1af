"""Is this a repetition of something that may have been done already?"""

from __future__ import annotations

from model import events as ev
from model.execution import Effect, Reconciled, StepResult
from runbooks.actions.base import StepContext


def is_repeat(ctx: StepContext) -> bool:
    """An attempt before this one, in this process or in one that died, was about to act."""
    intents = ctx.ports.journal.events(types=[ev.STEP_INTENT], execution=ctx.execution)
    return sum(1 for event in intents if event.data.get("step") == ctx.step) > 1


def before_acting(
    ctx: StepContext, seen: Reconciled, done: str, *, harmless: bool = False
) -> StepResult | None:
    """The result of a step that is not to act after this look at its effect; None: go on.

    What may be run again where its effect is not there may not be where that is not known, unless a second
    time does no harm.
    """
    if seen.effect is Effect.DONE:
        return StepResult.ok(done, changed=False)
    if seen.effect is Effect.UNKNOWN and not harmless and is_repeat(ctx):
        return StepResult.unknown(f"it is not done again, an attempt before may have done it: {seen.detail}")
    return None
