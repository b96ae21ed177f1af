"""The thread that writes: appends that come together share one transaction and one sync."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final

from controller.store.failures import again
from controller.store.records import Draft
from model.errors import BcmError, JournalError
from model.events import Event

MAX_BATCH: Final = 256  # keeps one transaction below about 10 ms
MAX_WAITING: Final = 10_000  # a disk that hangs must not fill the memory


@dataclass(frozen=True, slots=True)
class _Request:
    draft: Draft
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Event]
    since_s: float


class WriterThread:
    """One daemon thread in front of a session: `commit(drafts)` writes a batch, `tidy(waiting)` keeps house.

    Futures are resolved in the order of the records.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Draft]], list[Event]],
        tidy: Callable[[bool], None],
        finish: Callable[[], None],
    ) -> None:
        self._commit = commit
        self._tidy = tidy
        self._finish = finish
        self._queue: SimpleQueue[_Request | None] = SimpleQueue()
        self._waiting = 0
        self._count_lock = threading.Lock()
        self._oldest_s: float | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="bcm-journal", daemon=True)
        self._thread.start()

    def submit(self, draft: Draft) -> asyncio.Future[Event]:
        """Called on a loop; the future belongs to it. Raises JournalError if too much waits already."""
        loop = asyncio.get_running_loop()
        with self._count_lock:
            if self._closing:
                raise JournalError("the journal is closed", hint="nothing may be changed after a stop")
            if self._waiting >= MAX_WAITING:
                raise JournalError(
                    f"{self._waiting} records wait to be written: the disk under the journal hangs",
                    hint="look at the disk (dmesg, iostat); nothing may be changed until it answers",
                )
            self._waiting += 1
            request = _Request(draft, loop, loop.create_future(), time.monotonic())
            self._queue.put(request)
        return request.future

    @property
    def stalled_s(self) -> float:
        """For how long the batch being written has been waiting; 0.0 if there is none."""
        oldest = self._oldest_s
        return 0.0 if oldest is None else time.monotonic() - oldest

    def close(self, timeout_s: float) -> bool:
        """Write what waits and end. False if the thread hangs in the disk; it dies with the process."""
        with self._count_lock:
            first = not self._closing
            self._closing = True
        if first:
            self._queue.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        last = False
        while not last:
            batch, last = self._next_batch()
            if batch:
                self._oldest_s = batch[0].since_s
                self._write(batch)
                self._oldest_s = None
            self._tidy(not self._queue.empty())
        self._finish()

    def _next_batch(self) -> tuple[list[_Request], bool]:
        """At least one request, unless closing. Second: whether it is the last one."""
        request = self._queue.get()
        batch: list[_Request] = []
        while request is not None:
            batch.append(request)
            if len(batch) >= MAX_BATCH:
                return batch, False
            try:
                request = self._queue.get_nowait()
            except Empty:
                return batch, False
        return batch, True

    def _write(self, batch: Sequence[_Request]) -> None:
        error: BaseException | None = None
        events: list[Event] = []
        try:
            events = self._commit([r.draft for r in batch])
        except Exception as caught:  # noqa: BLE001 - whatever it is, those who wait must learn of it
            error = caught
        with self._count_lock:
            self._waiting -= len(batch)
        by_loop: dict[
            asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Event], Event | BaseException]]
        ] = {}
        for place, request in enumerate(batch):
            outcome = _for_one(error) if error is not None else events[place]
            by_loop.setdefault(request.loop, []).append((request.future, outcome))
        for loop, outcomes in by_loop.items():
            try:
                loop.call_soon_threadsafe(_resolve, outcomes)
            except RuntimeError:
                continue  # that loop is closed: nobody waits there any more


def _for_one(error: BaseException) -> BaseException:
    if isinstance(error, BcmError):
        return again(error)
    wrapped = JournalError(
        f"the journal's writer failed: {error!r}", hint="restart the daemon and report this"
    )
    wrapped.__cause__ = error
    return wrapped


def _resolve(outcomes: Sequence[tuple[asyncio.Future[Event], Event | BaseException]]) -> None:
    for future, outcome in outcomes:
        if future.done():  # whoever waited was cancelled; the record is written nevertheless
            continue
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
