"""Blocking work in daemon threads: bounded in number, and never waited for at exit.

A pool of the standard library joins its threads when the process ends, and so would hang with them.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

from probes.trace import note

T = TypeVar("T")


class AllBusyError(Exception):
    """As many threads as may be are under way, and none has ended: nothing was begun."""


class BoundedThreads:
    """At most `limit` at once. Begun from one loop; a thread that hangs keeps its place, and so no storm of
    threads can come of a peer that hangs."""

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._running = 0

    def start(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Begin `work` in a thread of its own; the future is this loop's. Raises AllBusyError."""
        if self._running >= self._limit:
            raise AllBusyError(f"{self._running} are under way and do not end")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def run() -> None:
            result: T | None = None
            error: BaseException | None = None
            try:
                result = work()
            except BaseException as exc:  # noqa: BLE001  # carried over to whoever waits
                error = exc
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle, result, error)

        def settle(result: T | None, error: BaseException | None) -> None:
            self._running -= 1
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]  # None only where T is None

        thread = threading.Thread(target=run, name=self._name, daemon=True)
        thread.start()  # counted only once it runs: it may not be started for want of memory
        self._running += 1
        return future


def quietly(future: asyncio.Future[T]) -> None:
    """Nobody waits for it any more: its error is nobody's."""

    def take(done: asyncio.Future[T]) -> None:
        if not done.cancelled():
            done.exception()

    future.add_done_callback(take)


def note_from_thread() -> Callable[..., None]:
    """`probes.trace.note` for a thread that this coroutine starts: told on the loop to those who listen."""
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()

    def tell(text: str, *values: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(note, text, *values, context=context)

    return tell
