"""What is journaled of alerts: that they began and ended, and no more than a few a minute.

Records are written behind the push: whoever pushes is answered at once, whatever the journal's disk does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import structlog

from controller.alerts import Alert, AlertBox, Change, Taken, shown
from model import events as ev
from model.errors import BcmError
from model.ports import Clock

# A storm of alerts is no reason to fill the journal: a record each second is enough to follow one.
MOST_RECORDS: Final = 60
PER_S: Final = 60.0
_MOST_WAITING: Final = 500
_MOST_LABELS, _MOST_LABEL = 20, 100

# type, data, service: appends a record, with the service's open incident.
Append = Callable[[str, dict[str, Any], str], Awaitable[Any]]

log = structlog.get_logger(__name__)


class AlertDesk:
    """Takes alerts into the box and writes what changed. `unrecorded`: changes that found no room since the
    last record; the next one says how many."""

    def __init__(self, box: AlertBox, clock: Clock, append: Append) -> None:
        self.box = box
        self.unrecorded = 0
        self._clock = clock
        self._append = append
        self._waiting: deque[Change] = deque()
        self._news = asyncio.Event()
        self._written_s: deque[float] = deque(maxlen=MOST_RECORDS)

    def take(self, alerts: Iterable[Alert]) -> Taken:
        taken = self.box.take(alerts)
        self.note(taken.changes)
        return taken

    def note(self, changes: Iterable[Change]) -> None:
        """To be written."""
        for change in changes:
            if len(self._waiting) >= _MOST_WAITING:
                self.unrecorded += 1
            else:
                self._waiting.append(change)
        if self._waiting:
            self._news.set()

    async def run(self) -> None:
        """Until cancelled. What can't be written is left out, and counted."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                await self._write(self._waiting.popleft())

    async def _write(self, change: Change) -> None:
        now_s = self._clock.monotonic_s()
        if len(self._written_s) == MOST_RECORDS and now_s - self._written_s[0] < PER_S:
            self.unrecorded += 1
            return
        data = record_of(change)
        if self.unrecorded:
            data["unrecorded"] = self.unrecorded
        type_ = ev.ALERT_RECEIVED if change.ended is None else ev.ALERT_RESOLVED
        try:
            await self._append(type_, data, change.firing.meaning.service)
        except BcmError as error:
            self.unrecorded += 1
            log.warning("an alert could not be recorded", error=error.what)
        else:
            self.unrecorded = 0
            self._written_s.append(now_s)


def record_of(change: Change) -> dict[str, Any]:
    """The data of its event."""
    alert, meaning = change.firing.alert, change.firing.meaning
    labels = list(alert.labels.items())[:_MOST_LABELS]
    data: dict[str, Any] = {
        "fingerprint": alert.fingerprint,
        "name": alert.name,
        "says": meaning.says,
        "summary": alert.summary,
        "labels": {shown(name, _MOST_LABEL): shown(value, _MOST_LABEL) for name, value in labels},
    }
    return data if change.ended is None else {**data, "why": change.ended}
