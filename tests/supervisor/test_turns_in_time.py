"""When a supervisor takes its turns."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from supervisor_bench import Bench, running

from controller.supervisor.ticks import CALM_TICKS, TICK_S
from controller.views import PG
from model.observation import Failure


async def _turns(bench: Bench, seconds: float, *, look_every_s: float | None = None) -> list[float]:
    """The moments at which it judged."""
    at: list[float] = []
    step_s, looked_s = 0.01, bench.clock.monotonic_s()
    for _ in range(round(seconds / step_s)):
        now_s = bench.clock.monotonic_s()
        if look_every_s is not None and now_s - looked_s >= look_every_s - 1e-9:
            bench.look()
            looked_s = now_s
        await bench.clock.advance(step_s)
        judged = bench.supervisor.judged
        if judged is not None and (not at or judged.at_s > at[-1]):
            at.append(judged.at_s)
    return at


async def test_a_turn_is_taken_though_nothing_is_seen(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        await bench.live(1.0)
        bench.see("pg1", PG, failure=Failure.CLOSED)
        turns = await _turns(bench, 3.0)
        gaps = [later - earlier for earlier, later in itertools.pairwise(turns[1:])]
        assert gaps == pytest.approx([TICK_S] * len(gaps))
        assert len(gaps) >= 10


async def test_a_calm_service_is_judged_at_every_fourth_tick(tmp_path: Path) -> None:
    """What only says again what was known waits for it."""
    async with running(tmp_path) as bench:
        await bench.live(3.0)
        turns = await _turns(bench, 4.0, look_every_s=0.1)
        assert len(turns) == pytest.approx(4.0 / (CALM_TICKS * TICK_S), abs=1)


async def test_news_is_judged_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        await bench.live(TICK_S)  # a tick has just passed, or is about to
        before_s = bench.clock.monotonic_s()
        bench.see("pg1", PG, failure=Failure.CLOSED)
        await bench.clock.advance(0.001)
        assert bench.supervisor.judged is not None
        assert bench.supervisor.judged.at_s >= before_s
        assert bench.supervisor.judged.diagnosis.code == "PrimarySuspect"
