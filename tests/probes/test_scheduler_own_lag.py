"""A stopped or overloaded observer sees no silence (S6)."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys

from model.observation import Failure, Observation, Outcome
from probes.awareness import STRETCH_MOST
from probes.scheduler import Scheduler
from tests.bad_servers import serving
from tests.scripted_probe import BALANCED, FAST, REFUSED, ScriptedProbe, world
from tests.virtual_clock import VirtualClock

FROZEN_OBSERVER = """
import asyncio, json, sys
from tests.virtual_clock import RealClock
from model.health import PROFILES
from probes.scheduler import Scheduler
from probes.tcp import TcpOptions, TcpProbe
from tests.bad_servers import serving
from tests.scripted_probe import ports

def told(seen):
    print(json.dumps([seen.outcome, seen.failure, seen.detail]), flush=True)

async def main():
    clock = RealClock()
    scheduler = Scheduler(clock, "ops1", told)
    options = TcpOptions(host="127.0.0.1", port=int(sys.argv[1]), send="hi\\n", expect="hello")
    scheduler.add("shop/web", TcpProbe("shop/web", options, ports(clock)), PROFILES["balanced"], 0.1)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_an_attempt_during_which_this_process_was_stopped_is_unknown() -> None:
    async with world() as w:
        probe = w.watch()
        await w.clock.advance(2.0)
        probe.answer = probe.after(0.05)
        await w.until(lambda: probe.running == 1)
        known = len(w.seen)
        await w.clock.freeze(5.0)
        after = w.seen[known:]
        assert [seen.outcome for seen in after] == [Outcome.UNKNOWN]
        assert after[0].failure is Failure.LOCAL
        assert after[0].detail.startswith("this process was late by 4")


async def test_lateness_of_less_than_the_timeout_spoils_a_missing_answer() -> None:
    async with world() as w:
        probe = w.watch()
        await w.clock.advance(2.0)
        probe.answer = probe.never
        await w.until(lambda: probe.running == 1)
        known = len(w.seen)
        await w.clock.freeze(0.8)
        await w.until(lambda: len(w.seen) > known)
        assert w.seen[known].outcome is Outcome.UNKNOWN


async def test_many_short_delays_of_an_overloaded_process_add_up() -> None:
    async with world() as w:
        probe = w.watch()
        await w.clock.advance(2.0)
        probe.answer = probe.never
        known = len(w.seen)
        for _ in range(100):
            await w.clock.freeze(0.15)
            await w.clock.advance(0.001)
        assert {seen.outcome for seen in w.seen[known + 1 :]} == {Outcome.UNKNOWN}


async def test_a_little_lateness_does_not_hide_a_silent_target() -> None:
    async with world() as w:
        probe = w.watch()
        await w.clock.advance(2.0)
        probe.answer = probe.never
        await w.until(lambda: probe.running == 1)
        await w.clock.freeze(0.1)
        await w.until(lambda: w.seen[-1].failure is Failure.SILENT, within_s=1.2)


async def test_a_process_that_is_late_does_not_ask_again_beside_an_attempt_that_may_be_answered() -> None:
    """It would make an overload of this process several times worse."""
    async with world() as w:
        probe = w.watch()
        await w.clock.advance(2.0)
        for _ in range(20):
            probe.answer = probe.after(0.62)  # it came meanwhile, and is read a moment after the wake-up
            await w.until(lambda: probe.running == 1)
            await w.clock.freeze(0.6)
            await w.clock.advance(0.1)
        assert probe.most_running == 1


async def test_an_attempt_is_overlapped_later_when_this_process_was_late() -> None:
    async with world() as w:
        probe = w.watch()
        await w.clock.advance(2.0)
        probe.answer = probe.never
        await w.until(lambda: probe.running == 1)
        await w.clock.freeze(0.4)
        took = await w.until(lambda: probe.running == 2)
        assert took <= BALANCED.timeout_s / 4 + 0.01


async def test_a_failure_seen_before_a_freeze_is_not_told_as_news_after_it() -> None:
    async with world() as w:
        probe = w.watch()
        await w.clock.advance(2.0)
        probe.answer = probe.after(0.01, REFUSED)
        await w.until(lambda: probe.running == 1)
        known = len(w.seen)
        await w.clock.freeze(5.0)
        assert w.seen[known].outcome is Outcome.UNKNOWN


async def test_attempts_after_a_freeze_are_judged_as_ever() -> None:
    async with world() as w:
        probe = w.watch()
        await w.clock.advance(2.0)
        await w.clock.freeze(5.0)
        probe.answer = probe.never
        known = len(w.seen)
        await w.until(lambda: w.seen[-1].failure is Failure.SILENT)
        assert w.seen[-1].latency_s <= STRETCH_MOST * BALANCED.timeout_s + 0.001
        assert len(w.seen) > known


async def test_a_loop_kept_busy_by_other_work_counts_as_late() -> None:
    async with world() as w:
        probe = w.watch()
        await w.clock.advance(2.0)
        probe.answer = probe.never
        await w.until(lambda: probe.running == 1)
        known = len(w.seen)

        asyncio.get_running_loop().call_soon(w.clock.work, 0.9)
        await w.until(lambda: len(w.seen) > known)
        assert w.seen[known].outcome is Outcome.UNKNOWN


async def test_a_listener_that_takes_long_counts_as_late() -> None:
    """The answers of all other targets wait while one observation is taken in."""
    clock = VirtualClock()
    seen: list[Observation] = []

    def listener(observation: Observation) -> None:
        seen.append(observation)
        if observation.target == "shop/pg2" and probe.running:
            clock.work(0.9)

    scheduler = Scheduler(clock, "ops1", listener)
    probe, other = ScriptedProbe(clock), ScriptedProbe(clock, "shop/pg2")
    probe.answer = probe.never
    other.answer = other.never  # its verdict falls in a round of the timekeeper
    scheduler.add("shop/pg2", other, FAST)
    scheduler.add("shop/pg1", probe, BALANCED, interval_s=5.0)
    while not any(observation.target == "shop/pg1" for observation in seen):
        await clock.advance(0.05)
    await clock.finish(scheduler.aclose())
    judged = [observation for observation in seen if observation.target == "shop/pg1"]
    assert {observation.outcome for observation in judged} == {Outcome.UNKNOWN}


async def test_a_stopped_observer_process_sees_no_failure_of_a_healthy_server() -> None:
    """It is stopped while it waits for an answer; at its deadline, long past when it wakes, there is none."""
    stops = [0.7, 1.5, 1.1]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        if stops and len(seen) > 3:
            seconds = stops.pop()
            observer.send_signal(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            observer.send_signal(signal.SIGCONT)
            await asyncio.sleep(0.02)
        writer.write(b"hello")
        await reader.read()

    seen: list[list[str]] = []
    async with serving(answer) as port:
        observer = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FROZEN_OBSERVER, str(port), stdout=subprocess.PIPE
        )
        assert observer.stdout is not None
        try:
            while stops or seen[-1][0] != "succeeded":
                seen.append(json.loads(await observer.stdout.readline()))
        finally:
            observer.kill()
            await observer.wait()
    assert {"succeeded", "unknown"} == {outcome for outcome, _failure, _detail in seen}
    assert any("this process was late by" in detail for _outcome, _failure, detail in seen)
