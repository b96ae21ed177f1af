"""Automatic failovers that are being launched and not in the journal yet: they count for the budget (S1)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Launching:
    """One for all services of a daemon. Between a judgement and the record of its execution others are
    judged: two services that fail at once must not both take what is left for one."""

    def __init__(self) -> None:
        self.count = 0

    @contextmanager
    def one(self, left: int) -> Iterator[bool]:
        """left: what the journal leaves. True: it is within the budget, and counted until the end of the
        block, by when the journal has it or it did not begin."""
        if left - self.count <= 0:
            yield False
            return
        self.count += 1
        try:
            yield True
        finally:
            self.count -= 1
