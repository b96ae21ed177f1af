"""A lost result ends in the action's own look at its effect: for every action, and for people who ask."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from model import events as ev
from model.errors import UsageError
from model.execution import Effect, Reconciled, StepResult
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.recorded import recorded_from_events
from runbooks.registry import action_names, action_type
from tests.memory_journal import ProcessDiedError
from tests.runbooks.runbook_stage import LOCK, Stage, behave, runbook_of, set_step, until

PONR = set_step("p", "point_of_no_return: true")


def changing() -> Iterator[str]:
    for name in action_names():
        if not name.startswith("test.") and action_type(name).changing and not action_type(name).per_process:
            yield name


class AnyOptions(ActionOptions):
    """What an action's options are is none of this test's business."""


class Spy:
    """Stands in for what an action does and sees; its flags, and that it has a check, stay its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: type[Action]) -> None:
        self.calls: list[str] = []
        self.sees = Reconciled.done("it is there")
        spy = self

        async def run(_self: Action, _ctx: StepContext, _deadline_s: float) -> StepResult:
            spy.calls.append("run")
            return StepResult.ok("done")

        async def check(_self: Action, _ctx: StepContext, _deadline_s: float) -> Reconciled:
            spy.calls.append("check")
            return spy.sees

        monkeypatch.setattr(kind, "run", run)
        monkeypatch.setattr(kind, "check", check)
        monkeypatch.setattr(kind, "describe", lambda _self, _ctx: ["it"])
        monkeypatch.setattr(kind, "Options", AnyOptions)
        monkeypatch.setattr(kind, "__init__", Action.__init__)
        for decided in ("changes", "repeatable"):
            flag = kind.changing if decided == "changes" else kind.idempotent
            monkeypatch.setattr(kind, decided, classmethod(lambda _cls, _written, flag=flag: flag))


async def lose_the_result(stage: Stage, name: str) -> None:
    """The process dies between the effect and its record."""
    steps = LOCK + PONR + f"  - {{id: x, action: {name}, timeout: 1s}}\n"
    life = stage.process()

    def die(_number: int, type_: str) -> None:
        if type_ == ev.STEP_RESULT and stage.store.events[-1].data.get("step") == "x":
            life.journal.die()

    life.journal.before = die
    with pytest.raises(ProcessDiedError):
        await life.run(runbook_of(steps))


@pytest.mark.parametrize("effect", list(Effect))
@pytest.mark.parametrize("name", list(changing()))
async def test_a_lost_result_of_every_action_ends_in_its_own_check(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, name: str, effect: Effect
) -> None:
    kind = action_type(name)
    assert kind.check is not Action.check, f"{name} changes something and can't look at its effect"
    spy = Spy(monkeypatch, kind)
    spy.sees = Reconciled(effect, "so it is")
    await lose_the_result(stage, name)
    assert spy.calls == ["run"]
    result = await stage.process().resume()
    again = effect is Effect.NOT_DONE and kind.idempotent
    assert spy.calls == ["run", "check", *(["run"] if again else [])]
    done = effect is Effect.DONE or again
    assert (result.state, result.step) == (("succeeded", None) if done else ("unknown", "x"))


@pytest.mark.parametrize(
    ("sees", "would"),
    [
        (Reconciled.done("it is there"), "it counts as done"),
        (Reconciled.not_done("it is not"), "it runs again"),
        (Reconciled.unknown("no answer"), "it stops and asks a person"),
    ],
)
async def test_a_look_says_what_is_there_and_what_would_be_made_of_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, sees: Reconciled, would: str
) -> None:
    name = "postgresql.promote"
    spy = Spy(monkeypatch, action_type(name))
    spy.sees = sees
    await lose_the_result(stage, name)
    before = list(stage.store.events)
    recorded = recorded_from_events(before, "EXE-1")
    [found] = await stage.process().engine.reconcile(recorded)
    assert (found.step, found.left, found.would) == ("x", "an intent and no result", would)
    assert (found.effect, found.detail) == (sees.effect.value, sees.detail)
    assert stage.store.events == before
    assert stage.world.open_sessions == 0


async def test_what_would_be_taken_back_is_said_to_be(stage: Stage) -> None:
    life = stage.process()
    life.journal.before = lambda _n, type_: (
        life.journal.die() if type_ == ev.STEP_RESULT and stage.world.cells else None
    )
    with pytest.raises(ProcessDiedError):
        await life.run(runbook_of(LOCK + set_step("a", "undo: true") + set_step("b", "undo: true")))
    recorded = recorded_from_events(stage.store.events, "EXE-1")
    found = await stage.process().engine.reconcile(recorded)
    # The lock is gone with its process; what was set is there.
    assert [(f.step, f.effect, f.would) for f in found] == [("a", "done", "it is taken back")]


async def test_an_execution_whose_outcomes_are_all_recorded_leaves_nothing_to_look_at(stage: Stage) -> None:
    await stage.process().run(runbook_of(LOCK + PONR))
    recorded = recorded_from_events(stage.store.events, "EXE-1")
    assert await stage.process().engine.reconcile(recorded) == []


async def test_a_step_that_no_check_can_be_made_for_is_unknown(stage: Stage) -> None:
    life = stage.process()
    life.journal.after = lambda _n, _type: (
        life.journal.die() if stage.store.events[-1].data.get("step") == "p" else None
    )
    with pytest.raises(ProcessDiedError):
        await life.run(runbook_of(LOCK + PONR))
    recorded = recorded_from_events(stage.store.events, "EXE-1")
    step = recorded.step("p")
    broken = replace(step, attempts=(replace(step.attempts[0], inputs={"what": 1}),))
    [found] = await stage.process().engine.reconcile(replace(recorded, steps={**recorded.steps, "p": broken}))
    assert (found.effect, found.would) == ("unknown", "it stops and asks a person")


async def test_what_runs_is_not_looked_at(stage: Stage) -> None:
    life = stage.process()
    run = asyncio.create_task(life.run(runbook_of(LOCK + behave("slow", "wait", "", "5s"))))
    await until(lambda: stage.world.gate("arrived").is_set())
    with pytest.raises(UsageError, match="is running"):
        await life.engine.reconcile(recorded_from_events(stage.store.events, "EXE-1"))
    stage.world.gate("slow").set()
    await run
