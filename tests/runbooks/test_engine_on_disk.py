"""The engine on the real store: the order of its records, and an execution that outlives its process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import pytest
import uvloop

from config.schema import Estate
from controller.store.sqlite import SqliteStore
from model import events as ev
from runbooks.actions.base import ActionPorts
from runbooks.engine import Engine
from runbooks.planner import make_plan
from runbooks.recorded import recorded_from_events
from tests.memory_journal import ProcessDiedError
from tests.runbooks.runbook_stage import RealClock, runbook_of
from tests.runbooks.runbook_world import Process, World
from tests.runbooks.test_crash_points import DONE, FAILOVER, INITIAL


class DiskLife:
    """One process on a state directory. `die` is what the world calls when it kills the process."""

    def __init__(self, directory: Path, world: World, estate: Estate) -> None:
        self.store = SqliteStore.open(directory, owner="test", clock=RealClock())
        self.dead = False
        none = cast("Any", None)
        process = Process(self.store.epoch, world, cast("Any", self))
        ports = ActionPorts(RealClock(), self.store, self.store, cast("Any", process), none, none)
        self.engine = Engine(ports, estate)

    def die(self) -> None:
        self.dead = True
        raise ProcessDiedError


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_records_are_in_the_order_in_which_things_happened(
    tmp_path: Path, estate: Estate, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    """Results are handed over without waiting: their order rests on the order in which tasks begin."""
    run(_in_order(tmp_path, estate))


async def _in_order(tmp_path: Path, estate: Estate) -> None:
    world = World(cells=dict(INITIAL))
    life = DiskLife(tmp_path / "state", world, estate)
    plan = make_plan(runbook_of(FAILOVER), estate=estate, service="orders", vars={})
    result = await life.engine.run(plan, incident="new", actor="daemon", trigger="automatic")
    assert result.state == "succeeded"
    assert world.cells == DONE
    events = life.store.events(execution=result.id)
    assert {e.incident for e in events} == {f"INC-{events[0].seq}"}
    begun: list[str] = []
    ended: list[str] = []
    for event in events:
        if event.type == ev.STEP_INTENT:
            begun.append(event.data["step"])
        elif event.type == ev.STEP_RESULT:
            ended.append(event.data["step"])
            assert event.data["outcome"] == "skipped" or event.data["step"] in begun
        elif event.type == ev.CLOCK_MARK and event.data["mark"] == "T6":
            assert ended[-1] == "promote"
    front = ["lock", "look", "detach", "hint", "prove", "promote"]
    assert [step for step in begun if step in front] == front
    assert [step for step in ended if step in front] == front
    assert events[-1].type == ev.EXECUTION_CLOSED
    life.store.close()


@pytest.mark.parametrize("effect", [2, 5])
async def test_an_execution_outlives_its_process_on_disk(tmp_path: Path, estate: Estate, effect: int) -> None:
    world = World(cells=dict(INITIAL), die_at_effect=effect, die_after=True)
    life = DiskLife(tmp_path / "state", world, estate)
    plan = make_plan(runbook_of(FAILOVER), estate=estate, service="orders", vars={})
    with pytest.raises(ProcessDiedError):
        await life.engine.run(plan, incident="new", actor="daemon", trigger="automatic")
    life.store.close()
    successor = DiskLife(tmp_path / "state", world, estate)
    execution = next(e.execution for e in successor.store.events(types=[ev.EXECUTION_OPENED]))
    assert execution is not None
    recorded = recorded_from_events(successor.store.events(execution=execution), execution)
    result = await successor.engine.resume(recorded)
    assert result.state == ("undone" if effect == 2 else "succeeded")
    assert world.cells == (INITIAL if effect == 2 else DONE)
    assert world.violations == []
    assert len(world.tokens) == len(set(world.tokens))
    successor.store.close()
