"""A planned switch whose old primary dies goes on as a failover, on the word of whoever asked for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from supervisor_bench import Bench, Script, ends, running, succeeds

from controller.supervisor.requests import Requests
from controller.supervisor.switch_gates import Wish
from model import events as ev
from model.execution import ExecutionState
from runbooks.engine import Opened


def dies_under(state: ExecutionState, *, primary_dies: bool = True) -> Script:
    """The switchover ends so, and the old primary with it; a failover succeeds."""

    async def script(bench: Bench, opened: Opened) -> ExecutionState:
        if opened.plan.runbook.kind.value == "failover":
            return await succeeds(bench, opened)
        if primary_dies:
            bench.servers.down.add("pg1")
        return state

    return script


async def switchover(bench: Bench, to: str | None = "pg3") -> str:
    started = await Requests(bench.supervisor).switchover(Wish(to, "wang"), dry_run=False)
    return str(started["execution"])


@pytest.mark.parametrize("mode", ["observe", "ask", "act"])
async def test_it_goes_on_as_a_failover_in_whatever_mode(tmp_path: Path, mode: str) -> None:
    async with running(tmp_path, mode=mode) as bench:
        bench.script = dies_under(ExecutionState.HANDED_OVER)
        first = await switchover(bench)
        await bench.live(3.0)
        assert bench.opened()[:2] == [("switchover", "manual"), ("failover", "manual")]
        opened = bench.of(ev.EXECUTION_OPENED)[1]
        assert (opened.actor, opened.data["continues"]) == ("wang", first)
        assert opened.data["vars"]["candidate"] == "pg3"
        assert bench.supervisor.ledger.primary == "pg3"
        asked = [e.data["runbook"] for e in bench.of(ev.APPROVAL_REQUESTED)]
        assert "postgresql-failover" not in asked


async def test_a_switch_that_was_taken_back_waits_for_detection_before_it_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path, mode="observe") as bench:
        bench.script = dies_under(ExecutionState.UNDONE, primary_dies=False)
        await switchover(bench)
        await bench.live(1.0)
        assert bench.opened() == [("switchover", "manual")]
        await bench.crash()
        await bench.live(1.0)
        assert bench.opened()[1:2] == [("failover", "manual")]


async def test_a_switch_that_could_not_be_taken_back_does_not_block_what_was_asked_for(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, mode="act") as bench:
        bench.script = dies_under(ExecutionState.FAILED, primary_dies=False)
        await switchover(bench)
        await bench.crash()
        await bench.live(1.0)
        assert bench.supervisor.ledger.primary == "pg3"


async def test_a_switch_that_a_person_called_off_does_not_go_on(tmp_path: Path) -> None:
    async with running(tmp_path, mode="observe") as bench:
        bench.gate.clear()
        bench.script = dies_under(ExecutionState.UNDONE, primary_dies=False)
        execution = await switchover(bench)
        await bench.journal.append(
            ev.ABORT_REQUESTED, {"reason": "no"}, service="orders", execution=execution, actor="wang"
        )
        bench.gate.set()
        await bench.live(0.3)
        await bench.crash()
        await bench.live(1.0)
        assert bench.opened() == [("switchover", "manual")]


async def test_a_later_outage_is_another_one(tmp_path: Path) -> None:
    async with running(tmp_path, mode="observe") as bench:
        bench.script = ends(ExecutionState.UNDONE)
        await switchover(bench)
        await bench.live(31.0, step_s=0.5)
        await bench.crash()
        await bench.live(1.0)
        assert bench.opened() == [("switchover", "manual")]


async def test_a_switch_that_succeeded_is_over(tmp_path: Path) -> None:
    async with running(tmp_path, mode="observe") as bench:
        await switchover(bench)
        await bench.live(1.0)
        await bench.crash("pg3")
        await bench.live(1.0)
        assert bench.opened() == [("switchover", "manual")]
