"""Who may change nothing any more: without leadership, without a journal, after an abort (S4, P6, P7)."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress

import pytest

from model import events as ev
from model.errors import UsageError
from runbooks.recorded import recorded_from_events
from tests.memory_journal import ProcessDiedError
from tests.runbooks.runbook_stage import LOCK, Stage, behave, runbook_of, set_step, until

TENTATIVE = LOCK + set_step("a", "undo: true, on_failure: undo")


async def test_leadership_is_looked_at_between_intent_and_act(stage: Stage) -> None:
    life = stage.process()
    life.journal.held_answers = [True, True, True, False]  # lock: before, between; a: before, between
    result = await life.run(runbook_of(TENTATIVE))
    assert (result.state, result.closed) == ("unknown", False)
    assert "another controller leads" in result.reason
    assert stage.store.of(ev.STEP_INTENT)[-1].data["step"] == "a"
    assert stage.world.effects == []


async def test_leadership_is_looked_at_before_each_step(stage: Stage) -> None:
    life = stage.process()
    life.journal.held_answers = [True, True, False]
    await life.run(runbook_of(TENTATIVE))
    assert [e.data["step"] for e in stage.store.of(ev.STEP_INTENT)] == ["lock"]


@pytest.mark.parametrize(("answers", "intents"), [(6, 0), (7, 1)], ids=["before", "between"])
async def test_leadership_is_looked_at_before_an_undo_and_before_it_acts(
    stage: Stage, answers: int, intents: int
) -> None:
    life = stage.process()
    life.journal.held_answers = [True] * answers + [False]  # two for each of the three steps
    result = await life.run(runbook_of(TENTATIVE + behave("bad", "fail", "on_failure: undo")))
    assert not result.closed
    assert len(stage.store.of(ev.UNDO_INTENT)) == intents
    assert stage.world.cells == {"a": 1}


async def test_an_end_that_can_not_be_recorded_takes_nothing_back(stage: Stage) -> None:
    life = stage.process()

    def fill(_number: int, type_: str) -> None:
        life.journal.full = type_ == ev.STEP_RESULT and stage.store.events[-1].data["step"] == "a"

    life.journal.after = fill  # everything is recorded but the end
    result = await life.run(runbook_of(TENTATIVE))
    assert (result.state, result.closed) == ("succeeded", False)
    assert stage.world.cells == {"a": 1}
    assert (await stage.process().resume()).state == "succeeded"


async def test_whoever_lost_leadership_undoes_nothing_and_writes_nothing(stage: Stage) -> None:
    life = stage.process()
    steps = TENTATIVE + behave("slow", "wait", "on_failure: undo", "5s") + set_step("b")
    run = asyncio.create_task(life.run(runbook_of(steps)))
    await until(lambda: stage.world.gate("arrived").is_set())
    stage.process()  # another takes over
    records = len(stage.store.events)
    stage.world.gate("slow").set()
    result = await run
    assert (result.state, result.closed) == ("unknown", False)
    assert stage.world.effects == ["1: a=1"]
    assert len(stage.store.events) == records


async def test_lost_leadership_stops_what_runs_beside(stage: Stage) -> None:
    life = stage.process()
    steps = (
        LOCK
        + behave("slow", "wait", "beside: true", "30s")
        + behave("front", "wait", "", "30s")
        + set_step("b")
    )
    run = asyncio.create_task(life.run(runbook_of(steps)))
    await until(lambda: stage.world.seen.count("wait") == 2)
    stage.process()
    stage.world.gate("front").set()
    result = await asyncio.wait_for(run, 5)
    assert not result.closed
    assert stage.world.open_sessions == 0


async def test_the_new_leader_goes_on_with_what_the_old_one_left(stage: Stage) -> None:
    life = stage.process()
    steps = TENTATIVE + behave("slow", "wait", "on_failure: undo", "5s")
    run = asyncio.create_task(life.run(runbook_of(steps)))
    await until(lambda: stage.world.gate("arrived").is_set())
    successor = stage.process()
    stage.world.gate("slow").set()
    await run
    result = await successor.resume()
    assert result.state == "undone"
    assert stage.world.cells == {}
    assert stage.world.violations == []


async def test_a_journal_that_fails_before_the_point_of_no_return_takes_back_what_was_tentative(
    stage: Stage,
) -> None:
    life = stage.process()
    steps = TENTATIVE + behave("slow", "wait", "", "5s") + set_step("b", "point_of_no_return: true")
    run = asyncio.create_task(life.run(runbook_of(steps)))
    await until(lambda: stage.world.gate("arrived").is_set())
    life.journal.full = True
    stage.world.gate("slow").set()
    result = await run
    assert (result.state, result.closed) == ("undone", False)
    assert "no space left" in result.reason
    assert stage.world.effects == ["1: a=1", "1: undo a"]
    assert ev.UNDO_INTENT not in stage.store.types()


async def test_what_was_taken_back_without_a_journal_is_taken_back_again_on_resume(stage: Stage) -> None:
    await test_a_journal_that_fails_before_the_point_of_no_return_takes_back_what_was_tentative(stage)
    result = await stage.process().resume()
    assert (result.state, result.closed) == ("undone", True)
    assert stage.world.cells == {}


async def test_a_journal_that_fails_past_the_point_of_no_return_stops_and_leaves_it_open(
    stage: Stage,
) -> None:
    life = stage.process()
    steps = (
        TENTATIVE
        + set_step("b", "point_of_no_return: true")
        + behave("slow", "wait", "", "5s")
        + set_step("c")
    )
    run = asyncio.create_task(life.run(runbook_of(steps)))
    await until(lambda: stage.world.gate("arrived").is_set())
    life.journal.full = True
    stage.world.gate("slow").set()
    result = await run
    assert (result.state, result.closed) == ("unknown", False)
    assert stage.world.cells == {"a": 1, "b": 1}


async def test_a_full_journal_lets_no_step_begin(stage: Stage) -> None:
    life = stage.process()

    def fill(_number: int, type_: str) -> None:
        life.journal.full = type_ == ev.STEP_RESULT or life.journal.full

    life.journal.after = fill  # the result of the lock is the last record that fits
    result = await life.run(runbook_of(TENTATIVE))
    assert stage.world.effects == []
    assert not result.closed


async def test_nothing_of_a_point_of_no_return_is_recorded_unless_all_before_it_is(stage: Stage) -> None:
    """Else a resumption would go forward from steps that were taken back."""
    life = stage.process()

    def fill(_number: int, type_: str) -> None:
        life.journal.full = type_ == ev.STEP_RESULT and stage.world.effects == ["1: a=1"]

    life.journal.before = fill  # only the result of `a` finds no room
    result = await life.run(runbook_of(TENTATIVE + set_step("b", "point_of_no_return: true")))
    assert result.state == "undone"
    assert "b" not in [e.data["step"] for e in stage.store.of(ev.STEP_INTENT)]
    assert stage.world.cells == {}


async def test_an_abort_before_the_point_of_no_return_takes_everything_back(stage: Stage) -> None:
    life = stage.process()
    run = asyncio.create_task(
        life.run(runbook_of(TENTATIVE + behave("slow", "wait", "", "5s") + set_step("b")))
    )
    await until(lambda: stage.world.gate("arrived").is_set())
    await life.engine.request_abort("EXE-1", reason="wrong service", actor="wang")
    assert not run.done()  # what is at work is waited for
    stage.world.gate("slow").set()
    result = await run
    assert (result.state, result.reason) == (
        "undone",
        "aborted: wrong service; left as they are: slow",
    )
    assert stage.world.cells == {}
    request = stage.store.of(ev.ABORT_REQUESTED)[0]
    assert (request.actor, request.data) == ("wang", {"reason": "wrong service"})


async def test_an_abort_past_the_point_of_no_return_stops_where_it_is(stage: Stage) -> None:
    life = stage.process()
    steps = (
        LOCK + set_step("b", "point_of_no_return: true") + behave("slow", "wait", "", "5s") + set_step("c")
    )
    run = asyncio.create_task(life.run(runbook_of(steps)))
    await until(lambda: stage.world.gate("arrived").is_set())
    await life.engine.request_abort("EXE-1", reason="enough", actor="wang")
    stage.world.gate("slow").set()
    result = await run
    assert result.state == "failed"
    assert result.reason.startswith("aborted: enough")
    assert stage.world.cells == {"b": 1}


async def test_an_abort_ends_the_wait_between_two_attempts(stage: Stage) -> None:
    life = stage.process()
    steps = LOCK + behave("bad", "fail", "retry: {attempts: 5, wait: 10m}")
    run = asyncio.create_task(life.run(runbook_of(steps)))
    await until(lambda: len(stage.store.of(ev.STEP_RESULT)) == 2)
    await life.engine.request_abort("EXE-1", reason="enough", actor="wang")
    result = await asyncio.wait_for(run, 5)
    assert len(stage.store.of(ev.STEP_RESULT)) == 2
    assert result.closed


async def test_an_abort_of_what_does_not_run_is_refused(stage: Stage) -> None:
    with pytest.raises(UsageError, match="EXE-9 is not running"):
        await stage.process().engine.request_abort("EXE-9", reason="x", actor="wang")


async def test_an_abort_outlives_the_process(stage: Stage) -> None:
    life = stage.process()
    steps = (
        TENTATIVE
        + set_step("b", "point_of_no_return: true")
        + behave("slow", "wait", "", "5s")
        + set_step("c")
    )
    run = asyncio.create_task(life.run(runbook_of(steps)))
    await until(lambda: stage.world.gate("arrived").is_set())
    await life.engine.request_abort("EXE-1", reason="enough", actor="wang")
    life.journal.dead = True
    stage.world.gate("slow").set()
    with pytest.raises(ProcessDiedError):
        await run
    result = await stage.process().resume()
    assert result.state == "unknown"  # `slow` may have acted
    assert result.reason.startswith("aborted: enough")
    assert "c" not in stage.world.cells


async def test_a_cancelled_execution_is_left_open_and_lets_go_of_its_locks(stage: Stage) -> None:
    life = stage.process()
    run = asyncio.create_task(life.run(runbook_of(TENTATIVE + behave("slow", "wait", "", "30s"))))
    await until(lambda: stage.world.gate("arrived").is_set())
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert (stage.world.open_sessions, stage.world.locked_by) == (0, None)
    recorded = recorded_from_events(stage.store.events, "EXE-1")
    assert recorded.closed is None
    assert recorded.step("slow").open_intent
    assert (await stage.process().resume()).state == "undone"


async def test_a_cancelled_group_lets_go_before_the_locks_do(stage: Stage) -> None:
    life = stage.process()
    group = behave("p", "wait", "parallel: g", "30s") + behave("q", "wait", "parallel: g", "30s")
    run = asyncio.create_task(life.run(runbook_of(LOCK + group)))
    await until(lambda: stage.world.seen.count("wait") == 2)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert [t for t in asyncio.all_tasks() if t is not asyncio.current_task()] == []
    assert stage.world.open_sessions == 0


async def test_a_step_that_ends_with_its_process_leaves_no_noise_behind(stage: Stage) -> None:
    noise: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: noise.append(context))
    stage.world.die_at_effect = 1

    async def live() -> None:
        steps = LOCK + set_step("a", "beside: true") + behave("b", "fail", "retry: {attempts: 2, wait: 50ms}")
        with suppress(ProcessDiedError):
            await stage.process().run(runbook_of(steps))

    await live()
    gc.collect()  # the loop reports an unread exception when its task goes
    await asyncio.sleep(0)
    assert noise == []


async def test_an_undo_that_does_not_work_is_said_and_asks(stage: Stage) -> None:
    steps = LOCK + behave("x", "ok", "undo: true") + behave("bad", "fail", "on_failure: undo")
    life = stage.process()

    async def refuse(*_args: object) -> object:
        raise OSError("unreachable")

    from tests.runbooks.runbook_world import Behave

    original = Behave.undo
    Behave.undo = refuse  # type: ignore[assignment, method-assign]
    try:
        result = await life.run(runbook_of(steps))
    finally:
        Behave.undo = original  # type: ignore[method-assign]
    assert (result.state, result.asks) == ("unknown", True)
    assert "NOT taken back: x" in result.reason
