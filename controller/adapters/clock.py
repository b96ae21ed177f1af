"""The host's own clocks."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """model.ports.Clock: CLOCK_MONOTONIC for every difference, the wall clock only to be recorded."""

    def monotonic_s(self) -> float:
        return time.monotonic()

    def wall_s(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
