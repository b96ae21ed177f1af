"""Lets an action work until its deadline, which the engine owns: an action that hangs holds up nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from model.errors import JournalError, LeadershipLostError
from model.ports import Clock

T = TypeVar("T")

GRACE_S: Final = 0.25  # after the deadline, for an action that is just about to return
LET_GO_S: Final = 1.0  # after the cancellation; longer means that it does not let go


@dataclass(frozen=True, slots=True)
class Ended(Generic[T]):
    """value: what it returned. error: what it raised. Neither: it was still at work at its deadline.
    runaway: and did not let go when it was cancelled, so it may change something at any later time."""

    value: T | None
    error: Exception | None
    took_ns: int
    runaway: bool = False

    @property
    def timed_out(self) -> bool:
        return self.value is None and self.error is None


async def until_deadline(
    work: Callable[[float], Coroutine[Any, Any, T]], *, timeout_s: float, clock: Clock
) -> Ended[T]:
    """Calls `work(deadline_s)`; the verdict falls at the deadline and a short grace, whatever the work does.

    Raises LeadershipLostError and JournalError of the work: they end the execution, not only the step.
    """
    began_s = clock.monotonic_s()
    task = asyncio.ensure_future(work(began_s + timeout_s))
    try:
        await asyncio.wait({task}, timeout=timeout_s + GRACE_S)
    except asyncio.CancelledError:
        await _let_go(task)
        raise
    runaway = False
    if not task.done():
        runaway = not await _let_go(task)
    took_ns = int((clock.monotonic_s() - began_s) * 1e9)
    if runaway or task.cancelled():
        return Ended(None, None, took_ns, runaway)
    try:
        return Ended(task.result(), None, took_ns)
    except (LeadershipLostError, JournalError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this step's result
        return Ended(None, error, took_ns)


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
