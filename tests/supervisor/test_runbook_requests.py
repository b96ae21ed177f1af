"""Any runbook by its name: its gates, four eyes, the linter before it, and people asked on its way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from supervisor_bench import Bench, running
from test_requests import WANG, control

from controller.api.control import Caller
from model import events as ev
from model.errors import HeldError, RunbookError
from model.people import QuestionKind, Word

ANNA = Caller("anna", "anna")
HEAD = """apiVersion: 1
name: move-storage
engine: generic
kind: other
vars:
  array: {type: string, required: true}
steps:
"""
STEPS = """  - {id: ok, action: approval, timeout: 1h, with: {what: "move to {{ array }}"}}
  - {id: hand, action: manual, timeout: 1h, with: {do: "mount {{ array }}"}}
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    directory = tmp_path / "own"
    directory.mkdir()
    (directory / "move-storage.yaml").write_text(HEAD + STEPS)
    return directory


def real(bench: Bench, own: Path) -> None:
    """Executions run in the engine, not in the bench's script."""
    bench.executor._shelf._dirs = (own,)
    bench.executor.execute = bench.executor.engine.execute  # type: ignore[method-assign]


async def launch(bench: Bench) -> str:
    door = control(bench)
    started = await door.run_runbook(
        "orders", "move-storage", to=None, given={"array": "a7"}, reason="CHG-1", dry_run=False, caller=WANG
    )
    return str(started["execution"])


async def asks(bench: Bench, times: int) -> None:
    async with asyncio.timeout(5):
        while len(bench.of(ev.STEP_ASKED)) < times:
            await asyncio.sleep(0)


async def test_people_are_paged_asked_and_heard_on_its_way(tmp_path: Path, own: Path) -> None:
    async with running(tmp_path) as bench:
        real(bench, own)
        execution, door = await launch(bench), control(bench)
        await asks(bench, 1)
        assert any("waits for approval: move to a7" in page for page in bench.paged())
        with pytest.raises(HeldError, match="wang asked for it"):
            await door.say_of_step(
                execution, "ok", word=Word.YES, kind=QuestionKind.APPROVAL, reason="", caller=WANG
            )
        said = await door.say_of_step(execution, "ok", word=Word.YES, kind=None, reason="", caller=ANNA)
        assert said["state"] == "running"
        await asks(bench, 2)
        await door.say_of_step(execution, "hand", word=Word.YES, kind=None, reason="", caller=WANG)
        await bench.live(0.3)
        assert bench.supervisor.ledger.open_executions == ()
        assert bench.of(ev.EXECUTION_CLOSED)[0].data["state"] == "succeeded"
        assert bench.supervisor.ledger.blocked is None


async def test_a_lost_primary_does_not_wait_for_the_people_that_a_runbook_asks(
    tmp_path: Path, own: Path
) -> None:
    async with running(tmp_path) as bench:
        real(bench, own)
        await launch(bench)
        await asks(bench, 1)
        bench.executor.engine.request_abort = type(bench.executor.engine).request_abort.__get__(  # type: ignore[method-assign]
            bench.executor.engine
        )
        del bench.executor.execute
        await bench.crash()
        await bench.live(1.0)
        assert bench.of(ev.ABORT_REQUESTED)[0].actor == "daemon"
        assert bench.supervisor.ledger.primary == "pg2"


async def test_a_runbook_that_does_not_pass_the_linter_is_not_begun(tmp_path: Path, own: Path) -> None:
    wrong = STEPS.replace("timeout: 1h, with: {do", "undo: true, timeout: 1h, with: {do")
    (own / "move-storage.yaml").write_text(HEAD + wrong)
    async with running(tmp_path) as bench:
        real(bench, own)
        with pytest.raises(RunbookError, match="`undo` of step 'hand' has no effect"):
            await launch(bench)
        assert bench.of(ev.EXECUTION_OPENED) == []


async def test_a_runbook_that_moves_the_primary_passes_the_gates_of_its_kind(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        door = control(bench)
        with pytest.raises(HeldError) as held:
            await door.run_runbook(
                "orders", "postgresql-failover", to=None, given={}, reason="", dry_run=False, caller=WANG
            )
        assert held.value.gate == "diagnosis"


async def test_a_variable_that_it_does_not_have_is_named(tmp_path: Path, own: Path) -> None:
    async with running(tmp_path) as bench:
        real(bench, own)
        with pytest.raises(RunbookError, match="it has no variable 'arrai'; did you mean 'array'"):
            await control(bench).run_runbook(
                "orders", "move-storage", to=None, given={"arrai": "x"}, reason="", dry_run=False, caller=WANG
            )
