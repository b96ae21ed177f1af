"""What a step signs its effects with, so that a later look knows them as its own: on a node, in a comment."""

from __future__ import annotations

from model import events as ev
from runbooks.actions.base import StepContext


def signature(ctx: StepContext) -> str:
    """`EXE-12-reload-1f0c93ab`: letters, digits, `_` and `-`. The same in each attempt and after a restart.

    The ids of executions begin anew with a new journal; the hash of the execution's first record does not.
    """
    opened = ctx.ports.journal.events(types=[ev.EXECUTION_OPENED], execution=ctx.execution)
    return "-".join((ctx.execution, ctx.step, *(event.hash[:8] for event in opened[:1])))
