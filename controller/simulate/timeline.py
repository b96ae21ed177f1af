"""Virtual time: a heap of what will happen. Everything in the simulated world happens here, in one order."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, inf

Happening = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Of what comes again and again, or is taken back again and again, and does not end a quiet stretch.

    every_s: a jump moves it by so many whole periods; 0: whoever planned it plans it anew after a jump.
    looks: it looks at what is known, so that after a jump it waits until everything was seen anew.
    """

    every_s: float = 0.0
    looks: bool = False


class Entry:
    """Something that will happen; `cancel` takes it back. rhythm: None of what comes once."""

    __slots__ = ("do", "rhythm")

    def __init__(self, do: Happening | None, rhythm: Rhythm | None = None) -> None:
        self.do = do
        self.rhythm = rhythm

    def cancel(self) -> None:
        self.do = None


class Timeline:
    """`now_s`: seconds since the world began. What falls together happens in the order in which it was
    planned."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._heap: list[tuple[float, int, Entry]] = []
        self._number = 0
        self.happened = 0

    def at(self, at_s: float, do: Happening, rhythm: Rhythm | None = None) -> Entry:
        """Not before now."""
        self._number += 1
        entry = Entry(do, rhythm)
        heapq.heappush(self._heap, (max(self.now_s, at_s), self._number, entry))
        return entry

    def after(self, seconds: float, do: Happening, rhythm: Rhythm | None = None) -> Entry:
        return self.at(self.now_s + seconds, do, rhythm)

    def next_s(self) -> float | None:
        """When something happens next."""
        heap = self._heap
        while heap and heap[0][2].do is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def next_once_s(self, after_s: float = -inf) -> float | None:
        """When something happens next, after `after_s`, that has no rhythm."""
        once = (
            at_s
            for at_s, _number, e in self._heap
            if at_s > after_s and e.do is not None and e.rhythm is None
        )
        return min(once, default=None)

    def next_of(self, rhythm: Rhythm) -> float | None:
        """When something of this rhythm happens next."""
        of_it = (at_s for at_s, _number, e in self._heap if e.do is not None and e.rhythm is rhythm)
        return min(of_it, default=None)

    def jump(self, to_s: float, look_s: float) -> None:
        """Nothing happens until `to_s`. What has a period is moved by whole periods to `to_s` or later; if it
        looks, to `look_s` or later. Nothing that comes once may lie before `to_s`, and what is to be planned
        anew must have been cancelled."""
        moved = []
        for at_s, number, entry in self._heap:
            rhythm = entry.rhythm
            if entry.do is None:
                continue
            wait_s = 0.0
            if rhythm is not None and rhythm.every_s > 0:
                least_s = look_s if rhythm.looks else to_s
                wait_s = max(0, ceil((least_s - at_s) / rhythm.every_s)) * rhythm.every_s
            moved.append((at_s + wait_s, number, entry))
        heapq.heapify(moved)
        self._heap[:] = moved
        self.now_s = to_s

    def run_until(self, end_s: float, done: Callable[[], bool] | None = None) -> None:
        """Let happen what happens before `end_s`, or until `done` says so after something has happened."""
        heap, pop = self._heap, heapq.heappop
        while heap and heap[0][0] <= end_s:
            at_s, _number, entry = pop(heap)
            do = entry.do
            if do is None:
                continue
            self.now_s = at_s
            self.happened += 1
            do()
            if done is not None and done():
                return
        self.now_s = max(self.now_s, end_s)
