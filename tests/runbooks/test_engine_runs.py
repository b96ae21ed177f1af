"""What an execution does and journals: order, outputs, conditions, groups, retries, time-outs."""

from __future__ import annotations

import asyncio

import pytest

from model import events as ev
from model.canonical import canonical_json
from model.errors import HeldError, UsageError
from model.execution import Mode
from runbooks.planner import make_plan
from runbooks.progress import Progress
from tests.runbooks.runbook_stage import LOCK, Stage, behave, runbook_of, set_step, until


def told(stage: Stage) -> list[tuple[str, str | None]]:
    """Type and step of every record."""
    return [(e.type, e.data.get("step")) for e in stage.store.events]


def outcomes(stage: Stage) -> dict[str, str]:
    return {e.data["step"]: e.data["outcome"] for e in stage.store.of(ev.STEP_RESULT)}


async def test_steps_run_in_order_each_with_its_intent_before_it(stage: Stage) -> None:
    result = await stage.process().run(runbook_of(LOCK + set_step("a") + set_step("b")))
    assert (result.state, result.closed) == ("succeeded", True)
    assert stage.world.effects == ["1: a=1", "1: b=1"]
    assert told(stage) == [
        ("execution.opened", None),
        ("step.intent", "lock"),
        ("step.result", "lock"),
        ("clock.mark", None),  # T4
        ("step.intent", "a"),
        ("step.result", "a"),
        ("step.intent", "b"),
        ("step.result", "b"),
        ("execution.closed", None),
    ]


async def test_the_intent_of_a_change_is_on_disk_before_the_change(stage: Stage) -> None:
    life = stage.process()
    seen: list[list[str]] = []
    life.journal.after = lambda _n, t: seen.append(list(stage.world.effects)) if t == ev.STEP_INTENT else None
    await life.run(runbook_of(LOCK + set_step("a")))
    assert seen == [[], []]


async def test_the_opening_carries_all_that_a_resumption_needs(stage: Stage) -> None:
    runbook = runbook_of(LOCK + set_step("a"))
    await stage.process().run(runbook)
    opened = stage.store.of(ev.EXECUTION_OPENED)[0]
    assert opened.data["definition"] == runbook.definition()
    assert opened.data["digest"] == runbook.digest
    assert (opened.service, opened.incident, opened.actor) == ("orders", "INC-1", "li")
    assert opened.data["kind"] == "other"
    for event in stage.store.events:
        canonical_json(event.data)


async def test_a_later_step_takes_the_output_of_an_earlier_one_with_its_type(stage: Stage) -> None:
    read = "  - {id: look, action: test.read, with: {cell: p}, timeout: 1s}\n"
    stage.world.cells["p"] = "old"
    await stage.process().run(runbook_of(LOCK + read + set_step("a", value='"{{ steps.look.list }}"')))
    assert stage.world.cells["a"] == ["a", "b"]


async def test_a_step_whose_condition_is_false_is_skipped_and_that_is_recorded(stage: Stage) -> None:
    steps = (
        LOCK + set_step("a", "when: \"service == 'other'\"") + set_step("b", "when: \"service == 'orders'\"")
    )
    await stage.process().run(runbook_of(steps))
    assert outcomes(stage) == {"lock": "succeeded", "a": "skipped", "b": "succeeded"}
    assert "a" not in stage.world.cells


async def test_steps_of_a_group_are_at_work_at_the_same_time(stage: Stage) -> None:
    steps = LOCK + "".join(
        f"  - {{id: {i}, action: test.set, timeout: 5s, parallel: g, "
        f"with: {{cell: {i}, value: 1, gate: {i}}}}}\n"
        for i in ("a", "b")
    )
    run = asyncio.create_task(stage.process().run(runbook_of(steps + set_step("c"))))
    await until(lambda: stage.world.cells.keys() >= {"a", "b"})
    assert "c" not in stage.world.cells
    stage.world.gate("b").set()
    stage.world.gate("a").set()
    assert (await run).state == "succeeded"
    assert stage.world.cells["c"] == 1


async def test_a_step_beside_does_not_hold_up_the_others_but_is_waited_for(stage: Stage) -> None:
    steps = LOCK + behave("slow", "wait", "beside: true", "5s") + set_step("a")
    run = asyncio.create_task(stage.process().run(runbook_of(steps)))
    await until(lambda: "a" in stage.world.cells)
    assert not run.done()
    assert ev.EXECUTION_CLOSED not in stage.store.types()
    stage.world.gate("slow").set()
    assert (await run).state == "succeeded"
    assert outcomes(stage)["slow"] == "succeeded"


async def test_a_failed_step_is_tried_again_as_often_as_the_runbook_says(stage: Stage) -> None:
    step = (
        "  - {id: a, action: test.set, timeout: 1s, with: {cell: a, value: 1, fail_first: 2}, "
        "retry: {attempts: 3, wait: 1ms}}\n"
    )
    result = await stage.process().run(runbook_of(LOCK + step))
    assert result.state == "succeeded"
    attempts = [(e.data["attempt"], e.data["outcome"]) for e in stage.store.of(ev.STEP_RESULT)][1:]
    assert attempts == [(1, "failed"), (2, "failed"), (3, "succeeded")]
    assert stage.store.of(ev.STEP_INTENT)[2].data["why"] == "attempt 1 failed: refused"


async def test_a_step_that_fails_too_often_stops_the_execution(stage: Stage) -> None:
    steps = LOCK + behave("bad", "fail", "retry: {attempts: 2}") + set_step("a")
    result = await stage.process().run(runbook_of(steps))
    assert (result.state, result.step, result.closed) == ("failed", "bad", True)
    assert "it does not work" in result.reason
    assert stage.world.effects == []
    assert len(stage.store.of(ev.STEP_INTENT)) == 3


async def test_an_action_that_hangs_is_unknown_at_its_deadline(stage: Stage) -> None:
    result = await stage.process().run(
        runbook_of(LOCK + behave("bad", "hang", timeout="50ms") + set_step("a"))
    )
    assert result.state == "unknown"
    assert outcomes(stage)["bad"] == "unknown"
    assert stage.world.effects == []


async def test_an_action_that_never_lets_go_is_named_and_nothing_is_undone_beside_it(stage: Stage) -> None:
    steps = LOCK + set_step("a", "undo: true") + behave("bad", "stubborn", "on_failure: undo", "20ms")
    result = await stage.process().run(runbook_of(steps))
    stage.world.gate("let go").set()
    assert result.state == "unknown"
    assert "did not let go" in result.reason
    assert not stage.store.of(ev.UNDO_INTENT)


@pytest.mark.parametrize("how", ["unknown", "raise", "float"])
async def test_a_change_without_a_clear_end_is_unknown(stage: Stage, how: str) -> None:
    result = await stage.process().run(runbook_of(LOCK + behave("bad", how)))
    assert result.state == "unknown"
    assert outcomes(stage)["bad"] == "unknown"


async def test_a_reading_without_a_clear_end_is_a_failure(stage: Stage) -> None:
    bad = behave("bad", "raise", action="test.behave-reading")
    result = await stage.process().run(runbook_of(LOCK + bad))
    assert (result.state, outcomes(stage)["bad"]) == ("failed", "failed")
    assert "OSError: the connection was lost" in result.reason


async def test_an_unknown_outcome_is_settled_by_a_look_at_the_effect(stage: Stage) -> None:
    step = "  - {id: a, action: test.set, timeout: 50ms, with: {cell: a, value: 1, gate: never}}\n"
    result = await stage.process().run(runbook_of(LOCK + step))
    assert result.state == "succeeded"
    assert stage.store.of(ev.STEP_RESULT)[-1].data["reason"] == "reconciled"


@pytest.mark.parametrize(
    ("more", "state"), [("", "failed"), (", point_of_no_return: true", "unknown")], ids=["before", "turn"]
)
async def test_what_is_not_there_yet_may_still_come_at_a_point_of_no_return(
    stage: Stage, more: str, state: str
) -> None:
    """P12: a promotion that timed out may happen later."""
    step = f"  - {{id: a, action: test.set, timeout: 1s, with: {{cell: a, value: 1, lose: true}}{more}}}\n"
    result = await stage.process().run(runbook_of(LOCK + step))
    assert result.state == state
    assert outcomes(stage)["a"] == state


async def test_what_the_runbook_puts_up_with_does_not_make_the_end_unknown(stage: Stage) -> None:
    steps = LOCK + behave("fence", "unknown", "on_failure: continue") + behave("bad", "fail")
    result = await stage.process().run(runbook_of(steps))
    assert (result.state, result.step) == ("failed", "bad")


async def test_a_point_of_no_return_that_can_not_begin_is_still_before_it(stage: Stage) -> None:
    look = "  - {id: look, action: test.read, with: {cell: p}, timeout: 1s, when: \"service == 'x'\"}\n"
    turn = set_step("b", "point_of_no_return: true", value='"{{ steps.look.value }}"')
    result = await stage.process().run(runbook_of(LOCK + set_step("a", "undo: true") + look + turn))
    assert (result.state, result.step) == ("undone", "b")
    assert stage.world.cells == {}


async def test_the_execution_goes_on_where_the_runbook_puts_up_with_a_failure(stage: Stage) -> None:
    steps = LOCK + behave("bad", "fail", "on_failure: continue") + set_step("a")
    result = await stage.process().run(runbook_of(steps))
    assert (result.state, result.reason) == ("succeeded", "done, in spite of bad")
    assert stage.world.cells == {"a": 1}


async def test_ask_stops_and_says_that_a_person_is_asked(stage: Stage) -> None:
    result = await stage.process().run(runbook_of(LOCK + behave("bad", "fail", "on_failure: ask")))
    assert (result.state, result.asks) == ("failed", True)
    assert stage.store.of(ev.EXECUTION_CLOSED)[0].data["asks"] is True


async def test_undo_takes_back_in_reverse_also_what_failed_half_way(stage: Stage) -> None:
    steps = (
        LOCK
        + set_step("a", "undo: true")
        + set_step("b", "undo: true")
        + behave("bad", "fail", "undo: true, on_failure: undo")
    )
    result = await stage.process().run(runbook_of(steps))
    assert result.state == "undone"
    assert stage.world.cells == {}
    assert [e.data["step"] for e in stage.store.of(ev.UNDO_INTENT)] == ["bad", "b", "a"]


async def test_past_the_point_of_no_return_undo_is_a_stop(stage: Stage) -> None:
    steps = (
        LOCK + set_step("a", "undo: true") + set_step("b", "point_of_no_return: true")
        + behave("bad", "fail", "on_failure: undo")
    )  # fmt: skip
    result = await stage.process().run(runbook_of(steps))
    assert result.state == "failed"
    assert "past the point of no return" in result.reason
    assert stage.world.cells == {"a": 1, "b": 1}


async def test_a_failed_step_beside_takes_the_execution_back_before_the_next_step(stage: Stage) -> None:
    steps = (
        LOCK + set_step("a", "undo: true") + behave("bad", "fail", "beside: true, on_failure: undo")
        + behave("pause", "wait", timeout="5s") + set_step("b", "point_of_no_return: true")
    )  # fmt: skip
    run = asyncio.create_task(stage.process().run(runbook_of(steps)))
    await until(lambda: "bad" in outcomes(stage))
    stage.world.gate("pause").set()
    assert (await run).state == "undone"
    assert stage.world.cells == {}


async def test_marks_are_journaled_for_the_execution_once_their_step_has_succeeded(stage: Stage) -> None:
    steps = LOCK + set_step("a", "mark: T5") + behave("bad", "fail", "mark: T6, on_failure: continue")
    await stage.process().run(runbook_of(steps))
    marks = stage.store.of(ev.CLOCK_MARK)
    assert [e.data["mark"] for e in marks] == ["T4", "T5"]
    assert all(e.execution == "EXE-1" and isinstance(e.data["at_ns"], int) for e in marks)


async def test_sessions_and_locks_are_closed_with_the_execution(stage: Stage) -> None:
    await stage.process().run(runbook_of(LOCK + behave("bad", "fail")))
    assert (stage.world.open_sessions, stage.world.locked_by) == (0, None)


async def test_one_execution_at_a_time_for_a_service(stage: Stage) -> None:
    life = stage.process()
    run = asyncio.create_task(life.run(runbook_of(LOCK + behave("slow", "wait", timeout="5s"))))
    await until(lambda: stage.world.gate("arrived").is_set())
    assert life.engine.running == {"orders": "EXE-1"}
    with pytest.raises(HeldError, match="one execution at a time"):
        await life.run(runbook_of(LOCK))
    assert len(stage.store.of(ev.EXECUTION_OPENED)) == 1
    stage.world.gate("slow").set()
    await run
    assert life.engine.running == {}


async def test_a_dry_run_is_refused(stage: Stage) -> None:
    life = stage.process()
    plan = make_plan(runbook_of(LOCK), estate=stage.estate, service="orders", vars={}, mode=Mode.DRY_RUN)
    with pytest.raises(UsageError, match="dry run"):
        await life.engine.run(plan, incident=None, actor="li", trigger="manual")
    assert stage.store.events == []


async def test_progress_tells_what_goes_on_and_a_broken_listener_harms_nothing(stage: Stage) -> None:
    life = stage.process()
    stage.world.gate("slow").set()
    result = await life.run(runbook_of(LOCK + behave("slow", "wait")))
    assert result.state == "succeeded"
    assert [(p.step, p.state.value) for p in stage.progress] == [
        (None, "running"),
        ("lock", "running"),
        ("lock", "succeeded"),
        ("slow", "running"),
        ("slow", "running"),
        ("slow", "succeeded"),
        (None, "succeeded"),
    ]
    assert stage.progress[4].detail == "waiting at the gate"

    def broken(_progress: Progress) -> None:
        raise ValueError("no terminal")

    life.engine._on_progress = broken
    assert (await life.run(runbook_of(LOCK))).state == "succeeded"


async def test_an_output_that_is_not_there_fails_the_step_before_it_acts(stage: Stage) -> None:
    read = "  - {id: look, action: test.read, with: {cell: p}, timeout: 1s, when: \"service == 'x'\"}\n"
    result = await stage.process().run(
        runbook_of(LOCK + read + set_step("a", value='"{{ steps.look.value }}"'))
    )
    assert (result.state, result.step) == ("failed", "a")
    assert "'value'" in result.reason
    assert not any(e.data["step"] == "a" for e in stage.store.of(ev.STEP_INTENT))
