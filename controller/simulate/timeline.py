"""Virtual time: a heap of what will happen. Everything in the simulated world happens here, in one order."""

from __future__ import annotations

import heapq
from collections.abc import Callable

Happening = Callable[[], None]


class Entry:
    """Something that will happen; `cancel` takes it back."""

    __slots__ = ("at_s", "do", "number")

    def __init__(self, at_s: float, number: int, do: Happening | None) -> None:
        self.at_s = at_s
        self.number = number
        self.do = do

    def cancel(self) -> None:
        self.do = None

    def __lt__(self, other: Entry) -> bool:
        return self.at_s < other.at_s or (self.at_s == other.at_s and self.number < other.number)


class Timeline:
    """`now_s`: seconds since the world began. What falls together happens in the order in which it was
    planned."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._heap: list[Entry] = []
        self._number = 0
        self.happened = 0

    def at(self, at_s: float, do: Happening) -> Entry:
        """Not before now."""
        self._number += 1
        entry = Entry(at_s if at_s > self.now_s else self.now_s, self._number, do)
        heapq.heappush(self._heap, entry)
        return entry

    def after(self, seconds: float, do: Happening) -> Entry:
        return self.at(self.now_s + seconds, do)

    def next_s(self) -> float | None:
        """When something happens next."""
        heap = self._heap
        while heap and heap[0].do is None:
            heapq.heappop(heap)
        return heap[0].at_s if heap else None

    def run_until(self, end_s: float, done: Callable[[], bool] | None = None) -> None:
        """Let happen what happens before `end_s`, or until `done` says so after something has happened."""
        heap, pop = self._heap, heapq.heappop
        while heap and heap[0].at_s <= end_s:
            entry = pop(heap)
            do = entry.do
            if do is None:
                continue
            self.now_s = entry.at_s
            self.happened += 1
            do()
            if done is not None and done():
                return
        self.now_s = max(self.now_s, end_s)
