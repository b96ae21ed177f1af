"""Held connections: their end is told at once, and never proves anything by itself."""

from __future__ import annotations

from model.observation import Failure, Outcome
from probes.base import Reading
from tests.scripted_probe import BALANCED, CLOSED, REFUSED, ScriptedProbe, world
from tests.virtual_clock import settle


async def test_the_end_of_a_held_connection_is_told_in_the_same_moment_and_looked_into() -> None:
    async with world() as w:
        probe = w.watch(interval_s=10.0)
        await w.until(lambda: probe.held)
        asked, known = len(probe.starts), len(w.seen)
        probe.end_hold(CLOSED)
        await settle()
        assert [seen.failure for seen in w.seen[known:]] == [Failure.CLOSED]
        assert w.seen[-1].started_s == w.seen[-1].ended_s == w.clock.monotonic_s()
        assert len(probe.starts) == asked + 1


async def test_a_hold_begins_after_a_success_only() -> None:
    async with world() as w:
        probe = w.watch()
        probe.answer = probe.after(0.001, REFUSED)
        await w.clock.advance(3.0)
        assert probe.holds == 0
        probe.answer = probe.after(0.001)
        await w.clock.advance(1.0)
        assert probe.holds == 1


async def test_one_connection_is_held_at_a_time() -> None:
    async with world() as w:
        probe = w.watch()
        await w.clock.advance(10.0)
        assert probe.holds == 1


async def test_a_peer_that_closes_each_held_connection_at_once_is_not_hammered() -> None:
    class Closes(ScriptedProbe):
        async def hold(self) -> Reading | None:
            self.holds += 1
            return CLOSED

    async with world() as w:
        probe = w.watch(Closes(w.clock))
        await w.clock.advance(10.0)
        assert probe.holds <= 21
        assert len(probe.starts) <= 21 * (BALANCED.rise + 2)


async def test_a_connection_closed_for_idleness_is_looked_into_and_no_failure() -> None:
    async with world() as w:
        probe = w.watch(interval_s=10.0)
        await w.until(lambda: probe.held)
        probe.end_hold(Reading.unknown(None, "57P05: idle session"))
        await w.clock.advance(0.2)
        assert w.seen[1].outcome is Outcome.UNKNOWN
        assert {seen.outcome for seen in w.seen[2:]} == {Outcome.SUCCEEDED}
        assert len(w.seen) == 2 + BALANCED.rise


async def test_a_hold_without_a_reading_is_taken_up_again_after_the_next_success() -> None:
    async with world() as w:
        probe = w.watch()
        await w.until(lambda: probe.held)
        known = len(w.seen)
        probe.end_hold(None)
        await settle()
        assert len(w.seen) == known
        await w.clock.advance(1.0)
        assert probe.holds == 2


async def test_a_hold_that_fails_is_logged_and_taken_up_again() -> None:
    class Fails(ScriptedProbe):
        async def hold(self) -> Reading | None:
            self.holds += 1
            raise RuntimeError("broken hold")

    async with world() as w:
        probe = w.watch(Fails(w.clock))
        await w.clock.advance(5.0)
        assert probe.holds > 3
        assert {seen.outcome for seen in w.seen} == {Outcome.SUCCEEDED}


async def test_closing_during_a_hold_tells_nothing() -> None:
    async with world() as w:
        probe = w.watch()
        await w.until(lambda: probe.held)
        known = len(w.seen)
        await w.clock.finish(w.scheduler.remove("shop/pg1", "scripted"))
        assert len(w.seen) == known
