"""What people may do to an execution that runs: pause, go on, skip; each journaled with who."""

from __future__ import annotations

import asyncio

import pytest

from model import events as ev
from model.errors import HeldError, UsageError
from model.execution import ExecutionResult
from model.people import Word
from tests.runbooks.runbook_stage import HEAD, LOCK, Life, Stage, behave, runbook_of, set_step, until

SLOW = behave("slow", "wait", "", "5s", action="test.behave-reading")
FAILOVER = HEAD.replace("kind: other", "kind: failover")
SWITCHOVER = HEAD.replace("kind: other", "kind: switchover")
PROMOTE = "  - {id: promote, action: test.promote, timeout: 1s, with: {token: t}, point_of_no_return: true}\n"


async def begin(stage: Stage, life: Life, steps: str, head: str = HEAD) -> asyncio.Task[ExecutionResult]:
    """Until the slow step is at work."""
    run = asyncio.create_task(life.run(runbook_of(steps, head)))
    await until(lambda: stage.world.gate("arrived").is_set() or run.done())
    assert not run.done()
    return run


async def paused(stage: Stage) -> None:
    await until(lambda: bool(stage.store.of(ev.EXECUTION_PAUSED)))


async def test_a_paused_execution_begins_nothing_until_somebody_lets_it_go_on(stage: Stage) -> None:
    life = stage.process()
    run = await begin(stage, life, LOCK + SLOW + set_step("b"))
    steering = life.engine.steer("EXE-1")
    await steering.pause("lunch", "wang")
    assert not stage.store.of(ev.EXECUTION_PAUSED)  # what is at work ends first
    stage.world.gate("slow").set()
    await paused(stage)
    assert stage.store.of(ev.EXECUTION_PAUSED)[0].data == {"reason": "lunch", "before": ["b"]}
    assert stage.world.effects == []
    await steering.go_on("back", "anna")
    assert (await run).state == "succeeded"
    said = [
        (e.type, e.actor)
        for e in stage.store.events
        if e.type in (ev.PAUSE_REQUESTED, ev.EXECUTION_CONTINUED)
    ]
    assert said == [(ev.PAUSE_REQUESTED, "wang"), (ev.EXECUTION_CONTINUED, "anna")]


async def test_a_pause_outlives_the_process_and_takes_nothing_back(stage: Stage) -> None:
    life = stage.process()
    run = await begin(stage, life, LOCK + set_step("a", "undo: true") + SLOW + set_step("b"))
    await life.engine.steer("EXE-1").pause("lunch", "wang")
    stage.world.gate("slow").set()
    await paused(stage)
    life.journal.dead = True
    run.cancel()
    later = stage.process()
    resumed = asyncio.create_task(later.resume())
    await until(lambda: len(stage.store.of(ev.EXECUTION_PAUSED)) == 2)
    assert stage.world.cells == {"a": 1}
    await later.engine.steer("EXE-1").go_on("", "wang")
    assert (await resumed).state == "succeeded"
    assert stage.world.cells == {"a": 1, "b": 1}


async def test_an_abort_ends_a_pause(stage: Stage) -> None:
    life = stage.process()
    run = await begin(stage, life, LOCK + set_step("a", "undo: true") + SLOW + set_step("b"))
    steering = life.engine.steer("EXE-1")
    await steering.pause("lunch", "wang")
    stage.world.gate("slow").set()
    await paused(stage)
    await steering.abort("no more", "anna")
    assert (await asyncio.wait_for(run, 5)).state == "undone"
    assert stage.world.cells == {}


@pytest.mark.parametrize(
    ("head", "where"),
    [(FAILOVER, "after the point of no return"), (SWITCHOVER, "where nothing tentative stands")],
)
async def test_nothing_tentative_stands_while_a_switch_rests(stage: Stage, head: str, where: str) -> None:
    """A primary whose standbys are detached would wait as long as the person does."""
    life = stage.process()
    run = await begin(stage, life, LOCK + set_step("a", "undo: true") + SLOW + PROMOTE + set_step("b"), head)
    steering = life.engine.steer("EXE-1")
    assert where in await steering.pause("lunch", "wang")
    stage.world.gate("slow").set()
    await paused(stage)
    assert stage.store.of(ev.EXECUTION_PAUSED)[0].data["before"] == ["b"]
    assert stage.world.tokens == ["t"]
    await steering.go_on("", "wang")
    assert (await run).state == "succeeded"


async def test_a_failover_does_not_rest_between_its_look_and_its_acts(stage: Stage) -> None:
    """What was seen before the pause is worth nothing after it."""
    life = stage.process()
    run = await begin(
        stage, life, LOCK + SLOW + set_step("a", "undo: true") + PROMOTE + set_step("b"), FAILOVER
    )
    steering = life.engine.steer("EXE-1")
    await steering.pause("lunch", "wang")
    stage.world.gate("slow").set()
    await paused(stage)
    assert stage.store.of(ev.EXECUTION_PAUSED)[0].data["before"] == ["b"]
    await steering.go_on("", "wang")
    await run


async def test_a_second_pause_and_an_end_of_none_are_refused(stage: Stage) -> None:
    life = stage.process()
    run = await begin(stage, life, LOCK + SLOW)
    steering = life.engine.steer("EXE-1")
    with pytest.raises(UsageError, match="not paused"):
        await steering.go_on("", "wang")
    await steering.pause("lunch", "wang")
    with pytest.raises(UsageError, match="asked for already: lunch"):
        await steering.pause("dinner", "wang")
    await steering.go_on("", "wang")
    stage.world.gate("slow").set()
    assert (await run).state == "succeeded"
    assert not stage.store.of(ev.EXECUTION_PAUSED)


async def test_a_step_to_come_is_passed_over_with_who_and_why(stage: Stage) -> None:
    life = stage.process()
    run = await begin(stage, life, LOCK + SLOW + set_step("b") + set_step("c"))
    await life.engine.steer("EXE-1").skip("b", "not today", "wang")
    stage.world.gate("slow").set()
    assert (await run).state == "succeeded"
    assert stage.world.cells == {"c": 1}
    result = next(e.data for e in stage.store.of(ev.STEP_RESULT) if e.data["step"] == "b")
    assert (result["outcome"], result["detail"]) == ("skipped", "skipped by wang: not today")
    assert stage.store.of(ev.STEP_SKIP_REQUESTED)[0].actor == "wang"


async def test_a_skip_outlives_the_process(stage: Stage) -> None:
    life = stage.process()
    steps = LOCK + set_step("p", "point_of_no_return: true") + SLOW + set_step("b") + set_step("c")
    run = await begin(stage, life, steps)
    await life.engine.steer("EXE-1").skip("b", "not today", "wang")
    life.journal.dead = True
    run.cancel()
    stage.world.gate("slow").set()
    assert (await stage.process().resume()).state == "succeeded"
    assert stage.world.cells == {"p": 1, "c": 1}


@pytest.mark.parametrize(
    ("step", "why"),
    [
        pytest.param("fence", "it fences", id="a fence"),
        pytest.param("look", "the promotion (step promote) rests on it", id="before the promotion"),
        pytest.param("promote", "the promotion (step promote) rests on it", id="the promotion"),
        pytest.param("lock", "test.lock holds what the other steps need", id="a lock"),
        pytest.param("ok", "an approval is given or it is not", id="an approval"),
    ],
)
async def test_what_safety_rests_on_can_not_be_skipped(stage: Stage, step: str, why: str) -> None:
    life = stage.process()
    steps = (
        SLOW + LOCK
        + "  - {id: look, action: test.read, timeout: 1s, with: {cell: x}}\n"
        + PROMOTE
        + "  - {id: fence, action: test.fence, timeout: 1s, with: {cell: f, value: 1}}\n"
        + "  - {id: ok, action: approval, timeout: 1h, with: {what: go on}}\n"
    )  # fmt: skip
    run = await begin(stage, life, steps)
    with pytest.raises(HeldError, match=f"can't be skipped: {why}".replace("(", r"\(").replace(")", r"\)")):
        await life.engine.steer("EXE-1").skip(step, "because", "wang")
    assert not stage.store.of(ev.STEP_SKIP_REQUESTED)
    run.cancel()


async def test_what_has_begun_can_not_be_skipped(stage: Stage) -> None:
    life = stage.process()
    run = await begin(stage, life, LOCK + SLOW)
    with pytest.raises(UsageError, match="has begun"):
        await life.engine.steer("EXE-1").skip("slow", "it takes long", "wang")
    with pytest.raises(UsageError, match="can be tried again"):
        await life.engine.steer("EXE-1").retry("slow", "again", "wang")
    stage.world.gate("slow").set()
    await run


async def test_a_step_that_waits_for_a_hand_can_be_skipped(stage: Stage) -> None:
    life = stage.process()
    steps = LOCK + "  - {id: hand, action: manual, timeout: 1h, with: {do: x}}\n" + set_step("b")
    run = asyncio.create_task(life.run(runbook_of(steps)))
    await until(lambda: bool(stage.store.of(ev.STEP_ASKED)))
    await life.engine.steer("EXE-1").skip("hand", "it is done by cron", "wang")
    assert (await run).state == "succeeded"
    result = next(e.data for e in stage.store.of(ev.STEP_RESULT) if e.data["step"] == "hand")
    assert (result["outcome"], result["detail"]) == ("skipped", "skipped by wang: it is done by cron")
    assert stage.store.of(ev.STEP_ANSWERED)[0].data["word"] == Word.SKIP.value


async def test_a_work_that_moves_is_not_ended_and_one_that_stands_still_is(stage: Stage) -> None:
    moving = behave("a", "move", "stall: 60ms", "5s", action="test.behave-reading")
    result = await stage.process().run(runbook_of(LOCK + moving))
    assert result.state == "succeeded"
    still = behave("a", "stand", "stall: 60ms", "5s", action="test.behave-reading")
    stood = await Stage(stage.estate).process().run(runbook_of(LOCK + still))
    assert (stood.state, stood.reason) == ("failed", "step a unknown: it has stood still for 0.06 s")
