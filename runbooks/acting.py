"""Lets an action work until its deadline, which the engine owns: an action that hangs holds up nothing.

A long work may have a second limit: it is ended when it has stood still for so long, and not while it moves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from model.errors import JournalError, LeadershipLostError
from model.ports import Clock

T = TypeVar("T")

GRACE_S: Final = 0.25  # after the deadline, for an action that is just about to return
LET_GO_S: Final = 1.0  # after the cancellation; longer means that it does not let go


@dataclass(slots=True)
class Movement:
    """When a work last moved. stall_s: how long it may stand still. at_s: monotonic seconds."""

    stall_s: float
    clock: Clock
    at_s: float = field(init=False)
    measure: int | None = None

    def __post_init__(self) -> None:
        self.at_s = self.clock.monotonic_s()

    def moved(self, measure: int) -> None:
        """Another measure than the last one is progress; the same one is not, however often it is told."""
        if measure != self.measure:
            self.measure, self.at_s = measure, self.clock.monotonic_s()

    @property
    def left_s(self) -> float:
        return self.at_s + self.stall_s - self.clock.monotonic_s()


@dataclass(frozen=True, slots=True)
class Ended(Generic[T]):
    """value: what it returned. error: what it raised. Neither: it was still at work at its deadline, or had
    stood still for too long (`stalled`). runaway: and did not let go when it was cancelled, so it may change
    something at any later time."""

    value: T | None
    error: Exception | None
    took_ns: int
    runaway: bool = False
    stalled: bool = False

    @property
    def timed_out(self) -> bool:
        return self.value is None and self.error is None


async def until_deadline(
    work: Callable[[float], Coroutine[Any, Any, T]],
    *,
    timeout_s: float,
    clock: Clock,
    movement: Movement | None = None,
) -> Ended[T]:
    """Calls `work(deadline_s)`; the verdict falls at the deadline and a short grace, whatever the work does,
    and before that where `movement` says that it stands still.

    Raises LeadershipLostError and JournalError of the work: they end the execution, not only the step.
    """
    began_s = clock.monotonic_s()
    task = asyncio.ensure_future(work(began_s + timeout_s))
    try:
        stalled = await _wait(task, began_s + timeout_s + GRACE_S, clock, movement)
    except asyncio.CancelledError:
        await _let_go(task)
        raise
    runaway = False
    if not task.done():
        runaway = not await _let_go(task)
    took_ns = int((clock.monotonic_s() - began_s) * 1e9)
    if runaway or task.cancelled():
        return Ended(None, None, took_ns, runaway, stalled)
    try:
        return Ended(task.result(), None, took_ns)
    except (LeadershipLostError, JournalError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this step's result
        return Ended(None, error, took_ns)


async def _wait(task: asyncio.Future[T], until_s: float, clock: Clock, movement: Movement | None) -> bool:
    """Until it has ended or may work no longer. True: it stood still."""
    while True:
        left_s = until_s - clock.monotonic_s()
        quiet_s = left_s if movement is None else movement.left_s
        await asyncio.wait({task}, timeout=max(min(left_s, quiet_s), 0))
        if task.done() or clock.monotonic_s() >= until_s:
            return False
        if movement is None:
            return False
        if movement.left_s <= 0:
            return True


async def _let_go(task: asyncio.Future[T]) -> bool:
    """Cancel and wait; False if it goes on in spite of it."""
    task.cancel()
    await asyncio.wait({task}, timeout=LET_GO_S)
    task.add_done_callback(_retrieve)
    return task.done()


def _retrieve(task: asyncio.Future[T]) -> None:
    """An exception that nobody reads any more would only be noise in the log."""
    if not task.cancelled():
        task.exception()
