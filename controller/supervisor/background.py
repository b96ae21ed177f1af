"""Background work of a supervisor: every task is named, and none ends in silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from model.errors import BcmError

log = structlog.get_logger(__name__)


class Background:
    """failed: told with a sentence for a person. ended: called after each task."""

    def __init__(self, failed: Callable[[str], None], ended: Callable[[], None]) -> None:
        self._failed = failed
        self._ended = ended
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guarded(work, name), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _guarded(self, work: Coroutine[Any, Any, None], name: str) -> None:
        try:
            await work
        except BcmError as error:
            log.error("background work failed", task=name, error=str(error))  # noqa: TRY400
            self._failed(f"{name}: {error.what}")
        except Exception:
            log.exception("background work failed", task=name)
            self._failed(f"{name} failed; see the daemon's log")
        finally:
            self._ended()
