"""The hash chain, checked row by row. Pure: rows in, problems out.

A chain shows edits, swaps and gaps. It can't show that its tail was cut off, or that all of it was computed
anew; for that there is the anchor.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Final

from controller.store.records import decode, text_hash
from model.canonical import canonical_json
from model.events import GENESIS_HASH, JOURNAL_RESTARTED, Event

MAX_PROBLEMS: Final = 20  # a person reads the first ones; the rest follow from them


@dataclass(frozen=True, slots=True)
class Head:
    """The last record: where the next one joins."""

    seq: int
    hash: str


EMPTY: Final = Head(0, GENESIS_HASH)


@dataclass(slots=True)
class ChainCheck:
    """Feed it the rows in the order of the database.

    head: the last row seen. last_good: the last one before the first problem. epoch: the highest seen.
    """

    head: Head = EMPTY
    last_good: Head = EMPTY
    epoch: int = 0
    problems: list[str] = field(default_factory=list)
    problem_count: int = 0

    def report(self, problem: str) -> None:
        self.problem_count += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)

    def feed(self, seq: int, text: str, hash_: str, *, strict: bool = False) -> Event | None:
        """Check the next row. The event, or None if it can't be read.

        strict: also that the text is canonical, so that whoever has only the fields gets the same hash.
        """
        event = self._decode(seq, text, hash_)
        if event is not None:
            self._check_place(event)
            if strict and canonical_json(json.loads(text)) != text.encode():
                self.report(f"record {seq}: its text is not canonical JSON")
        self.head = Head(seq, hash_)
        if self.problem_count == 0:
            self.last_good = self.head
        return event

    def _decode(self, seq: int, text: str, hash_: str) -> Event | None:
        found = text_hash(text.encode("utf-8", "surrogatepass"))
        if found != hash_:
            self.report(f"record {seq}: its content was changed (hash {found[:12]}…, stored {hash_[:12]}…)")
        try:
            event = decode(text, hash_)
        except (ValueError, RecursionError) as error:
            self.report(f"record {seq}: can't be read: {error}")
            self._check_follows(seq)
            return None
        if event.seq != seq:
            self.report(f"row {seq}: holds record {event.seq}: records were moved")
        self._check_follows(seq)
        return event

    def _check_follows(self, seq: int) -> None:
        expected = self.head.seq + 1
        if self.head is not EMPTY and seq != expected:
            self.report(f"records {expected} to {seq - 1}: missing")

    def _check_place(self, event: Event) -> None:
        starts = self.head is EMPTY
        if event.type == JOURNAL_RESTARTED and not starts:
            self.report(f"record {event.seq}: begins a new journal in the middle of this one")
        elif starts and event.seq != 1 and event.type != JOURNAL_RESTARTED:
            self.report(f"records 1 to {event.seq - 1}: missing")
        elif event.prev != self.head.hash:
            self.report(f"record {event.seq}: does not follow the one before it (prev {event.prev[:12]}…)")
        if event.epoch < self.epoch:
            self.report(f"record {event.seq}: epoch {event.epoch} after epoch {self.epoch}")
        self.epoch = max(self.epoch, event.epoch)
