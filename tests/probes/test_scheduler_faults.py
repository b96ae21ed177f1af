"""Faults in a probe's own code, and in what takes its observations, blind nothing else."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from model.observation import Failure, Observation, Outcome
from probes.base import Reading
from probes.scheduler import Scheduler
from tests.scripted_probe import BALANCED, ScriptedProbe, world
from tests.virtual_clock import VirtualClock


async def broken() -> Reading:
    raise RuntimeError("broken probe")


async def test_an_exception_in_a_probe_is_unknown_and_logged_once() -> None:
    async with world() as w:
        probe = w.watch()
        probe.answer = broken
        with capture_logs() as logs:
            await w.clock.advance(5.0)
        assert len(w.seen) > 5
        assert {(s.outcome, s.failure, s.detail) for s in w.seen} == {
            (Outcome.UNKNOWN, Failure.LOCAL, "probe error: RuntimeError: broken probe")
        }
        assert [line["event"] for line in logs] == ["probe error"]
        assert "test_scheduler_faults.py" in logs[0]["where"]


async def test_a_broken_probe_does_not_blind_the_others() -> None:
    async with world() as w:
        w.watch().answer = broken
        w.watch(ScriptedProbe(w.clock, "shop/pg2"))
        await w.clock.advance(5.0)
        assert len([s for s in w.seen if s.target == "shop/pg2" and s.outcome is Outcome.SUCCEEDED]) >= 9


async def test_a_cancellation_that_a_library_made_up_is_unknown_and_ends_nothing() -> None:
    async def cancelled() -> Reading:
        raise asyncio.CancelledError

    async with world() as w:
        w.watch().answer = cancelled
        await w.clock.advance(5.0)
        assert len(w.seen) > 5
        assert {s.outcome for s in w.seen} == {Outcome.UNKNOWN}


async def test_a_listener_that_fails_is_logged_and_goes_on_being_told() -> None:
    clock = VirtualClock()
    told: list[Observation] = []

    def listener(seen: Observation) -> None:
        told.append(seen)
        raise ValueError("cannot take it")

    scheduler = Scheduler(clock, "ops1", listener)
    scheduler.add("shop/pg1", ScriptedProbe(clock), BALANCED)
    with capture_logs() as logs:
        await clock.advance(5.0)
    await clock.finish(scheduler.aclose())
    assert len(told) >= 9
    assert {line["event"] for line in logs} == {"an observation could not be taken in"}


async def test_a_library_that_swallows_cancellation_cannot_pile_up_attempts() -> None:
    class Stubborn(ScriptedProbe):
        def __init__(self, clock: VirtualClock) -> None:
            super().__init__(clock)
            self.shut = asyncio.Event()

        async def never(self) -> Reading:
            while not self.shut.is_set():
                try:
                    await self.shut.wait()
                except asyncio.CancelledError:
                    continue
            return Reading.failed(Failure.RESET, "shut")

    async with world() as w:
        probe = Stubborn(w.clock)
        w.watch(probe)
        probe.answer = probe.never
        await w.clock.advance(30.0)
        assert probe.abandoned > 0
        assert probe.most_running <= 8
        assert w.seen[-1].outcome is Outcome.UNKNOWN
        assert "do not end" in w.seen[-1].detail
        probe.shut.set()
        probe.answer = probe.after(0.001)
        await w.clock.advance(2.0)
        assert w.seen[-1].outcome is Outcome.SUCCEEDED


async def test_a_probe_that_does_not_close_is_named_and_left() -> None:
    class Hangs(ScriptedProbe):
        async def aclose(self) -> None:
            await self.clock.sleep(5.0)

    async with world() as w:
        w.watch(Hangs(w.clock))
        await w.clock.advance(1.0)
        with capture_logs() as logs:
            await w.clock.finish(w.scheduler.remove("shop/pg1", "scripted"))
        assert [line["event"] for line in logs] == ["probe does not close"]
        await w.clock.advance(5.0)
