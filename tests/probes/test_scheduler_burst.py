"""Suspicion contracts the interval; an answer restores it."""

from __future__ import annotations

import itertools

from controller.detect import fold
from model.health import Health, ProbeState, Profile
from model.observation import Failure
from probes.base import Reading
from tests.scripted_probe import BALANCED, CLOSED, FAST, REFUSED, World, world


def health(w: World, profile: Profile = BALANCED) -> Health:
    state = ProbeState("shop/pg1", "scripted")
    for seen in w.seen:
        state = fold(state, seen, profile)
    return state.health


async def test_a_refusal_is_confirmed_within_the_burst_and_not_at_the_next_interval() -> None:
    async with world() as w:
        probe = w.watch()
        await w.until(lambda: w.seen)
        probe.answer = probe.after(0.001, REFUSED)
        await w.until(lambda: w.seen[-1].failure is Failure.REFUSED)
        took = await w.until(lambda: [s.failure for s in w.seen[-3:]] == [Failure.REFUSED] * 3)
        assert took < 3 * BALANCED.burst_interval_s


async def test_a_hang_is_down_as_soon_as_the_profile_allows() -> None:
    for profile, rounds_s in ((FAST, FAST.timeout_s / 4), (BALANCED, BALANCED.burst_timeout_s / 4)):
        async with world() as w:
            probe = w.watch(profile=profile)
            await w.until(lambda w=w: len(w.seen) > 2)
            asked = len(probe.starts)
            probe.answer = probe.never
            await w.until(lambda probe=probe, asked=asked: len(probe.starts) > asked)
            took = await w.until(lambda w=w, profile=profile: health(w, profile) is Health.DOWN)
            assert profile.silence_s <= took + 0.001
            assert took <= profile.silence_s + rounds_s + 0.002


async def test_recovery_from_silence_is_seen_within_a_fraction_of_the_timeout() -> None:
    async with world() as w:
        probe = w.watch()
        probe.answer = probe.never
        await w.clock.advance(3.3)
        probe.answer = probe.after(0.005)
        took = await w.until(lambda: w.seen[-1].failure is None)
        assert took <= BALANCED.burst_timeout_s / 4 + 0.01


async def test_successes_restore_the_interval() -> None:
    async with world() as w:
        probe = w.watch()
        probe.answer = probe.after(0.001, REFUSED)
        await w.clock.advance(2.0)
        probe.answer = probe.after(0.001)
        await w.clock.advance(0.1)
        asked = len(probe.starts)
        await w.clock.advance(5.0)
        assert len(probe.starts) - asked <= 11


async def test_a_server_that_answers_with_an_error_is_not_hammered() -> None:
    async with world() as w:
        probe = w.watch()
        for failure in (Failure.SATURATED, Failure.STARTING):
            probe.answer = probe.after(0.001, REFUSED)
            await w.clock.advance(1.0)
            probe.answer = probe.after(0.001, Reading.failed(failure, "no room"))
            await w.clock.advance(0.1)
            asked = len(probe.starts)
            await w.clock.advance(5.0)
            assert len(probe.starts) - asked <= 11


async def test_what_could_not_be_found_out_does_not_contract_the_interval() -> None:
    async with world() as w:
        probe = w.watch()
        probe.answer = probe.after(0.001, Reading.unknown(Failure.LOCAL, "too many open files"))
        await w.clock.advance(5.0)
        assert len(probe.starts) <= 11


async def test_suspect_looks_at_once_and_all_of_the_targets_probes_do() -> None:
    async with world() as w:
        probe = w.watch(interval_s=10.0)
        await w.until(lambda: w.seen)
        asked = len(probe.starts)
        w.scheduler.suspect("shop/pg1")
        assert len(probe.starts) == asked
        await w.clock.advance(0.0)
        assert len(probe.starts) == asked + 1
        await w.clock.advance(0.1)
        assert len(probe.starts) == asked + BALANCED.rise


async def test_suspect_of_another_type_or_target_changes_nothing() -> None:
    async with world() as w:
        probe = w.watch(interval_s=10.0)
        await w.until(lambda: w.seen)
        asked = len(probe.starts)
        w.scheduler.suspect("shop/pg1", "tcp")
        w.scheduler.suspect("shop/pg2")
        await w.clock.advance(0.5)
        assert len(probe.starts) == asked


async def test_a_target_that_stays_dead_is_looked_at_calmly_again() -> None:
    async with world() as w:
        probe = w.watch()
        probe.answer = probe.after(0.001, REFUSED)
        await w.clock.advance(60.0)
        asked = len(probe.starts)
        await w.clock.advance(10.0)
        assert 19 <= len(probe.starts) - asked <= 21
        probe.answer = probe.after(0.001)
        await w.clock.advance(2.0)
        probe.answer = probe.after(0.001, REFUSED)
        asked = len(probe.starts)
        await w.clock.advance(2.0)
        assert len(probe.starts) - asked > 20, "a new death is suspected as fast as the first"


async def test_a_slow_server_is_no_silent_one() -> None:
    async with world() as w:
        probe = w.watch()
        probe.answer = probe.after(0.7)
        await w.clock.advance(10.0)
        assert {seen.failure for seen in w.seen} == {None}


async def test_a_server_slower_than_the_deadline_is_never_down_because_its_late_answers_count() -> None:
    async with world() as w:
        probe = w.watch()
        await w.clock.advance(2.0)
        probe.answer = probe.after(1.05)
        for _ in range(400):
            await w.clock.advance(0.05)
            assert health(w) is not Health.DOWN


async def test_a_closed_hold_and_refusals_are_down_within_a_tenth_of_a_second() -> None:
    async with world() as w:
        probe = w.watch()
        await w.until(lambda: probe.held)
        await w.clock.advance(0.1)
        probe.answer = probe.after(0.001, REFUSED)
        probe.end_hold(CLOSED)
        took = await w.until(lambda: health(w) is Health.DOWN)
        assert took < 0.1


async def test_attempts_of_a_burst_wait_for_no_others() -> None:
    async with world() as w:
        probe = w.watch()
        probe.answer = probe.after(0.001, REFUSED)
        await w.clock.advance(2.0)
        between = [round(later - earlier, 6) for earlier, later in itertools.pairwise(probe.starts[-10:])]
        assert set(between) == {BALANCED.burst_interval_s}
