"""Rounds, deadlines, late answers and the end of the scheduler."""

from __future__ import annotations

import asyncio

import pytest

from model.errors import UsageError
from model.observation import Failure, Outcome
from probes.base import Reading
from probes.scheduler import Scheduler
from tests.scripted_probe import BALANCED, REFUSED, ScriptedProbe, world
from tests.virtual_clock import RealClock


async def test_a_healthy_target_is_asked_once_per_interval() -> None:
    async with world() as w:
        probe = w.watch()
        await w.clock.advance(10.0)
        assert 19 <= len(w.seen) <= 21
        assert {seen.outcome for seen in w.seen} == {Outcome.SUCCEEDED}
        assert probe.most_running == 1


async def test_an_observation_says_who_saw_what_when() -> None:
    async with world() as w:
        probe = w.watch()
        probe.answer = probe.after(0.02, Reading.ok("fine", timeline=3))
        await w.until(lambda: w.seen)
        seen = w.seen[0]
        assert (seen.target, seen.probe, seen.observer) == ("shop/pg1", "scripted", "ops1")
        assert seen.latency_s == pytest.approx(0.02)
        assert seen.started_s == probe.starts[0]
        assert seen.wall_s == pytest.approx(w.clock.wall_s())
        assert seen.facts == {"timeline": 3}


async def test_an_own_interval_replaces_that_of_the_profile() -> None:
    async with world() as w:
        w.watch(interval_s=2.0)
        await w.clock.advance(20.0)
        assert 9 <= len(w.seen) <= 11


async def test_the_verdict_falls_at_the_deadline_though_the_library_goes_on() -> None:
    async with world() as w:
        probe = w.watch()
        probe.answer = probe.never
        await w.until(lambda: w.seen)
        assert w.seen[0].failure is Failure.SILENT
        assert w.seen[0].latency_s == pytest.approx(BALANCED.timeout_s)
        assert w.seen[0].detail == "no answer within 1 s"


async def test_a_late_answer_is_told_when_it_shows_life() -> None:
    async with world() as w:
        probe = w.watch()
        probe.answer = probe.after(1.2)
        await w.until(lambda: any(seen.late for seen in w.seen))
        late = next(seen for seen in w.seen if seen.late)
        assert late.outcome is Outcome.SUCCEEDED
        assert late.started_s == w.seen[0].started_s
        assert late.latency_s == pytest.approx(1.2)


async def test_a_late_refusal_is_not_told() -> None:
    async with world() as w:
        probe = w.watch()
        probe.answer = probe.after(0.9 + BALANCED.timeout_s, REFUSED)
        await w.clock.advance(10.0)
        assert {seen.failure for seen in w.seen} == {Failure.SILENT}


async def test_attempts_on_a_silent_target_stay_few() -> None:
    async with world() as w:
        probe = w.watch()
        probe.answer = probe.never
        await w.clock.advance(60.0)
        assert probe.most_running <= 9
        assert len(w.seen) > 60


async def test_a_type_that_can_only_do_one_thing_at_a_time_never_overlaps() -> None:
    class OneAtATime(ScriptedProbe):
        concurrent = 1

    async with world() as w:
        probe = w.watch(OneAtATime(w.clock))
        probe.answer = probe.never
        await w.clock.advance(20.0)
        assert probe.most_running == 1
        assert {seen.failure for seen in w.seen} == {Failure.SILENT}
        assert len(w.seen) >= 20


async def test_the_silence_of_one_attempt_is_no_suspicion_when_a_younger_one_was_answered() -> None:
    async with world() as w:
        probe = w.watch()
        await w.until(lambda: len(w.seen) == 3)
        probe.answer = probe.never
        await w.until(lambda: probe.running == 1)
        probe.answer = probe.after(0.005)
        first = len(probe.starts)
        await w.clock.advance(5.0)
        assert len(probe.starts) - first <= 12


async def test_two_probes_of_one_type_on_one_target_are_refused() -> None:
    async with world() as w:
        w.watch()
        with pytest.raises(UsageError, match="watches it already"):
            w.watch()


async def test_a_removed_probe_is_closed_and_seen_no_more() -> None:
    async with world() as w:
        probe = w.watch()
        await w.until(lambda: w.seen)
        probe.answer = probe.never
        await w.until(lambda: probe.running)
        await w.clock.finish(w.scheduler.remove("shop/pg1", "scripted"))
        known = len(w.seen)
        await w.clock.advance(5.0)
        assert probe.closed
        assert probe.running == 0
        assert len(w.seen) == known
        assert w.scheduler.watched() == []


async def test_removing_what_is_not_watched_does_nothing() -> None:
    async with world() as w:
        await w.scheduler.remove("shop/pg1", "scripted")


async def test_progress_is_seen_with_and_without_probes() -> None:
    async with world() as w:
        w.scheduler.start()
        for _ in range(20):
            await w.clock.advance(0.3)
            assert w.clock.monotonic_s() - w.scheduler.progress_s <= 0.3
        w.watch()
        await w.clock.advance(3.0)
        assert w.clock.monotonic_s() - w.scheduler.progress_s <= 0.3


async def test_closing_ends_attempts_and_holds_under_way() -> None:
    async with world() as w:
        probe = w.watch()
        await w.until(lambda: probe.held)
        probe.answer = probe.never
        await w.until(lambda: probe.running == 2)
        await w.clock.finish(w.scheduler.aclose())
        assert probe.running == 0
        assert probe.held is not None
        assert probe.held.cancelled()
        assert probe.closed


async def test_a_late_added_probe_is_not_kept_waiting_by_the_sleep_under_way() -> None:
    async with world() as w:
        w.scheduler.start()
        await w.clock.advance(0.01)
        w.watch(interval_s=0.02)
        await w.clock.advance(0.05)
        assert w.seen


async def test_the_scheduler_runs_on_real_time_too() -> None:
    answered = asyncio.Event()
    clock = RealClock()
    scheduler = Scheduler(clock, "ops1", lambda _seen: answered.set())
    probe = ScriptedProbe(clock)  # type: ignore[arg-type]
    scheduler.add("shop/pg1", probe, BALANCED)
    await asyncio.wait_for(answered.wait(), 10)
    await scheduler.aclose()
    assert probe.closed
