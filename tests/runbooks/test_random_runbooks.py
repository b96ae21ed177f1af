"""Any runbook, killed anywhere: a whole world, nothing twice, and the journal tells the truth."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.schema import Estate
from model import events as ev
from model.execution import ExecutionState
from runbooks.recorded import recorded_from_events
from runbooks.schema import Runbook
from tests.memory_journal import ProcessDiedError
from tests.runbooks.runbook_stage import Stage

KINDS = ("set", "once", "read", "fail", "unknown")
ON_FAILURE = ("stop", "undo", "ask", "continue")


@st.composite
def steps_of(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Well-formed as the linter wants it: before the point of no return every change can be taken back."""
    steps: list[dict[str, Any]] = [{"id": "lock", "action": "test.lock", "timeout": "5s"}]
    length = draw(st.integers(1, 7))
    turn = draw(st.integers(0, length))  # the point of no return; length: none
    for number in range(length):
        kind = draw(st.sampled_from(KINDS))
        id_ = f"s{number}"
        step: dict[str, Any] = {"id": id_, "timeout": "5s", "on_failure": draw(st.sampled_from(ON_FAILURE))}
        if kind == "set":
            step |= {"action": "test.set", "with": {"cell": id_, "value": "new"}}
        elif kind == "once":
            step |= {"action": "test.once", "with": {"token": id_}}
        elif kind == "read":
            step |= {"action": "test.read", "with": {"cell": id_}}
        else:
            step |= {"action": "test.behave", "with": {"how": kind}}
        if kind != "read" and number < turn:
            step["undo"] = True
        if number == turn:
            step |= {"action": "test.promote", "with": {"token": id_}, "point_of_no_return": True}
            step.pop("undo", None)
        if number == turn:
            pass  # alone: what runs at the same time would be neither before nor after it
        elif draw(st.integers(0, 3)) == 0:
            step["beside"] = True
        elif draw(st.booleans()):
            step["parallel"] = draw(st.sampled_from(["g", "h"]))
        if draw(st.booleans()):
            step["retry"] = {"attempts": 2, "wait": "1ms"}
        steps.append(step)
    return steps


@st.composite
def deaths_of(draw: st.DrawFn) -> list[tuple[int, bool]]:
    return draw(st.lists(st.tuples(st.integers(1, 25), st.booleans()), max_size=3))


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps_of(), deaths=deaths_of(), effect=st.none() | st.tuples(st.integers(1, 8), st.booleans()))
def test_whatever_happens_the_world_is_whole(
    estate: Estate,
    steps: list[dict[str, Any]],
    deaths: list[tuple[int, bool]],
    effect: tuple[int, bool] | None,
) -> None:
    runbook = Runbook.model_validate(
        {"apiVersion": 1, "name": "test", "engine": "generic", "kind": "other", "steps": steps}
    )
    stage = Stage(estate)
    if effect is not None:
        stage.world.die_at_effect, stage.world.die_after = effect
    asyncio.run(_live(stage, runbook, deaths))
    _judge(stage, runbook)


async def _live(stage: Stage, runbook: Runbook, deaths: list[tuple[int, bool]]) -> None:
    for number, written in [*deaths, (10_000, False), (10_000, False)]:
        life = stage.process()

        def hook(present: int, _type: str, at: int = number, journal: Any = life.journal) -> None:
            if present == at:
                journal.die()

        setattr(life.journal, "after" if written else "before", hook)
        try:
            if not stage.store.of(ev.EXECUTION_OPENED):
                await life.run(runbook)
            elif not stage.store.of(ev.EXECUTION_CLOSED):
                await life.resume()
        except ProcessDiedError:
            assert stage.world.open_sessions == 0


def _judge(stage: Stage, runbook: Runbook) -> None:
    recorded = recorded_from_events(stage.store.events, "EXE-1")
    assert recorded.closed is not None
    assert stage.world.violations == []
    tokens = stage.world.tokens
    assert len(tokens) == len(set(tokens)), "a double effect"
    no_return = any(recorded.step(s.id).has_intent for s in runbook.steps if s.point_of_no_return)
    if recorded.closed is ExecutionState.UNDONE:
        assert not no_return
        assert stage.world.cells == {}
        assert tokens == []
    if no_return:
        assert not stage.store.of(ev.UNDO_INTENT), "undone past the point of no return"
    if recorded.closed is ExecutionState.SUCCEEDED:
        for step in runbook.steps:
            outcome = recorded.step(step.id).last
            assert outcome is not None
            tolerated = step.on_failure == "continue"
            assert outcome.outcome == "succeeded" or tolerated
            if outcome.outcome == "succeeded" and step.action == "test.set":
                assert stage.world.cells[step.id] == "new"
            if outcome.outcome == "succeeded" and step.action in ("test.once", "test.promote"):
                assert step.id in tokens
    marks = [e.data["mark"] for e in stage.store.of(ev.CLOCK_MARK)]
    assert len(marks) == len(set(marks))
    assert stage.world.open_sessions == 0
