"""Where an execution may stand still for people, and what it asks them there.

Nothing tentative may stand meanwhile where the primary is moved: standbys that stay detached block a healthy
primary (P6), and what was looked at before a failover is worth nothing later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from model.execution import StepState
from model.people import Question, QuestionKind, Reply
from runbooks.questions import first_of
from runbooks.run_state import RunState, StepStatus
from runbooks.schema import Kind, OnFailure, Runbook

# Kinds that change nothing that clients wait for while they stand still.
_ANYWHERE: Final = frozenset({Kind.OTHER, Kind.REJOIN, Kind.DRAIN, Kind.RESTORE})


def may_rest(state: RunState) -> bool:
    """May it stand still here, between two steps?"""
    runbook = state.plan.runbook
    if state.past_no_return or runbook.kind in _ANYWHERE:
        return True
    begun = [s for s in state.steps.values() if s.state is not StepState.PENDING or s.acted]
    if runbook.kind is Kind.FAILOVER:
        return not begun
    return not any(s.step.undo and s.acted and s.undone is not StepState.SUCCEEDED for s in begun)


def rests_at(runbook: Runbook) -> str:
    """The same in words, for whoever asks for a pause."""
    if runbook.kind in _ANYWHERE:
        return "before the next step"
    if runbook.kind is Kind.FAILOVER:
        return "before the first step, or after the point of no return"
    return "where nothing tentative stands, or after the point of no return"


async def rest(state: RunState, before: Sequence[str]) -> bool:
    """Stands still as long as a pause lasts; False: there was none. Raises JournalError and
    LeadershipLostError."""
    rested = False
    while state.pause_reason is not None and not state.halting.is_set() and may_rest(state):
        state.require_lease()
        await state.log.paused(state.pause_reason, before)
        state.resting = rested = True
        await first_of((state.going, state.halting))
        state.resting = False
    return rested


async def ask_how(state: RunState, status: StepStatus) -> Reply | None:
    """A person says how to go on after a step that did not succeed; None: it stops. Raises as `rest`."""
    within_s = status.step.answer_within
    if within_s is None or status.step.on_failure is not OnFailure.ASK:
        return None
    if state.halting.is_set() or status.runaway:
        return None
    state.require_lease()
    text = f"step {status.step.id} {status.state.value}: {status.detail}"
    deadline_s = state.context.ports.clock.monotonic_s() + within_s
    question = Question(QuestionKind.DECISION, text)
    reply = await state.questions.ask(status.step.id, status.attempts, question, deadline_s)
    return reply if reply.word is not None else None
