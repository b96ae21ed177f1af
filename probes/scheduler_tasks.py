"""Background tasks that are named, guarded and ended."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

import structlog

from model.ports import Clock

log = structlog.get_logger(__name__)


def spawn(coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """A task whose unexpected end is logged."""
    task = asyncio.create_task(coroutine, name=name)
    task.add_done_callback(report_death)
    return task


def cancelled_by_us() -> bool:
    """Was the current task asked to end? A library may raise CancelledError for reasons of its own."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def all_end(tasks: Iterable[asyncio.Task[None]], clock: Clock, limit_s: float) -> bool:
    """Wait for all of them, at most `limit_s`. Have they all ended?"""
    running = {task for task in tasks if not task.done()}
    if not running:
        return True
    limit = asyncio.create_task(clock.sleep(limit_s), name="limit")
    try:
        while running and not limit.done():
            await asyncio.wait({*running, limit}, return_when=asyncio.FIRST_COMPLETED)
            running = {task for task in running if not task.done()}
    finally:
        limit.cancel()
        await asyncio.wait([limit])
    return not running


def report_death(task: asyncio.Task[None]) -> None:
    """Logs the exception of a task that ended with one, which nobody else would see."""
    if not task.cancelled() and task.exception() is not None:
        log.error("a background task died", task=task.get_name(), exc_info=task.exception())
