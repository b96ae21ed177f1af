"""Steps that wait for people: who may answer, how many must, and that no answer is a no."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from model import events as ev
from model.errors import HeldError, UsageError
from model.execution import ExecutionResult
from model.people import Agreement, OneOther, Word
from runbooks.questions import OpenQuestion
from tests.memory_journal import ProcessDiedError
from tests.runbooks.runbook_stage import LOCK, Life, Stage, behave, runbook_of, set_step, until

APPROVAL = "  - {id: ok, action: approval, timeout: 1h, with: {what: move it}}\n"
MANUAL = "  - {id: hand, action: manual, timeout: 1h, with: {do: pull the plug}}\n"
AFTER = set_step("b", "undo: true")


class TwoOthers(OneOther):
    """The level asks for two persons, whatever the step says."""

    def agreement(self, service: str, requester: str, persons: int, given: Sequence[str]) -> Agreement:
        return super().agreement(service, requester, max(persons, 2), given)


def begin(life: Life, steps: str) -> asyncio.Task[ExecutionResult]:
    return asyncio.create_task(life.run(runbook_of(steps)))


async def asked(stage: Stage, life: Life, step: str, times: int = 1) -> OpenQuestion:
    await until(lambda: len(stage.store.of(ev.STEP_ASKED)) == times)
    return life.engine.steer("EXE-1")._state.questions.open[step]


async def test_an_approval_lets_the_next_step_begin_and_says_who_gave_it(stage: Stage) -> None:
    life = stage.process()
    run = begin(life, LOCK + APPROVAL + AFTER)
    await asked(stage, life, "ok")
    assert stage.world.effects == []
    await life.engine.steer("EXE-1").answer("ok", Word.YES, "", "wang")
    result = await run
    assert (result.state, result.outputs["ok"]) == ("succeeded", {"by": ["wang"]})
    answer = stage.store.of(ev.STEP_ANSWERED)[0]
    assert (answer.actor, answer.data["word"]) == ("wang", "yes")
    assert stage.store.of(ev.STEP_ASKED)[0].data["needed"] == 1


async def test_whoever_asked_for_the_execution_can_not_approve_it_and_may_take_it_back(stage: Stage) -> None:
    life = stage.process()
    run = begin(life, LOCK + APPROVAL + AFTER)
    await asked(stage, life, "ok")
    steering = life.engine.steer("EXE-1")
    with pytest.raises(HeldError, match="li asked for it"):
        await steering.answer("ok", Word.YES, "", "li")
    await steering.answer("ok", Word.NO, "changed my mind", "li")
    result = await run
    assert (result.state, result.reason) == ("failed", "step ok failed: denied by li: changed my mind")
    assert stage.world.effects == []


async def test_where_two_persons_must_agree_one_counts_once(stage: Stage) -> None:
    life = stage.process(consent=TwoOthers())
    run = begin(life, LOCK + APPROVAL + AFTER)
    opened = await asked(stage, life, "ok")
    steering = life.engine.steer("EXE-1")
    first = await steering.answer("ok", Word.YES, "", "wang")
    assert (first.complete, first.needed, opened.reply) == (False, 2, None)
    with pytest.raises(HeldError, match="counts once"):
        await steering.answer("ok", Word.YES, "", "wang")
    assert (await steering.answer("ok", Word.YES, "", "anna")).complete
    assert (await run).outputs["ok"] == {"by": ["wang", "anna"]}


async def test_no_answer_in_time_is_a_no(stage: Stage) -> None:
    result = await begin(stage.process(), LOCK + APPROVAL.replace("1h", "50ms") + AFTER)
    assert (result.state, result.reason) == ("failed", "step ok failed: nobody answered in time: no")
    assert stage.world.effects == []


async def test_what_is_done_by_hand_is_confirmed_by_whoever_did_it(stage: Stage) -> None:
    life = stage.process()
    run = begin(life, LOCK + MANUAL + AFTER)
    await asked(stage, life, "hand")
    await life.engine.steer("EXE-1").answer("hand", Word.YES, "it is dark now", "li")
    assert (await run).outputs["hand"] == {"by": "li", "said": "it is dark now"}


async def test_what_can_not_be_done_by_hand_is_a_failure_with_its_reason(stage: Stage) -> None:
    life = stage.process()
    run = begin(life, LOCK + MANUAL + AFTER)
    await asked(stage, life, "hand")
    await life.engine.steer("EXE-1").answer("hand", Word.NO, "no key", "li")
    assert (await run).reason == "step hand failed: li could not do it: no key"


async def test_a_word_that_is_no_answer_and_a_step_that_asks_nobody_are_refused(stage: Stage) -> None:
    life = stage.process()
    run = begin(life, LOCK + APPROVAL)
    await asked(stage, life, "ok")
    steering = life.engine.steer("EXE-1")
    with pytest.raises(UsageError, match="'retry' is no answer"):
        await steering.answer("ok", Word.RETRY, "", "wang")
    with pytest.raises(UsageError, match="asks nobody now"):
        await steering.answer("lock", Word.YES, "", "wang")
    with pytest.raises(UsageError, match="no step 'okk'"):
        await steering.answer("okk", Word.YES, "", "wang")
    await steering.abort("enough", "wang")
    assert (await run).state == "undone"


async def test_an_abort_does_not_wait_for_the_answer(stage: Stage) -> None:
    life = stage.process()
    run = begin(life, LOCK + set_step("a", "undo: true") + MANUAL)
    await asked(stage, life, "hand")
    await life.engine.steer("EXE-1").abort("no more", "wang")
    result = await asyncio.wait_for(run, 5)
    assert (result.state, stage.world.cells) == ("undone", {})


@pytest.mark.parametrize("when", ["before the answer", "after the answer"])
async def test_what_was_said_before_a_restart_counts_after_it(stage: Stage, when: str) -> None:
    life = stage.process(consent=TwoOthers())
    run = begin(life, LOCK + APPROVAL + AFTER)
    await asked(stage, life, "ok")
    await life.engine.steer("EXE-1").answer("ok", Word.YES, "", "wang")
    if when == "after the answer":
        life.journal.before = lambda _n, type_: life.journal.die() if type_ == ev.STEP_RESULT else None
        await life.engine.steer("EXE-1").answer("ok", Word.YES, "", "anna")
        with pytest.raises(ProcessDiedError):
            await run
    else:
        life.journal.dead = True
        run.cancel()
    later = stage.process(consent=TwoOthers())
    resumed = asyncio.create_task(later.resume())
    if when == "before the answer":
        await asked(stage, later, "ok", times=2)
        assert stage.store.of(ev.STEP_ASKED)[1].data["given"] == ["wang"]
        await later.engine.steer("EXE-1").answer("ok", Word.YES, "", "anna")
    result = await resumed
    assert (result.state, result.outputs["ok"]) == ("succeeded", {"by": ["wang", "anna"]})
    assert stage.world.cells == {"b": 1}


async def test_a_step_that_did_not_succeed_is_tried_again_when_a_person_says_so(stage: Stage) -> None:
    life = stage.process()
    flaky = set_step("a", "on_failure: ask, answer_within: 1h, point_of_no_return: true").replace(
        "value: 1", "value: 1, fail_first: 1"
    )
    run = begin(life, LOCK + flaky + set_step("b"))
    await asked(stage, life, "a")
    assert stage.store.of(ev.STEP_ASKED)[0].data["words"] == ["retry", "skip"]
    await life.engine.steer("EXE-1").retry("a", "the disk is free again", "wang")
    result = await run
    assert (result.state, stage.world.cells) == ("succeeded", {"a": 1, "b": 1})
    intent = stage.store.of(ev.STEP_INTENT)[2].data
    assert (intent["attempt"], intent["why"]) == (2, "wang wants it again: the disk is free again")


async def test_an_effect_that_came_meanwhile_is_not_made_twice(stage: Stage) -> None:
    life = stage.process()
    once = (
        "  - {id: t, action: test.late, timeout: 1s, with: {token: t}, on_failure: ask, answer_within: 1h}\n"
    )
    run = begin(life, LOCK + set_step("p", "point_of_no_return: true") + once)
    await asked(stage, life, "t")
    stage.world.tokens.append("t")
    await life.engine.steer("EXE-1").retry("t", "again", "wang")
    result = await run
    assert (result.state, stage.world.tokens) == ("succeeded", ["t"])


async def test_a_step_that_is_skipped_after_its_failure_does_not_stop_the_rest(stage: Stage) -> None:
    life = stage.process()
    bad = behave("bad", "fail", "on_failure: ask, answer_within: 1h")
    run = begin(life, LOCK + set_step("p", "point_of_no_return: true") + bad + set_step("c"))
    await asked(stage, life, "bad")
    await life.engine.steer("EXE-1").skip("bad", "not needed today", "wang")
    result = await run
    assert (result.state, stage.world.cells) == ("succeeded", {"p": 1, "c": 1})
    ended = [e.data for e in stage.store.of(ev.STEP_RESULT) if e.data["step"] == "bad"]
    assert [e["outcome"] for e in ended] == ["failed", "skipped"]
    assert ended[-1]["detail"] == "skipped by wang: not needed today"


async def test_nobody_says_how_to_go_on_and_it_stops_and_asks(stage: Stage) -> None:
    bad = behave("bad", "fail", "on_failure: ask, answer_within: 50ms")
    result = await begin(stage.process(), LOCK + set_step("p", "point_of_no_return: true") + bad)
    assert (result.state, result.asks, result.step) == ("failed", True, "bad")


async def test_a_question_how_to_go_on_outlives_the_process(stage: Stage) -> None:
    life = stage.process()
    bad = behave("bad", "fail", "on_failure: ask, answer_within: 1h")
    run = begin(life, LOCK + set_step("p", "undo: true") + bad + set_step("c"))
    await asked(stage, life, "bad")
    life.journal.dead = True
    run.cancel()
    later = stage.process()
    resumed = asyncio.create_task(later.resume())
    await asked(stage, later, "bad", times=2)
    assert stage.world.seen.count("fail") == 1
    await later.engine.steer("EXE-1").skip("bad", "by hand", "wang")
    assert (await resumed).state == "succeeded"
