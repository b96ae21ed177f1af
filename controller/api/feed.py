"""Reads the journal for requests, off the loop, and lets them wait for news."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from controller.api.control import ReadEvents
from model.events import Event

# Without a call of `wrote` (another process wrote) a waiting request looks again after this long.
_LOOK_AGAIN_S = 0.25


class JournalFeed:
    """Waiting is woken by `wrote`; it costs nothing while nothing happens."""

    def __init__(self, read: ReadEvents) -> None:
        self._read = read
        self._news = asyncio.Event()
        self._closed = False

    def wrote(self) -> None:
        """To be called on the loop after an append."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    def close(self) -> None:
        """Everybody who waits gets an answer now: the daemon stops."""
        self._closed = True
        self.wrote()

    async def read(
        self,
        *,
        since_seq: int = 0,
        types: Iterable[str] | None = None,
        service: str | None = None,
        incident: str | None = None,
        execution: str | None = None,
    ) -> Sequence[Event]:
        """`since_seq` is exclusive, as everywhere in the journal."""
        return await asyncio.to_thread(
            self._read,
            since_seq=since_seq,
            types=types,
            service=service,
            incident=incident,
            execution=execution,
        )

    async def wait(
        self, *, after_seq: int, timeout_s: float, execution: str | None = None
    ) -> Sequence[Event]:
        """Events after `after_seq`, as soon as there is one; [] at the end of `timeout_s`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        while True:
            news = self._news
            events = await self.read(since_seq=after_seq, execution=execution)
            left = until - loop.time()
            if events or left <= 0 or self._closed:
                return events
            try:
                async with asyncio.timeout(min(left, _LOOK_AGAIN_S)):
                    await news.wait()
            except TimeoutError:
                continue
