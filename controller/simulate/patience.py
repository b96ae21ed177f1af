"""A limit in real time for what may never end: a scenario in which virtual time stands still."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StuckError(KeyboardInterrupt):
    """It did not end in time. Not an Exception: asyncio keeps those of a task for whoever awaits it."""


@contextmanager
def at_most(limit_s: float) -> Iterator[None]:
    """Raises StuckError in the midst of what takes longer. Only the main thread can be interrupted: elsewhere
    there is no limit."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(_number: int, _frame: FrameType | None) -> None:
        raise StuckError(f"it has not ended after {limit_s:g} s of real time")

    before = signal.signal(signal.SIGALRM, over)
    others_s, _interval = signal.setitimer(signal.ITIMER_REAL, limit_s)
    began_s = time.monotonic()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
        if others_s > 0:  # somebody around us has a limit too
            signal.setitimer(signal.ITIMER_REAL, max(0.001, others_s - (time.monotonic() - began_s)))
