"""A journal and a lease in memory, which know epochs and can fail or die at any record.

For tests of those who write to a journal; the store itself is tested on real disks in tests/store.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from model.canonical import canonical_json
from model.errors import JournalFullError, LeadershipLostError
from model.events import GENESIS_HASH, Event


class ProcessDiedError(BaseException):
    """The process is gone: nothing that it was about to do happens. No `except Exception` sees it."""


@dataclass
class MemoryStore:
    """What survives the processes: the records and the epoch. seed: tells the hashes of two stores apart."""

    events: list[Event] = field(default_factory=list)
    epoch: int = 0
    seed: str = ""

    def open(self, *, boot_id: str = "boot-1") -> MemoryJournal:
        """A process takes over: everyone before it has lost its leadership."""
        self.epoch += 1
        return MemoryJournal(self, self.epoch, boot_id)

    def types(self) -> list[str]:
        return [event.type for event in self.events]

    def of(self, type_: str) -> list[Event]:
        return [event for event in self.events if event.type == type_]


# Called with the number of the append (from 1) and its type; may raise.
Hook = Callable[[int, str], None]


class MemoryJournal:
    """Journal and Lease of one process. before, after: hooks around the moment when a record is on disk."""

    def __init__(self, store: MemoryStore, epoch: int, boot_id: str) -> None:
        self.store = store
        self._epoch = epoch
        self._boot_id = boot_id
        self.appends = 0
        self.before: Hook = lambda _number, _type: None
        self.after: Hook = lambda _number, _type: None
        self.mono_ns: Callable[[], int] = time.monotonic_ns
        self.full = False
        self.dead = False
        self.held_answers: list[bool] = []
        """Answers of the next calls of `held`, before it tells the truth."""

    @property
    def epoch(self) -> int:
        return self._epoch

    def held(self) -> bool:
        if self.held_answers:
            return self.held_answers.pop(0)
        return self.store.epoch == self._epoch

    def die(self) -> None:
        self.dead = True
        raise ProcessDiedError

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
        self.appends += 1
        number = self.appends
        if self.dead:
            raise ProcessDiedError
        self.before(number, type_)
        await asyncio.sleep(0)
        if self.dead:
            raise ProcessDiedError
        if self.store.epoch != self._epoch:
            raise LeadershipLostError("a newer epoch has been taken")
        if self.full:
            raise JournalFullError("no space left on the journal's disk")
        canonical_json(data)  # refuses floats
        seq = len(self.store.events) + 1
        event = Event(
            seq=seq,
            epoch=self._epoch,
            writer="test",
            boot_id=self._boot_id,
            mono_ns=self.mono_ns(),
            wall_utc="2026-01-01T00:00:00.000000Z",
            wall_offset_us=None,
            type=type_,
            v=1,
            service=service,
            incident=f"INC-{seq}" if incident == "new" else incident,
            execution=f"EXE-{seq}" if execution == "new" else execution,
            actor=actor,
            data=dict(data),
            prev=GENESIS_HASH,
            hash=hashlib.sha256(f"{self.store.seed} {seq}".encode()).hexdigest(),
        )
        self.store.events.append(event)
        self.after(number, type_)
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
        wanted = None if types is None else set(types)
        return [
            e
            for e in self.store.events
            if e.seq > since_seq
            and (wanted is None or e.type in wanted)
            and (service is None or e.service == service)
            and (incident is None or e.incident == incident)
            and (execution is None or e.execution == execution)
        ]
