"""Blocking work in daemon threads: bounded in number, and never waited for at exit."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

from model.errors import NodeAccessError

T = TypeVar("T")


class DaemonThreads:
    """At most `limit` at once, for one target: what hangs there holds up nothing else.

    A pool of the standard library would join its threads when the process ends, and so would hang with them.
    """

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._running = 0

    def start(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Begin `work` in a thread of its own; the future is this loop's. Raises NodeAccessError if too much
        is under way already."""
        if self._running >= self._limit:
            raise NodeAccessError(
                f"{self._running} commands are under way and do not end",
                where=self._name,
                hint="look what hangs on the node",
            )
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._running += 1

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

        threading.Thread(target=run, name=self._name, daemon=True).start()
        return future
