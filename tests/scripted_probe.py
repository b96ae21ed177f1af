"""A probe whose target does what a test says, and a scheduler around it in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from model.health import PROFILES, Profile
from model.observation import Failure, Layer, Observation
from model.ports import Clock, Secrets
from probes.base import Probe, ProbeOptions, ProbePorts, Reading
from probes.scheduler import Scheduler
from tests.virtual_clock import VirtualClock

BALANCED = PROFILES["balanced"]
FAST = PROFILES["fast"]


class NoSecrets(Secrets):
    def get(self, reference: Any) -> str:
        raise AssertionError(f"no secret is needed here: {reference}")


def ports(clock: Clock) -> ProbePorts:
    return ProbePorts(clock=clock, secrets=NoSecrets())


class ScriptedProbe(Probe):
    """`answer` says what an attempt sees; `end_hold` ends the held connection."""

    type: ClassVar[str] = "scripted"
    layer: ClassVar[Layer] = Layer.APPLICATION
    Options = ProbeOptions
    concurrent: ClassVar[int] = 4

    def __init__(self, clock: VirtualClock, target: str = "shop/pg1") -> None:
        super().__init__(target, ProbeOptions(), ports(clock))
        self.clock = clock
        self.answer: Callable[[], Awaitable[Reading]] = self.after(0.005)
        self.starts: list[float] = []
        self.running = 0
        self.most_running = 0
        self.holds = 0
        self.held: asyncio.Future[Reading | None] | None = None
        self.abandoned = 0
        self.closed = False

    async def check(self) -> Reading:
        self.starts.append(self.clock.monotonic_s())
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            return await self.answer()
        finally:
            self.running -= 1

    async def hold(self) -> Reading | None:
        self.holds += 1
        self.held = asyncio.get_running_loop().create_future()
        return await self.held

    def end_hold(self, reading: Reading | None) -> None:
        assert self.held is not None
        self.held.set_result(reading)

    def abandon(self) -> None:
        self.abandoned += 1

    async def aclose(self) -> None:
        self.closed = True

    def after(self, seconds: float, reading: Reading | None = None) -> Callable[[], Awaitable[Reading]]:
        """An answer that takes `seconds`."""

        async def answer() -> Reading:
            await self.clock.sleep(seconds)
            return reading or Reading.ok()

        return answer

    async def never(self) -> Reading:
        await asyncio.get_running_loop().create_future()
        raise AssertionError("not reached")


REFUSED = Reading.failed(Failure.REFUSED, "Connection refused")
CLOSED = Reading.failed(Failure.CLOSED, "closed without a word")


@dataclass
class World:
    """A scheduler, its clock and what it observed."""

    clock: VirtualClock
    scheduler: Scheduler
    seen: list[Observation] = field(default_factory=list)

    def watch(
        self, probe: Probe | None = None, profile: Profile = BALANCED, interval_s: float | None = None
    ) -> ScriptedProbe:
        watched = probe or ScriptedProbe(self.clock)
        self.scheduler.add(watched.target, watched, profile, interval_s)
        return watched  # type: ignore[return-value]

    async def until(self, condition: Callable[[], Any], within_s: float = 30.0) -> float:
        """Let time pass in steps of a millisecond until `condition`; the time that it took."""
        start_s = self.clock.monotonic_s()
        while not condition():
            assert self.clock.monotonic_s() - start_s < within_s, "it did not happen"
            await self.clock.advance(0.001)
        return self.clock.monotonic_s() - start_s


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """Afterwards nothing of the scheduler may be left."""
    clock = VirtualClock()
    seen: list[Observation] = []
    scheduler = Scheduler(clock, "ops1", seen.append)
    before = asyncio.all_tasks()
    try:
        yield World(clock, scheduler, seen)
    finally:
        await clock.finish(scheduler.aclose())
    assert asyncio.all_tasks() - before == set()
