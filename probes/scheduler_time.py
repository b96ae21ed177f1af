"""The one task that keeps time for all probes, and knows by how late it wakes how late this process is.

A stopped or overloaded observer must not take its own sleep for a target's silence (S6): the lateness is
added up, and an attempt compares the sum at its start with the sum at its end.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

import structlog

from model.ports import Clock
from probes.scheduler_tasks import spawn
from probes.scheduler_timing import MOST_SLACK_S

# The longest sleep: while answers are awaited, so that a freeze of this process is measured to this
# precision, and otherwise, so that a watchdog of a few seconds sees progress.
BUSY_TICK_S = 0.05
IDLE_TICK_S = 0.25
# Timers of the loop are rounded up to a millisecond, and a busy machine adds a few: that is no lag.
NOISE_S = 0.005
EARLY_S = 1e-6  # a sleep may end a rounding error before its time
# The shortest sleep. Half of it would be none: the loop's timers know no less than a millisecond.
SHORTEST_S = 0.001

Event = Callable[[float], None]

log = structlog.get_logger(__name__)


class Timer:
    """An event to come. One that is cancelled costs no wake-up."""

    __slots__ = ("due_s", "event")

    def __init__(self, due_s: float, event: Event) -> None:
        self.due_s = due_s
        self.event: Event | None = event

    def cancel(self) -> None:
        self.event = None


class Timekeeper:
    """Calls events when they are due, or later by their slack, with the monotonic time of the round.

    awaited: answers that are being waited for; while there are any, lateness is measured closely.
    progress_s: monotonic time of the last completed round.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._events: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._task: asyncio.Task[None] | None = None
        self._sleeps = False
        self._late_sum_s = 0.0
        self._wake_s = clock.monotonic_s()
        self.awaited = 0
        self.progress_s = self._wake_s

    def start(self) -> bool:
        """Begin to keep time. Did it only begin now?"""
        if self._task is not None:
            return False
        self._wake_s = self._clock.monotonic_s()
        self._task = spawn(self._keep_time(), "probe scheduler")
        return True

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._events.clear()

    def at(self, due_s: float, event: Event, slack_s: float = 0.0) -> Timer:
        """slack_s: it does no harm if the event comes so much later, at most MOST_SLACK_S."""
        timer = Timer(due_s, event)
        latest_s = due_s + slack_s
        heapq.heappush(self._events, (latest_s, next(self._numbers), timer))
        if self._sleeps and latest_s + SHORTEST_S < self._wake_s and self._task is not None:
            self._sleeps = False
            self._wake_s = latest_s
            self._task.cancel()
        return timer

    def late_s(self, now_s: float) -> float:
        """What this process has been late by in all, up to `now_s`.

        A wake-up that is overdue at this moment counts: after a freeze, tasks that have an answer run first.
        """
        late_s = now_s - self._wake_s
        return self._late_sum_s + (late_s if late_s > NOISE_S else 0.0)

    async def _keep_time(self) -> None:
        while True:
            now_s = self._clock.monotonic_s()
            self._late_sum_s = self.late_s(now_s)
            self._wake_s = now_s
            self._call_due(now_s)
            self.progress_s = now_s
            await self._sleep()

    def _call_due(self, now_s: float) -> None:
        """All that is due: what must come now, and what may come now."""
        events, not_yet = self._events, []
        while events and events[0][0] <= now_s + MOST_SLACK_S + EARLY_S:
            entry = heapq.heappop(events)
            timer = entry[2]
            if timer.due_s > now_s + EARLY_S:
                not_yet.append(entry)
            elif timer.event is not None:
                self._call(timer.event, max(now_s, timer.due_s))
        for entry in not_yet:
            heapq.heappush(events, entry)

    def _call(self, event: Event, now_s: float) -> None:
        """A fault in the handling of one probe must not blind the others."""
        try:
            event(now_s)
        except Exception:
            log.exception("a scheduled event failed")

    async def _sleep(self) -> None:
        """Until the next event or tick, or until `at` brings the next event forward."""
        now_s = self._clock.monotonic_s()
        self._late_sum_s = self.late_s(now_s)  # a long round kept the answers waiting too
        events = self._events
        while events and events[0][2].event is None:
            heapq.heappop(events)
        wake_s = now_s + (BUSY_TICK_S if self.awaited else IDLE_TICK_S)
        if events:
            wake_s = min(wake_s, max(events[0][0], now_s + SHORTEST_S))
        self._wake_s = wake_s
        self._sleeps = True
        try:
            await self._clock.sleep(wake_s - now_s)
        except asyncio.CancelledError:
            # `at` has an earlier event, and takes `_sleeps` away; `stop` takes the task away.
            if self._sleeps or self._task is None:
                raise
            asyncio.current_task().uncancel()  # type: ignore[union-attr]  # this runs in a task
        finally:
            self._sleeps = False
