"""Going on after a process died: what is kept, looked at, repeated, refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from model import events as ev
from model.errors import JournalError, RunbookError, UsageError
from model.events import Event
from model.execution import ExecutionState
from runbooks.recorded import RecordedExecution, recorded_from_events
from runbooks.schema import Runbook
from tests.memory_journal import ProcessDiedError
from tests.runbooks.runbook_stage import LOCK, Stage, behave, runbook_of, set_step
from tests.runbooks.runbook_world import Lock

PONR = set_step("b", "point_of_no_return: true")


def once(id_: str, action: str = "test.once", more: str = "") -> str:
    return f"  - {{id: {id_}, action: {action}, timeout: 1s, with: {{token: {id_}}}{more}}}\n"


async def die_when(stage: Stage, runbook: Runbook, when: Callable[[Event], bool]) -> None:
    """Run until a record is on disk, and die there."""
    life = stage.process()

    def hook(_number: int, _type: str) -> None:
        if when(stage.store.events[-1]):
            life.journal.die()

    life.journal.after = hook
    with pytest.raises(ProcessDiedError):
        await life.run(runbook)


def is_record(type_: str, step: str) -> Callable[[Event], bool]:
    return lambda event: event.type == type_ and event.data.get("step") == step


def recorded(stage: Stage) -> RecordedExecution:
    return recorded_from_events(stage.store.events, "EXE-1")


async def test_steps_that_succeeded_keep_their_recorded_outputs(stage: Stage) -> None:
    stage.world.cells["p"] = "old"
    read = "  - {id: look, action: test.read, with: {cell: p}, timeout: 1s}\n"
    steps = LOCK + read + PONR + set_step("c", value='"{{ steps.look.value }}"')
    await die_when(stage, runbook_of(steps), is_record(ev.STEP_RESULT, "b"))
    stage.world.cells["p"] = "changed since"
    result = await stage.process().resume()
    assert result.state == "succeeded"
    assert stage.world.cells["c"] == "old"
    assert stage.world.seen.count("read p") == 1


async def test_what_lived_in_the_process_is_made_again_first(stage: Stage) -> None:
    await die_when(stage, runbook_of(LOCK + PONR + set_step("c")), is_record(ev.STEP_RESULT, "b"))
    await stage.process().resume()
    after = stage.store.types().index(ev.EXECUTION_RESUMED)
    intent = stage.store.events[after + 1]
    assert (intent.data["step"], intent.data["attempt"]) == ("lock", 2)
    assert stage.world.effects == ["1: b=1", "2: c=1"]
    assert stage.world.violations == []


async def test_without_its_locks_a_resumption_stops_and_asks(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = LOCK + set_step("a", "undo: true") + behave("c", "ok")
    await die_when(stage, runbook_of(steps), is_record(ev.STEP_RESULT, "a"))
    monkeypatch.setattr("runbooks.resume.REPEAT_WAIT_S", 0.001)

    async def refuse(self: Lock, ctx: object, deadline_s: float) -> object:
        raise OSError("unreachable")

    monkeypatch.setattr(Lock, "run", refuse)
    result = await stage.process().resume()
    assert (result.state, result.asks, result.step) == ("unknown", True, "lock")
    assert stage.world.cells == {"a": 1}
    assert stage.store.of(ev.EXECUTION_CLOSED)


async def test_an_open_intent_whose_effect_is_there_is_recorded_as_done(stage: Stage) -> None:
    steps = LOCK + PONR + once("t")
    await die_when(stage, runbook_of(steps), lambda e: e.type == ev.STEP_RESULT and e.data["step"] == "t")
    stage.store.events.pop()  # the result did not reach the disk
    result = await stage.process().resume()
    assert result.state == "succeeded"
    assert result.outputs["t"] == {"token": "t"}
    assert stage.world.tokens == ["t"]
    assert stage.store.of(ev.STEP_RESULT)[-1].data["reason"] == "reconciled"


async def test_what_is_not_there_and_can_be_repeated_runs_again(stage: Stage) -> None:
    await die_when(stage, runbook_of(LOCK + PONR), is_record(ev.STEP_INTENT, "b"))
    result = await stage.process().resume()
    assert result.state == "succeeded"
    assert stage.world.effects == ["2: b=1"]
    last = stage.store.of(ev.STEP_INTENT)[-1].data
    assert (last["step"], last["attempt"]) == ("b", 2)
    assert last["why"] == "attempt 1 left no result, and its effect is not there: it is not set"


@pytest.mark.parametrize("action", ["test.once", "test.blind"])
async def test_what_can_be_neither_seen_nor_repeated_is_left_to_a_person(stage: Stage, action: str) -> None:
    steps = LOCK + PONR + once("t", action) + set_step("c")
    await die_when(stage, runbook_of(steps), is_record(ev.STEP_INTENT, "t"))
    result = await stage.process().resume()
    assert (result.state, result.step, result.closed) == ("unknown", "t", True)
    assert stage.world.tokens == []
    assert "c" not in stage.world.cells


async def test_an_unseen_effect_that_the_runbook_puts_up_with_is_tried_again(stage: Stage) -> None:
    steps = LOCK + PONR + behave("fence", "ok", "on_failure: continue") + set_step("c")
    await die_when(stage, runbook_of(steps), is_record(ev.STEP_INTENT, "fence"))
    result = await stage.process().resume()
    assert result.state == "succeeded"
    assert stage.world.seen.count("ok") == 1


async def test_what_was_asked_for_before_the_death_may_still_come_whatever_fails_afterwards(
    stage: Stage,
) -> None:
    """P12: a step at the point of no return that fails when it is repeated has not failed."""
    again = set_step("b", "point_of_no_return: true", value="1, fail_first: 1")
    await die_when(stage, runbook_of(LOCK + again), is_record(ev.STEP_INTENT, "b"))
    result = await stage.process().resume()
    assert (result.state, result.step) == ("unknown", "b")
    last = stage.store.of(ev.STEP_RESULT)[-1].data
    assert last["outcome"] == "unknown"
    assert "refused; what became of an attempt before is not known" in last["detail"]


async def test_a_runbook_that_was_edited_meanwhile_changes_nothing(stage: Stage) -> None:
    await die_when(stage, runbook_of(LOCK + PONR + set_step("c")), is_record(ev.STEP_INTENT, "b"))
    assert recorded(stage).definition["steps"][2]["with"] == {"cell": "c", "value": 1}
    await stage.process().resume()
    assert stage.world.cells["c"] == 1


async def test_a_journaled_runbook_that_does_not_fit_its_digest_is_refused(stage: Stage) -> None:
    await die_when(stage, runbook_of(LOCK + PONR), is_record(ev.STEP_INTENT, "b"))
    forged = replace(recorded(stage), digest="sha256:0")
    with pytest.raises(RunbookError, match="digest"):
        await stage.process().engine.resume(forged)


async def test_what_is_closed_is_not_resumed(stage: Stage) -> None:
    await stage.process().run(runbook_of(LOCK))
    assert recorded(stage).closed is ExecutionState.SUCCEEDED
    with pytest.raises(UsageError, match="closed"):
        await stage.process().resume()


async def test_a_service_that_the_estate_lost_is_named(stage: Stage) -> None:
    await die_when(stage, runbook_of(LOCK + PONR), is_record(ev.STEP_INTENT, "b"))
    with pytest.raises(RunbookError, match="'gone'"):
        await stage.process().engine.resume(replace(recorded(stage), service="gone"))


async def test_attempts_before_the_death_count(stage: Stage) -> None:
    bad = behave("bad", "fail", "retry: {attempts: 3}")
    seen: list[Event] = []

    def second(event: Event) -> bool:
        if is_record(ev.STEP_RESULT, "bad")(event):
            seen.append(event)
        return len(seen) == 2

    await die_when(stage, runbook_of(LOCK + PONR + bad), second)
    result = await stage.process().resume()
    assert (result.state, result.step) == ("failed", "bad")
    numbers = [e.data["attempt"] for e in stage.store.of(ev.STEP_INTENT) if e.data["step"] == "bad"]
    assert numbers == [1, 2, 3]


async def test_a_recorded_failure_stays_one(stage: Stage) -> None:
    await die_when(stage, runbook_of(LOCK + PONR + behave("bad", "fail")), is_record(ev.STEP_RESULT, "bad"))
    result = await stage.process().resume()
    assert (result.state, result.step) == ("failed", "bad")
    assert stage.world.seen.count("fail") == 1


async def test_everything_done_but_the_end_is_only_closed(stage: Stage) -> None:
    await die_when(stage, runbook_of(LOCK + set_step("a", "undo: true")), is_record(ev.STEP_RESULT, "a"))
    result = await stage.process().resume()
    assert result.state == "succeeded"
    assert stage.world.effects == ["1: a=1"]


@pytest.mark.parametrize("boot", ["boot-1", "boot-2"])
async def test_a_mark_that_was_not_written_is_written_with_the_time_of_the_result(
    stage: Stage, boot: str
) -> None:
    steps = LOCK + set_step("b", "point_of_no_return: true, mark: T6") + set_step("c")
    await die_when(stage, runbook_of(steps), is_record(ev.STEP_RESULT, "b"))
    ended_ns = stage.store.events[-1].mono_ns
    await stage.process(boot_id=boot).resume()
    mark = next(e for e in stage.store.of(ev.CLOCK_MARK) if e.data["mark"] == "T6")
    # Of another boot, whose clock began anew, it is only known that it was before now.
    assert (mark.data["at_ns"] == ended_ns) is (boot == "boot-1")
    assert "resumed" in mark.data["note"]


async def test_an_undo_that_was_cut_off_is_done_again(stage: Stage) -> None:
    steps = LOCK + set_step("a", "undo: true") + behave("bad", "fail", "on_failure: undo")
    await die_when(stage, runbook_of(steps), is_record(ev.UNDO_INTENT, "a"))
    result = await stage.process().resume()
    assert result.state == "undone"
    assert stage.world.cells == {}


def test_an_execution_that_is_not_in_the_journal_is_named(stage: Stage) -> None:
    with pytest.raises(UsageError, match="EXE-7"):
        recorded_from_events(stage.store.events, "EXE-7")


async def test_an_opening_of_another_version_is_refused(stage: Stage) -> None:
    await stage.process().run(runbook_of(LOCK))
    opened = stage.store.events[0]
    strange = replace(opened, data={k: v for k, v in opened.data.items() if k != "definition"})
    with pytest.raises(JournalError, match="definition"):
        recorded_from_events([strange], "EXE-1")
