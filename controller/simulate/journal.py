"""The journal and the leadership of a simulated ops host: one disk, which outlives the controllers on it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from controller.simulate.loop import VirtualLoop
from controller.simulate.timeline import Rhythm, Timeline
from controller.store.records import Draft, Writer, seal, snapshot
from controller.supervisor.ticks import TICK_S
from model import events as ev
from model.errors import JournalFullError, LeadershipLostError
from model.events import GENESIS_HASH, Event

FSYNC_S: Final = 0.0004
# The world begins at this moment on the wall.
WALL_S: Final = 1_767_225_600.0


def wall_utc(wall_s: float) -> str:
    return datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class SimulatedStore:
    """What is on the disk. sealed: every record with its true hash; without, hashes are only numbers that
    follow each other, which is a fifth of the cost and changes nothing that is decided."""

    def __init__(self, timeline: Timeline, *, sealed: bool) -> None:
        self.timeline = timeline
        self.sealed = sealed
        self.epoch = 0
        self.full = False
        self.slow_s = 0.0
        self.listeners: list[Callable[[Event], None]] = []
        self.all: list[Event] = []
        self._of_service: dict[str | None, list[Event]] = defaultdict(list)
        self._of_type: dict[str, list[Event]] = defaultdict(list)
        self._texts: list[str] = []

    def write(self, draft: Draft, writer: Writer) -> Event:
        """On disk. Raises LeadershipLostError, JournalFullError."""
        if writer.epoch != self.epoch:
            raise LeadershipLostError(f"epoch {writer.epoch} is over: {self.epoch} has been taken")
        if self.full:
            raise JournalFullError("no space left on the journal's disk")
        seq = len(self.all) + 1
        prev = self.all[-1].hash if self.all else GENESIS_HASH
        if self.sealed:
            event, text = seal(draft, writer, seq=seq, prev=prev)
            self._texts.append(text)
        else:
            event = _plain(draft, writer, seq, prev)
        self.all.append(event)
        self._of_service[event.service].append(event)
        self._of_type[event.type].append(event)
        for listener in self.listeners:
            listener(event)
        return event

    def read(
        self,
        since_seq: int,
        types: Iterable[str] | None,
        service: str | None,
        incident: str | None,
        execution: str | None,
    ) -> Sequence[Event]:
        wanted = None if types is None else frozenset(types)
        found: Sequence[Event]
        if wanted is not None and len(wanted) == 1:
            found = self._of_type[next(iter(wanted))]
        elif service is not None:
            found = self._of_service[service]
        else:
            found = self.all
        return [
            e
            for e in found
            if e.seq > since_seq
            and (wanted is None or e.type in wanted)
            and (service is None or e.service == service)
            and (incident is None or e.incident == incident)
            and (execution is None or e.execution == execution)
        ]

    def text(self) -> str:
        """The whole journal as it lies on the disk, one record a line, each with its hash."""
        lines = zip(self._texts, (e.hash for e in self.all), strict=True)
        return "".join(f"{text}\t{hash_}\n" for text, hash_ in lines)


def _plain(draft: Draft, writer: Writer, seq: int, prev: str) -> Event:
    return Event(
        seq=seq,
        epoch=writer.epoch,
        writer=writer.owner,
        boot_id=writer.boot_id,
        mono_ns=draft.mono_ns,
        wall_utc=draft.wall_utc,
        wall_offset_us=None,
        type=draft.type,
        v=1,
        service=draft.service,
        incident=f"INC-{seq}" if draft.incident == "new" else draft.incident,
        execution=f"EXE-{seq}" if draft.execution == "new" else draft.execution,
        actor=draft.actor,
        data=draft.data,
        prev=prev,
        hash=f"{seq:064x}",
    )


# The one task of a supervisor that sleeps by a rhythm.
_TICKS: Final = "ticks-"
_TICK: Final = Rhythm(TICK_S, looks=True)


def _end_of(slept: asyncio.Future[None]) -> None:
    if not slept.done():
        slept.set_result(None)


class SimulatedClock:
    """model.ports.Clock of one process. wall_offset_s: jumps of the clock on the wall."""

    def __init__(self, loop: VirtualLoop, timeline: Timeline) -> None:
        self._loop = loop
        self._timeline = timeline
        self.wall_offset_s = 0.0

    def monotonic_s(self) -> float:
        return self._loop.time()

    def wall_s(self) -> float:
        return WALL_S + self._timeline.now_s + self.wall_offset_s

    async def sleep(self, seconds: float) -> None:
        slept: asyncio.Future[None] = self._loop.create_future()
        timer = self._loop.call_later(seconds, _end_of, slept)
        task = asyncio.current_task(self._loop)
        if timer.entry is not None and task is not None and task.get_name().startswith(_TICKS):
            timer.entry.rhythm = _TICK
        try:
            await slept
        finally:
            timer.cancel()


class SimulatedJournal:
    """model.ports.Journal and Lease of one controller. Taking it takes the leadership from whoever had it."""

    def __init__(
        self, store: SimulatedStore, loop: VirtualLoop, clock: SimulatedClock, owner: str, boot_id: str
    ) -> None:
        self._store = store
        self._loop = loop
        self._clock = clock
        store.epoch += 1
        self._writer = Writer(owner, boot_id, store.epoch)

    @property
    def epoch(self) -> int:
        return self._writer.epoch

    def held(self) -> bool:
        return self._store.epoch == self._writer.epoch and not self._store.full

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
        draft = Draft(
            type_,
            snapshot(data) if self._store.sealed else dict(data),
            service,
            incident,
            execution,
            actor,
            anchor,
            int(self._clock.monotonic_s() * 1e9),
            wall_utc(self._clock.wall_s()) if self._store.sealed or type_ in _WALL_READ else _SOME_WALL,
            None,
        )
        written: asyncio.Future[Event] = self._loop.create_future()
        takes_s = FSYNC_S + self._store.slow_s
        self._store.timeline.after(takes_s, lambda: self._loop.deliver(self._write, draft, written))
        return await written

    def _write(self, draft: Draft, written: asyncio.Future[Event]) -> None:
        """The thread that writes stands still with its process, and dies with it."""
        try:
            event = self._store.write(draft, self._writer)
        except (LeadershipLostError, JournalFullError) as error:
            if not written.done():
                written.set_exception(error)
        else:
            if not written.done():
                written.set_result(event)

    def events(
        self,
        *,
        since_seq: int = 0,
        types: Iterable[str] | None = None,
        service: str | None = None,
        incident: str | None = None,
        execution: str | None = None,
    ) -> Sequence[Event]:
        return self._store.read(since_seq, types, service, incident, execution)


# Records whose wall clock somebody reads. To write it for all costs more than the rest of a record.
_WALL_READ: Final = frozenset(
    {ev.INCIDENT_OPENED, ev.EXECUTION_OPENED, ev.HIGH_WATER, ev.SERVICE_PAUSED, ev.APPROVAL_REQUESTED}
)
_SOME_WALL: Final = wall_utc(WALL_S)
