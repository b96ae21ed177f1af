"""The journal with listeners: whoever writes, the ledgers learn of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

import structlog

from model.events import Event
from model.ports import Journal

log = structlog.get_logger(__name__)

Listener = Callable[[Event], None]


class TappedJournal:
    """Implements the port `Journal`; each event that is on disk goes to every listener, in order."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Returns the call that ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def append(
        self,
        type_: str,
        data: Mapping[str, Any],
        *,
        service: str | None = None,
        incident: str | None = None,
        execution: str | None = None,
        actor: str = "daemon",
        anchor: bool = False,
    ) -> Event:
        record = self._journal.append(
            type_,
            data,
            service=service,
            incident=incident,
            execution=execution,
            actor=actor,
            anchor=anchor,
        )
        writing = asyncio.ensure_future(self._write(record))
        writing.add_done_callback(_looked_at)
        # Whoever waits may be cancelled; the record is written all the same, and then it must be heard.
        return await asyncio.shield(writing)

    async def _write(self, record: Coroutine[Any, Any, Event]) -> Event:
        event = await record
        for listener in list(self._listeners):
            try:
                listener(event)
            except Exception:
                # It is on disk: to whoever wrote it, it must not look as if it were not.
                log.exception("a listener failed", type=event.type, seq=event.seq)
        return event

    def events(
        self,
        *,
        since_seq: int = 0,
        types: Iterable[str] | None = None,
        service: str | None = None,
        incident: str | None = None,
        execution: str | None = None,
    ) -> Sequence[Event]:
        return self._journal.events(
            since_seq=since_seq, types=types, service=service, incident=incident, execution=execution
        )


def _looked_at(writing: asyncio.Future[Event]) -> None:
    """A failure that nobody waits for any more is no news: who was cancelled did not act on it."""
    if not writing.cancelled():
        writing.exception()
