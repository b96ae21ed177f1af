"""A clock that only moves when a test moves it: no test that uses it waits for real time.

`advance` wakes the sleepers one by one in the order of their times and lets everything that became ready run
before it goes on, so that the same test runs the same way on a busy machine.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class RealClock:
    """The port `Clock` on the host's clocks, for tests that watch real sockets.

    worst_late_s: the most that a sleep was late by; what a busy machine adds to every deadline.
    """

    worst_late_s = 0.0

    def monotonic_s(self) -> float:
        return time.monotonic()

    def wall_s(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        due_s = time.monotonic() + seconds
        await asyncio.sleep(seconds)
        self.worst_late_s = max(self.worst_late_s, time.monotonic() - due_s)


class VirtualClock:
    """The port `Clock` in virtual time, beginning at `start_s`."""

    def __init__(self, start_s: float = 1000.0) -> None:
        self._now_s = start_s
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def monotonic_s(self) -> float:
        return self._now_s

    def wall_s(self) -> float:
        return 1_700_000_000.0 + self._now_s

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_s + seconds, next(self._numbers), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        end_s = self._now_s + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end_s:
            self._now_s = max(self._now_s, self._sleepers[0][0])
            self._wake_due()
            await settle()
        self._now_s = max(self._now_s, end_s)
        await settle()

    def work(self, seconds: float) -> None:
        """Called on the loop: the caller keeps it busy for `seconds`, and nothing else runs meanwhile."""
        self._now_s += seconds

    async def freeze(self, seconds: float) -> None:
        """The process is stopped for `seconds`, then goes on: every sleeper that was due wakes late."""
        await settle()
        self._now_s += seconds
        self._wake_due()
        await settle()

    async def finish(self, coroutine: Coroutine[Any, Any, T], within_s: float = 60.0) -> T:
        """Run `coroutine` to its end, with time passing as it needs it."""
        task = asyncio.ensure_future(coroutine)
        end_s = self._now_s + within_s
        await settle()
        while not task.done():
            if not self._sleepers or self._sleepers[0][0] > end_s:
                task.cancel()
                raise TimeoutError(f"not finished within {within_s} virtual seconds")
            await self.advance(max(0.0, self._sleepers[0][0] - self._now_s))
        return task.result()

    def _wake_due(self) -> None:
        while self._sleepers and self._sleepers[0][0] <= self._now_s:
            _due_s, _number, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)


async def settle() -> None:
    """Until nothing is left to run without time passing or a socket speaking."""
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    await asyncio.sleep(0)
    while ready:
        await asyncio.sleep(0)
