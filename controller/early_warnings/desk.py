"""Looks at everything once a second, beside the decisions, and tells of each warning once.

What is open is in the journal too: a restarted daemon, or the one that leads next, pages nothing twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import structlog

from config.schema import WarningThresholds
from controller import fields
from controller.codes import CODES
from controller.early_warnings.machine import Book, Entry, fold, restored
from controller.early_warnings.scene import Scene
from controller.early_warnings.watcher import Watcher
from controller.early_warnings.words import Change, Cleared, Key, Raised, Sign
from controller.store.hostclock import wall_utc
from model import events as ev
from model.errors import BcmError
from model.events import Event
from model.ports import Clock, Journal

log = structlog.get_logger(__name__)

TICK_S: Final = 1.0
# The loop belongs to the probes: after so many targets others go on.
AT_ONCE: Final = 50
# What was over for less than this has not been over: it is journaled, and nobody is paged again.
QUIET_S: Final = 900.0
# One that an earlier process began, and that nothing is heard of: the longest that a probe takes its time.
RESTORED_KEEP_S: Final = 3600.0
SEVERITY: Final = "warning"


@dataclass(frozen=True, slots=True)
class OpenWarning:
    """One that lasts. since_utc: ISO 8601."""

    key: Key
    sentence: str
    since_utc: str

    def to_json(self) -> dict[str, Any]:
        info = CODES.get(self.key.code)
        return {
            "code": self.key.code,
            "about": self.key.about,
            "part": self.key.part,
            "sentence": self.sentence,
            "meaning": info.sentence if info else "",
            "meaning_zh": info.sentence_zh if info else "",
            "since": self.since_utc,
            "severity": SEVERITY,
        }


@dataclass(frozen=True, slots=True)
class DeskPorts:
    """look: everything that is known now. extra: signs that others give, such as alerts. leads: this
    controller writes the journal. another_leads: somebody else does, and pages."""

    clock: Clock
    journal: Journal
    page: Callable[..., object]
    look: Callable[[], Scene]
    limits: Callable[[], WarningThresholds]
    leads: Callable[[], bool]
    another_leads: Callable[[], bool]
    extra: Callable[[], Iterable[Sign]] = tuple


class WarningDesk:
    """`run` as a task; `open` and `about` for whoever shows it."""

    def __init__(self, ports: DeskPorts) -> None:
        self._ports = ports
        self._watcher = Watcher()
        self._book: Book = {}
        self._synced = False
        self._paged: set[Key] = set()
        self._ended_s: dict[Key, float] = {}

    def open(self) -> list[OpenWarning]:
        """In a fixed order: by what they are about."""
        found = [
            OpenWarning(key, entry.sentence, entry.open_utc)
            for key, entry in self._book.items()
            if entry.open_utc is not None
        ]
        return sorted(found, key=lambda w: (w.key.about, w.key.code, w.key.part))

    def about(self, *subjects: str) -> list[OpenWarning]:
        return [warning for warning in self.open() if warning.key.about in subjects]

    async def run(self) -> None:
        """Until cancelled. A rule that fails is logged once for as long as it fails the same."""
        failing = ""
        while True:
            await self._ports.clock.sleep(TICK_S)
            try:
                await self.turn()
            except BcmError as error:
                log.warning("early warnings", error=str(error))
            except Exception as error:
                if repr(error) != failing:
                    failing = repr(error)
                    log.exception("early warnings failed")

    async def turn(self) -> None:
        """One look, and what follows from it. Raises JournalError; then it is taken up by the next turn."""
        ports = self._ports
        signs = [*await self._signs(), *ports.extra()]
        if not ports.leads():
            self._synced = False
        missed = self._take_over() if ports.leads() and not self._synced else []
        now_utc = wall_utc(ports.clock.wall_s())
        clear_after_s = ports.limits().clear_after
        now_s = ports.clock.monotonic_s()
        self._book, changes = fold(self._book, signs, now_s, now_utc, clear_after_s)
        try:
            for change in (*missed, *changes):
                await self._tell(change, now_s)
        except BcmError:
            self._synced = False
            raise
        self._ended_s = {k: at_s for k, at_s in self._ended_s.items() if now_s - at_s < QUIET_S}

    async def _signs(self) -> list[Sign]:
        signs: list[Sign] = []
        looked_at = 0
        for sign in self._watcher.signs(self._ports.look(), self._ports.limits()):
            if sign is not None:
                if sign.passed or sign.key in self._book:  # what is well and was well changes nothing
                    signs.append(sign)
                continue
            looked_at += 1
            if looked_at % AT_ONCE == 0:
                await asyncio.sleep(0)
        return signs

    def _take_over(self) -> list[Change]:
        """What the journal calls open is open, until a reading says otherwise. Returns what is open and not
        in the journal: it began while another one led, or while nothing could be written."""
        journaled = open_in_journal(self._ports.journal.events(types=(ev.WARNING_RAISED, ev.WARNING_CLEARED)))
        now_s = self._ports.clock.monotonic_s()
        book: dict[Key, Entry] = dict(self._book)
        for key, (sentence, since_utc) in journaled.items():
            entry = book.get(key)
            if entry is None or entry.open_utc is None:
                book[key] = restored(sentence, since_utc, now_s, RESTORED_KEEP_S)
        missed: list[Change] = [
            Raised(key, entry.sentence)
            for key, entry in self._book.items()
            if entry.open_utc is not None and key not in journaled
        ]
        self._book, self._synced = book, True
        self._paged |= set(journaled)
        return missed

    async def _tell(self, change: Change, now_s: float) -> None:
        if not self._ports.leads():
            if not self._ports.another_leads():
                self._page(change, now_s)
            return
        self._page(change, now_s)
        key = change.key
        data = {"code": key.code, "about": key.about, "part": key.part, "sentence": change.sentence}
        match change:
            case Raised():
                more, type_ = {"severity": SEVERITY}, ev.WARNING_RAISED
            case Cleared(why=why):
                more, type_ = {"why": why}, ev.WARNING_CLEARED
        await self._ports.journal.append(type_, {**data, **more}, service=service_of(key))

    def _page(self, change: Change, now_s: float) -> None:
        key = change.key
        if isinstance(change, Raised):
            if key in self._paged or key in self._ended_s:
                return
            self._paged.add(key)
            info = CODES.get(key.code)
            detail = (
                f"{key.about}. {info.sentence if info else ''} `bcm-failover status` shows how it goes on."
            )
            self._ports.page(
                SEVERITY, f"{key.code}: {change.sentence}", detail=detail, service=service_of(key)
            )
            return
        self._ended_s[key] = now_s
        if key in self._paged:
            self._paged.discard(key)
            self._ports.page(
                "info",
                f"over: {key.code}: {change.why}",
                detail=f"{key.about}: it was: {change.sentence}",
                service=service_of(key),
            )


def service_of(key: Key) -> str | None:
    kind, _, rest = key.about.partition("/")
    return rest.partition("/")[0] if kind == "service" else None


def open_in_journal(events: Iterable[Event]) -> dict[Key, tuple[str, str]]:
    """Key → (sentence, since when) of what was raised and not cleared."""
    found: dict[Key, tuple[str, str]] = {}
    for event in events:
        data = event.data
        key = Key(fields.text(data, "code"), fields.text(data, "about"), fields.text(data, "part"))
        if event.type == ev.WARNING_RAISED:
            found[key] = fields.text(data, "sentence"), event.wall_utc
        else:
            found.pop(key, None)
    return found
