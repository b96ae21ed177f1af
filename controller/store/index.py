"""All events in memory, decoded once, with the places of each type, service, incident and execution.

The daemon asks often and for little; a journal of 100,000 events takes about 100 MB here and a question
touches only the shortest of the lists that it names.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence

from model.events import Event


class EventIndex:
    """Append-only. Safe between the writer's thread and readers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: list[Event] = []
        self._seqs: list[int] = []
        self._by_type: defaultdict[str, list[int]] = defaultdict(list)
        self._by_service: defaultdict[str, list[int]] = defaultdict(list)
        self._by_incident: defaultdict[str, list[int]] = defaultdict(list)
        self._by_execution: defaultdict[str, list[int]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self._events)

    @property
    def last_seq(self) -> int:
        return self._seqs[-1] if self._seqs else 0

    @property
    def last(self) -> Event | None:
        return self._events[-1] if self._events else None

    def extend(self, events: Iterable[Event]) -> None:
        with self._lock:
            for event in events:
                place = len(self._events)
                self._events.append(event)
                self._seqs.append(event.seq)
                self._by_type[event.type].append(place)
                if event.service is not None:
                    self._by_service[event.service].append(place)
                if event.incident is not None:
                    self._by_incident[event.incident].append(place)
                if event.execution is not None:
                    self._by_execution[event.execution].append(place)

    def select(
        self,
        *,
        since_seq: int = 0,
        types: Iterable[str] | None = None,
        service: str | None = None,
        incident: str | None = None,
        execution: str | None = None,
    ) -> list[Event]:
        """Events after `since_seq` (exclusive) that match every filter given, in order."""
        wanted = None if types is None else frozenset(types)
        with self._lock:
            start = bisect_right(self._seqs, since_seq)
            places = self._shortest(wanted, service, incident, execution)
            if places is None:
                return self._events[start:]
            candidates = [self._events[p] for p in places[bisect_right(places, start - 1) :]]
        return [
            event
            for event in candidates
            if (wanted is None or event.type in wanted)
            and (service is None or event.service == service)
            and (incident is None or event.incident == incident)
            and (execution is None or event.execution == execution)
        ]

    def _shortest(
        self, types: frozenset[str] | None, service: str | None, incident: str | None, execution: str | None
    ) -> Sequence[int] | None:
        """Places that contain all matches; None if there is no filter."""
        choices: list[list[int]] = []
        for table, key in (
            (self._by_service, service),
            (self._by_incident, incident),
            (self._by_execution, execution),
        ):
            if key is not None:
                choices.append(table.get(key, []))
        shortest = min(choices, key=len, default=None)
        if types is not None:
            lists = [self._by_type[t] for t in sorted(types) if t in self._by_type]
            if shortest is None or sum(map(len, lists)) < len(shortest):
                return sorted(place for places in lists for place in places)
        return shortest
