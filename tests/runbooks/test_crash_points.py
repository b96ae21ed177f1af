"""The controller dies at every record and around every effect; whoever resumes leaves a whole world (S5)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from config.schema import Estate
from model import events as ev
from model.execution import ExecutionResult
from runbooks.recorded import recorded_from_events
from runbooks.schema import Runbook
from tests.memory_journal import MemoryJournal, ProcessDiedError
from tests.runbooks.runbook_stage import Stage, runbook_of

FAILOVER = """
  - {id: lock, action: test.lock, timeout: 1s}
  - {id: look, action: test.read, with: {cell: primary}, timeout: 1s}
  - {id: detach, action: test.fence, with: {cell: attached, value: nobody, back: old}, timeout: 1s, undo: true, mark: T5, on_failure: undo}
  - {id: hint, action: test.set, with: {cell: hint, value: "{{ steps.look.list }}"}, timeout: 1s, undo: true, on_failure: undo}
  - {id: prove, action: test.read, with: {cell: attached}, timeout: 1s, on_failure: undo}
  - {id: close, action: test.set, with: {cell: old, value: read-only}, timeout: 1s, beside: true, point_of_no_return: true, on_failure: continue}
  - {id: promote, action: test.promote, with: {token: "{{ steps.prove.value }}"}, timeout: 1s, point_of_no_return: true, mark: T6}
  - {id: follow_a, action: test.set, with: {cell: a, value: new}, timeout: 1s, parallel: follow}
  - {id: follow_b, action: test.set, with: {cell: b, value: new}, timeout: 1s, parallel: follow}
  - {id: never, action: test.once, with: {token: never}, timeout: 1s, when: "steps.look.value == 'gone'"}
  - {id: verify, action: test.read, with: {cell: a, expect: new}, timeout: 1s, mark: T8}
"""  # noqa: E501
INITIAL = {"primary": "old", "attached": "old"}
DONE = {**INITIAL, "attached": "nobody", "hint": ["a", "b"], "old": "read-only", "a": "new", "b": "new"}
MARKS = {"T4", "T5", "T6", "T8"}
Arrange = Callable[[MemoryJournal], None]


def fresh(estate: Estate) -> Stage:
    stage = Stage(estate)
    stage.world.cells = dict(INITIAL)
    return stage


def die_at(number: int, *, written: bool) -> Arrange:
    """At the process's append with this number, before or after its record is on disk."""

    def arrange(journal: MemoryJournal) -> None:
        def hook(present: int, _type: str) -> None:
            if present == number:
                journal.die()

        setattr(journal, "after" if written else "before", hook)

    return arrange


async def undisturbed(estate: Estate) -> Stage:
    stage = fresh(estate)
    result = await stage.process().run(runbook_of(FAILOVER))
    assert result.state == "succeeded", result
    return stage


async def live_until_closed(stage: Stage, runbook: Runbook, deaths: list[Arrange]) -> ExecutionResult | None:
    """Processes that die as arranged, each resumed by the next. None if nothing ever was in the journal."""
    for arrange in deaths:
        life = stage.process()
        arrange(life.journal)
        try:
            if stage.store.of(ev.EXECUTION_OPENED):
                return await life.resume()
            return await life.run(runbook)
        except ProcessDiedError:
            assert stage.world.open_sessions == 0
    if not stage.store.of(ev.EXECUTION_OPENED):
        return None
    if stage.store.of(ev.EXECUTION_CLOSED):
        return None
    return await stage.process().resume()


def assert_whole(stage: Stage) -> None:
    """Done or taken back, nothing twice, nothing without the lock; and the journal says the same."""
    recorded = recorded_from_events(stage.store.events, "EXE-1")
    assert recorded.closed is not None
    promoted = any(recorded.step(s).has_intent for s in ("close", "promote"))  # the points of no return
    assert stage.world.violations == []
    assert recorded.closed == ("succeeded" if promoted else "undone")
    assert stage.world.cells == (DONE if promoted else INITIAL)
    assert stage.world.tokens == (["nobody"] if promoted else [])
    marks = [e.data["mark"] for e in stage.store.of(ev.CLOCK_MARK)]
    assert len(marks) == len(set(marks))
    if promoted:
        assert set(marks) == MARKS
    assert stage.world.open_sessions == 0


async def test_an_undisturbed_run_reaches_its_end(estate: Estate) -> None:
    stage = await undisturbed(estate)
    assert_whole(stage)
    assert stage.world.cells == DONE


@pytest.mark.parametrize("written", [False, True], ids=["before", "after"])
async def test_death_at_any_record_is_resumed_to_a_whole_world(estate: Estate, written: bool) -> None:
    records = len((await undisturbed(estate)).store.events)
    assert records > 25
    ends = set()
    for number in range(1, records + 1):
        stage = fresh(estate)
        result = await live_until_closed(stage, runbook_of(FAILOVER), [die_at(number, written=written)])
        if stage.store.of(ev.EXECUTION_OPENED):
            assert_whole(stage)
            ends.add(None if result is None else result.state)
    assert {"succeeded", "undone"} <= ends


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_death_around_any_effect_is_resumed_to_a_whole_world(estate: Estate, after: bool) -> None:
    effects = len((await undisturbed(estate)).world.effects)
    for number in range(1, effects + 1):
        stage = fresh(estate)
        stage.world.die_at_effect, stage.world.die_after = number, after
        await live_until_closed(stage, runbook_of(FAILOVER), [lambda _journal: None])
        assert_whole(stage)


async def test_death_of_the_one_that_resumes_is_resumed_too(estate: Estate) -> None:
    records = len((await undisturbed(estate)).store.events)
    for first in range(2, records + 1, 3):
        for second in range(1, 12):
            stage = fresh(estate)
            deaths = [die_at(first, written=True), die_at(second, written=second % 2 == 0)]
            await live_until_closed(stage, runbook_of(FAILOVER), deaths)
            assert_whole(stage)


async def test_after_the_point_of_no_return_nothing_is_undone(estate: Estate) -> None:
    stage = fresh(estate)
    life = stage.process()

    def at_promotion(_number: int, type_: str) -> None:
        if type_ == ev.STEP_INTENT and stage.store.events[-1].data["step"] == "promote":
            life.journal.die()

    life.journal.after = at_promotion
    with pytest.raises(ProcessDiedError):
        await life.run(runbook_of(FAILOVER))
    result = await stage.process().resume()
    assert result.state == "succeeded"
    assert not stage.store.of(ev.UNDO_INTENT)


async def test_before_the_point_of_no_return_everything_is_taken_back_in_reverse(estate: Estate) -> None:
    stage = fresh(estate)
    life = stage.process()

    def at_proof(_number: int, type_: str) -> None:
        if type_ == ev.STEP_INTENT and stage.store.events[-1].data["step"] == "prove":
            life.journal.die()

    life.journal.after = at_proof
    with pytest.raises(ProcessDiedError):
        await life.run(runbook_of(FAILOVER))
    result = await stage.process().resume()
    assert result.state == "undone"
    assert stage.world.cells == INITIAL
    assert [e.data["step"] for e in stage.store.of(ev.UNDO_INTENT)] == ["hint", "detach"]
    assert stage.world.effects[-2:] == ["2: undo hint", "2: undo attached"]
