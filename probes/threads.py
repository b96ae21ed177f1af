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
    """At most `limit` at once. A thread that hangs keeps its place: no storm of threads can come of a peer
    that hangs. Where the future is cancelled its thread goes on, and what it brings is dropped."""

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._running = 0
        self._lock = threading.Lock()

    def start(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Begin `work` in a thread of its own; the future is this loop's. Raises AllBusyError."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with self._lock:
            if self._running >= self._limit:
                raise AllBusyError(f"{self._running} are under way and do not end")
            self._running += 1

        def run() -> None:
            result: T | None = None
            error: BaseException | None = None
            try:
                result = work()
            except BaseException as exc:  # noqa: BLE001  # carried over to whoever waits
                error = exc
            self._leave()
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle, result, error)

        def settle(result: T | None, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]  # None only where T is None

        try:
            threading.Thread(target=run, name=self._name, daemon=True).start()
        except RuntimeError as exc:
            self._leave()
            raise AllBusyError(f"no thread can be started: {exc}") from None
        return future

    def _leave(self) -> None:
        with self._lock:
            self._running -= 1


def note_from_thread() -> Callable[..., None]:
    """`probes.trace.note` for a thread that this coroutine starts: told on the loop to those who listen."""
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()

    def tell(text: str, *values: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(note, text, *values, context=context)

    return tell
