"""Several looks at once, their results as they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def as_they_end(work: Iterable[Coroutine[Any, Any, T]]) -> AsyncIterator[T]:
    """Whatever ends the iteration, nothing of it goes on behind."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        for next_one in asyncio.as_completed(tasks):
            yield await next_one
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
            for task in tasks:
                if not task.cancelled():
                    task.exception()
