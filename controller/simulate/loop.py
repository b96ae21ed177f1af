"""An event loop in virtual time: what the executions of one simulated process run on.

It has no sockets and no threads. Timers lie in the world's timeline; what became ready is run at once, at the
same instant. A process that is frozen runs nothing; what was due meanwhile comes when it wakes.
"""

from __future__ import annotations

import asyncio
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

from controller.simulate.timeline import Entry, Timeline

T = TypeVar("T")

# A task that is cancelled may wait for others that are cancelled with it.
_ROUNDS = 20


class VirtualTimer(asyncio.TimerHandle):
    """entry: its place in the timeline."""

    entry: Entry | None = None


class VirtualLoop(asyncio.AbstractEventLoop):
    """offset_s: of the process's monotonic clock against the world's time.

    errors: what nobody caught, for the audit: an exception in a callback is a fault of the product.
    """

    def __init__(self, timeline: Timeline, offset_s: float) -> None:
        self._timeline = timeline
        self.offset_s = offset_s
        self._ready: deque[asyncio.Handle] = deque()
        self._running = False
        self.frozen = False
        self.dead = False
        self._killed: list[asyncio.Task[Any]] = []
        self._backlog: list[Callable[[], None]] = []
        self.errors: list[dict[str, Any]] = []

    # --- from the world

    def deliver(self, callback: Callable[..., object], *args: Any) -> None:
        """Something reaches the process: it runs now, or when it wakes."""
        if self.dead:
            return
        if self.frozen:
            self._backlog.append(lambda: self._run_now(callback, *args))
        else:
            self._run_now(callback, *args)

    def hear(self, callback: Callable[[], None]) -> None:
        """The same for what is no task's: called at once, and what it made ready runs after it."""
        if self.dead:
            return
        if self.frozen:
            self._backlog.append(lambda: self.hear(callback))
            return
        callback()
        if self._ready and not self._running:
            self._run_ready()

    def thaw(self) -> None:
        """It wakes: everything that came meanwhile is there at once."""
        self.frozen = False
        backlog, self._backlog = self._backlog, []
        for deliver in backlog:
            if self.frozen or self.dead:
                self._backlog.append(deliver)
            else:
                deliver()

    def start(self, coroutine: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """From outside of the loop."""
        task: asyncio.Task[T] = asyncio.Task(coroutine, loop=self, name=name)
        self._run_ready()
        return task

    def kill(self) -> None:
        """Nothing of it runs ever again, be it by the garbage collector: its tasks are kept."""
        self.dead = True
        self._killed = list(asyncio.all_tasks(self))
        for task in self._killed:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._ready.clear()
        self._backlog.clear()

    def close(self) -> None:
        """After the end of the world: every task ends, and what it does then is for nobody."""
        self.dead = self.frozen = False
        for _ in range(_ROUNDS):
            tasks = asyncio.all_tasks(self)
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            self._run_ready()
        self.kill()

    def _run_now(self, callback: Callable[..., object], *args: Any) -> None:
        self._ready.append(events.Handle(callback, args, self))
        if not self._running:
            self._run_ready()

    def _run_ready(self) -> None:
        ready = self._ready
        if self._running or self.frozen or self.dead:
            return
        before = events._get_running_loop()
        self._running = True
        events._set_running_loop(self)
        try:
            while ready and not (self.frozen or self.dead):
                handle = ready.popleft()
                if not handle._cancelled:
                    handle._run()
        finally:
            events._set_running_loop(before)
            self._running = False

    @property
    def tasks(self) -> int:
        """How many have not ended."""
        return len(asyncio.all_tasks(self))

    # --- what asyncio asks of a loop

    def time(self) -> float:
        return self._timeline.now_s + self.offset_s

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = events.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> VirtualTimer:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> VirtualTimer:
        timer = VirtualTimer(when, callback, args, self, context)
        timer.entry = self._timeline.at(when - self.offset_s, lambda: self._due(timer))
        return timer

    def _due(self, timer: asyncio.TimerHandle) -> None:
        if timer._cancelled or self.dead:
            return
        if self.frozen:
            self._backlog.append(lambda: self._due(timer))
            return
        self._ready.append(timer)
        self._run_ready()

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        if isinstance(handle, VirtualTimer) and handle.entry is not None:
            handle.entry.cancel()

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Any, *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """There are no threads: it is done at once."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whoever awaits it gets it
            future.set_exception(error)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(context)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self.dead
