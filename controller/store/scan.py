"""A whole journal read and judged: the chain, the anchors and the leadership row against each other."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.store.anchor import NO_ANCHORS, Anchors, read_anchors
from controller.store.chain import ChainCheck
from controller.store.database import reading, rows_after
from controller.store.files import StateFiles
from controller.store.leadership import Leadership, read_leadership
from model.events import Event


@dataclass(slots=True)
class Scan:
    """What there is, and what is wrong with it. `events`: those that can be read, even of a bad journal."""

    check: ChainCheck = field(default_factory=ChainCheck)
    events: list[Event] = field(default_factory=list)
    anchors: Anchors = NO_ANCHORS
    leadership: Leadership | None = None
    records: int = 0

    @property
    def problems(self) -> list[str]:
        shown = self.check.problems
        hidden = self.check.problem_count - len(shown)
        return [*shown, f"and {hidden} more problems"] if hidden else list(shown)

    @property
    def highest_seq(self) -> int:
        """The highest number ever given out, as far as anything here knows."""
        anchored = self.anchors.last.seq if self.anchors.last else 0
        return max([self.check.head.seq, anchored, *(e.seq for e in self.events[-1:])])

    @property
    def highest_epoch(self) -> int:
        return max(self.check.epoch, self.leadership.epoch if self.leadership else 0)


def scan_files(files: StateFiles, *, strict: bool = False) -> Scan:
    """Reads only. Never raises for what is in the files: that is a problem of the scan."""
    if files.restarting.exists():
        scan = Scan()
        scan.check.report("a repair of this journal was interrupted: run it again")
        return scan
    # The anchors first: a daemon that goes on writing meanwhile can only make the journal longer than them.
    anchors = read_anchors(files)
    if not files.database.exists():
        scan = Scan(anchors=anchors)
        if anchors.lines or files.anchor.exists():
            scan.check.report("journal.db is missing, though there is an anchor file")
        return scan
    try:
        with reading(files) as connection:
            return scan_connection(connection, anchors, strict=strict)
    except (sqlite3.Error, OSError) as error:
        scan = Scan(anchors=anchors)
        scan.check.report(f"journal.db can't be read: {error}")
        return scan


def scan_connection(connection: sqlite3.Connection, anchors: Anchors, *, strict: bool = False) -> Scan:
    """All rows over one connection, in one snapshot: that of the open transaction, or one of its own."""
    scan = Scan(anchors=anchors)
    hashes = _wanted_hashes(anchors)
    own = not connection.in_transaction
    try:
        if own:
            connection.execute("BEGIN")
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() != (0,):
            _read_rows(connection, scan, hashes, strict=strict)
            scan.leadership = read_leadership(connection)
        if strict:
            _integrity(connection, scan)
    except sqlite3.Error as error:
        scan.check.report(f"journal.db can't be read after record {scan.check.head.seq}: {error}")
    finally:
        if own and connection.in_transaction:
            connection.execute("ROLLBACK")
    _compare_anchors(scan, hashes)
    _compare_leadership(scan)
    return scan


def _wanted_hashes(anchors: Anchors) -> dict[int, str | None]:
    return dict.fromkeys((a.seq for a in anchors.lines), None)


def _read_rows(
    connection: sqlite3.Connection, scan: Scan, hashes: dict[int, str | None], *, strict: bool
) -> None:
    for seq, record, hash_ in rows_after(connection, 0):
        event = scan.check.feed(seq, record, hash_, strict=strict)
        if seq in hashes:
            hashes[seq] = hash_
        scan.records += 1
        if event is not None:
            scan.events.append(event)


def _integrity(connection: sqlite3.Connection, scan: Scan) -> None:
    for (line,) in connection.execute("PRAGMA integrity_check(5)"):
        if line != "ok":
            scan.check.report(f"SQLite's integrity check: {line}")


def _compare_anchors(scan: Scan, hashes: Mapping[int, str | None]) -> None:
    for problem in scan.anchors.problems:
        scan.check.report(problem)
    last = scan.check.head.seq
    first = scan.events[0].seq if scan.events else 1
    ahead = [a for a in scan.anchors.lines if a.seq > last]
    if ahead:
        newest = max(ahead, key=lambda a: a.seq)
        scan.check.report(
            f"records {last + 1} to {newest.seq}: cut off; {newest.where} anchored record {newest.seq} "
            f"at {newest.wall_utc}"
        )
    for anchor in scan.anchors.lines:
        found = hashes.get(anchor.seq)
        if first <= anchor.seq <= last and found is not None and found != anchor.hash:
            scan.check.report(f"record {anchor.seq}: is not the one that {anchor.where} anchored")
    if scan.records and not scan.anchors.lines:
        scan.check.report("the anchor file is missing or empty, though the journal has records")


def _compare_leadership(scan: Scan) -> None:
    row = scan.leadership
    if scan.records and row is None:
        scan.check.report("the leadership row is missing")
    elif row is not None and row.epoch < scan.check.epoch:
        scan.check.report(f"the leadership row was set back to epoch {row.epoch}; it was {scan.check.epoch}")
