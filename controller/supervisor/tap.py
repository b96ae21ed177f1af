"""The journal with listeners: whoever writes, the ledgers learn of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from model.events import Event
from model.ports import Journal

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
        event = await self._journal.append(
            type_,
            data,
            service=service,
            incident=incident,
            execution=execution,
            actor=actor,
            anchor=anchor,
        )
        for listener in list(self._listeners):
            listener(event)
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
