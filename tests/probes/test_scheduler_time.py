"""The timekeeper: what is void wakes nobody, what can wait is done together, what comes first comes first."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from probes.scheduler import YOUNG_S, Scheduler
from probes.scheduler_time import IDLE_TICK_S, Timekeeper
from probes.scheduler_timing import MOST_SLACK_S
from tests.scripted_probe import BALANCED, ScriptedProbe
from tests.virtual_clock import VirtualClock


class CountingClock(VirtualClock):
    """sleeps: how many sleeps were begun."""

    sleeps = 0

    async def sleep(self, seconds: float) -> None:
        self.sleeps += 1
        await super().sleep(seconds)


@pytest.fixture
def clock() -> CountingClock:
    return CountingClock(1000.0)


@pytest.fixture
async def keeper(clock: CountingClock) -> AsyncIterator[Timekeeper]:
    timekeeper = Timekeeper(clock)
    timekeeper.start()
    await clock.advance(0.001)
    yield timekeeper
    await clock.finish(timekeeper.stop())


async def test_an_event_comes_at_its_time(clock: CountingClock, keeper: Timekeeper) -> None:
    at: list[float] = []
    keeper.at(1000.3, at.append)
    await clock.advance(1.0)
    assert at == [pytest.approx(1000.3)]


async def test_a_cancelled_event_wakes_nobody(clock: CountingClock, keeper: Timekeeper) -> None:
    at: list[float] = []
    before = clock.sleeps
    await clock.advance(2.0)
    idle = clock.sleeps - before
    for number in range(100):
        keeper.at(1002.5 + number / 200, at.append).cancel()
    before = clock.sleeps
    await clock.advance(2.0)
    assert clock.sleeps - before <= idle + 1
    assert at == []


async def test_an_earlier_event_brings_the_sleep_forward(clock: CountingClock, keeper: Timekeeper) -> None:
    at: list[float] = []
    keeper.at(1000.0 + IDLE_TICK_S, at.append)
    await clock.advance(0.01)
    keeper.at(1000.05, at.append)
    keeper.at(1000.03, at.append)
    await clock.advance(0.1)
    assert at == [pytest.approx(1000.03), pytest.approx(1000.05)]


async def test_events_that_can_wait_share_a_wake_up(clock: CountingClock, keeper: Timekeeper) -> None:
    at: list[float] = []
    for number in range(4):
        keeper.at(1000.1 + number / 1000, at.append, slack_s=MOST_SLACK_S)
    await clock.advance(0.2)
    assert at == [pytest.approx(1000.1 + MOST_SLACK_S)] * 4


async def test_what_cannot_wait_takes_those_along_that_are_due(
    clock: CountingClock, keeper: Timekeeper
) -> None:
    at: list[tuple[str, float]] = []
    keeper.at(1000.1, lambda now_s: at.append(("calm", now_s)), slack_s=MOST_SLACK_S)
    keeper.at(1000.102, lambda now_s: at.append(("deadline", now_s)))
    keeper.at(1000.104, lambda now_s: at.append(("later", now_s)), slack_s=MOST_SLACK_S)
    await clock.advance(0.2)
    assert {name: round(now_s - 1000.0, 4) for name, now_s in at} == {
        "calm": 0.102,
        "deadline": 0.102,
        "later": 0.109,
    }


async def test_it_ends_while_it_sleeps_and_just_after_a_sleep_was_cut_short(clock: CountingClock) -> None:
    for cut_short in (False, True):
        timekeeper = Timekeeper(clock)
        timekeeper.start()
        await clock.advance(0.001)
        if cut_short:
            timekeeper.at(clock.monotonic_s() + 0.01, lambda _now_s: None)
        await clock.finish(timekeeper.stop())


async def test_an_attempt_that_has_ended_leaves_no_timer(clock: CountingClock) -> None:
    """Once in calm: an attempt that was slow enough to get timers of its own leaves none of them behind."""
    scheduler = Scheduler(clock, "ops1", lambda _seen: None)
    probe = ScriptedProbe(clock)
    probe.answer = probe.after(3 * YOUNG_S)
    scheduler.add("shop/pg1", probe, replace(BALANCED, interval_s=30.0))
    while not probe.starts or probe.running:
        await clock.advance(0.01)
    await clock.advance(0.01)
    to_come = [timer for _at_s, _number, timer in scheduler._time._events if timer.event is not None]
    assert len(to_come) == 2  # its next attempt, and the round of the scheduler's own health
    await clock.finish(scheduler.aclose())
