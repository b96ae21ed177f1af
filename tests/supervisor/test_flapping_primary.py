"""A primary that comes and goes: held while it does, failed over once it stays away."""

from __future__ import annotations

from pathlib import Path

from supervisor_bench import Bench, running

from controller.views import CANARY, PG
from model import events as ev
from model.observation import Failure


async def lost(bench: Bench, seconds: float) -> None:
    """The way to the primary is gone, as the network says; the others answer."""
    for _ in range(round(seconds / 0.1)):
        for member in ("pg2", "pg3"):
            bench.see(member, PG, bench.servers.read(member))
        for probe in (PG, CANARY):
            bench.see("pg1", probe, failure=Failure.UNREACHABLE)
        await bench.clock.advance(0.1)


async def come_and_go(bench: Bench, times: int) -> None:
    for _ in range(times):
        await lost(bench, 0.5)
        await bench.live(0.5)


async def test_a_primary_that_comes_and_goes_is_held_until_it_stays_away(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        await bench.live(4.0)
        await come_and_go(bench, 3)
        assert bench.opened() == []
        await lost(bench, 2.8)
        assert bench.code == "PrimaryNodeDown"
        decision = bench.judged.decision
        assert (decision.verb.value, decision.stopped_by) == ("hold", "flapping")
        assert "flaps: 7 changes in its last 21 verdicts" in decision.reason
        assert bench.opened() == []
        assert any("flaps" in page for page in bench.paged())
        held = [e for e in bench.of(ev.DECISION_MADE) if e.data["stopped_by"] == "flapping"]
        assert held
        await lost(bench, 3.0)
        assert bench.opened()[:1] == [("failover", "automatic")]


async def test_a_primary_that_was_lost_once_before_is_failed_over_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        await bench.live(4.0)
        await come_and_go(bench, 2)
        await lost(bench, 2.8)
        assert bench.opened()[:1] == [("failover", "automatic")]
