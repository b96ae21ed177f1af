"""Virtual time: a heap of what will happen. Everything in the simulated world happens here, in one order."""

from __future__ import annotations

import heapq
from collections.abc import Callable

Happening = Callable[[], None]


class Entry:
    """Something that will happen; `cancel` takes it back."""

    __slots__ = ("do",)

    def __init__(self, do: Happening | None) -> None:
        self.do = do

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

    def at(self, at_s: float, do: Happening) -> Entry:
        """Not before now."""
        self._number += 1
        entry = Entry(do)
        heapq.heappush(self._heap, (max(self.now_s, at_s), self._number, entry))
        return entry

    def after(self, seconds: float, do: Happening) -> Entry:
        return self.at(self.now_s + seconds, do)

    def next_s(self) -> float | None:
        """When something happens next."""
        heap = self._heap
        while heap and heap[0][2].do is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

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
