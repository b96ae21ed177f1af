"""Where traffic may go: the checks fail closed (S6), and a rejoin is no reason to close."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from supervisor_bench import Bench, ends, running

from controller.published import health_report, routing
from controller.supervisor.requests import Requests
from controller.supervisor.switch_gates import Wish
from model import events as ev
from model.execution import ExecutionState


def refuses(bench: Bench) -> str | None:
    found = routing(bench.supervisor)
    assert found is not None
    return found.refuses_primary(None)


async def test_writes_go_to_the_primary_and_reads_to_those_that_stream(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        found = routing(bench.supervisor)
        assert found is not None
        assert (found.primary, found.replicas) == ("pg1", ("pg2", "pg3"))
        assert refuses(bench) is None
        assert found.refuses_replica("pg2") is None
        assert found.refuses_replica("pg1") is not None
        bench.servers.detached.add("pg2")
        await bench.live(0.3)
        assert routing(bench.supervisor).replicas == ("pg3",)  # type: ignore[union-attr]


def test_a_service_that_there_is_not_has_no_routing() -> None:
    assert routing(None) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s.rogue.update(pg3=1),
        lambda s: s.rogue.update(pg3=2),
        lambda s: s.facts.update(pg1={"default_read_only": True}),
        lambda s: s.facts.update(pg1={"in_recovery": True}),
        lambda s: s.facts.update(pg1={"position": 1}),
        lambda s: s.facts.update(pg1={"system_identifier": "8"}),
        lambda s: s.facts.update(pg1={"other_manager": "patroni"}),
        lambda s: s.down.add("pg1"),
    ],
)
async def test_writes_go_nowhere_while_it_is_not_clear_where_they_belong(
    tmp_path: Path, spoil: Callable[[object], None]
) -> None:
    async with running(tmp_path, mode="observe") as bench:
        spoil(bench.servers)
        await bench.live(0.5)
        assert refuses(bench) is not None


async def test_writes_go_nowhere_on_an_old_reading(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        await bench.clock.advance(bench.service.detection.stale_s + 0.1)
        assert refuses(bench) is not None


async def test_writes_go_nowhere_while_the_primary_moves(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.gate.clear()
        await Requests(bench.supervisor).switchover(Wish("pg2", "wang"), dry_run=False)
        await bench.live(0.5)
        assert refuses(bench) is not None
        bench.gate.set()
        await bench.live(0.5)
        assert routing(bench.supervisor).primary == "pg2"  # type: ignore[union-attr]


async def test_an_execution_that_was_left_open_keeps_it_closed(tmp_path: Path) -> None:
    async with running(tmp_path, mode="observe") as bench:
        bench.end_is_lost = True
        bench.script = ends(ExecutionState.UNKNOWN)  # it changed nothing, which nobody knows
        await Requests(bench.supervisor).switchover(Wish("pg2", "wang"), dry_run=False)
        await bench.live(0.5)
        assert not bench.supervisor.busy
        assert refuses(bench) is not None


async def test_writes_go_on_while_a_member_is_brought_back(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        await bench.supervisor.append(ev.MEMBER_RETIRED, {"member": "pg3"})
        bench.gate.clear()
        bench.script = ends(ExecutionState.FAILED)
        await bench.live(0.5)
        assert bench.supervisor.busy
        assert refuses(bench) is None


async def test_health_says_why_it_is_not_whole(tmp_path: Path) -> None:
    async with running(tmp_path, calm=False) as bench:
        both = {"orders": bench.supervisor}
        more = {"progress_age_s": 0.1, "stuck_after_s": 5.0}
        assert health_report(both, leads=True, problem="", **more).state == "starting"
        await bench.live(1.0)
        assert health_report(both, leads=True, problem="", **more).state == "ok"
        degraded = health_report(both, leads=False, problem="the disk is full", **more)
        assert (degraded.state, degraded.reasons) == ("degraded", ("observing only: the disk is full",))
        await bench.clock.advance(60.0)
        report = health_report(both, leads=True, problem="", **more)
        assert report.reasons == ("orders: no member can be judged",)
