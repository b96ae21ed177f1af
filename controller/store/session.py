"""The owner's hold on the journal: one transaction per batch, in which leadership and chain are checked too.

The epoch is compared inside the transaction that inserts, under SQLite's write lock: an owner that was frozen
between check and act finds a newer epoch there and writes nothing (S4).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from controller.store import hostclock
from controller.store.anchor import AnchorFile, read_anchors
from controller.store.chain import EMPTY, Head
from controller.store.database import connect_writer, head_row, rows_after
from controller.store.failures import again, broken, explain, is_lasting
from controller.store.files import StateFiles
from controller.store.hostclock import Times
from controller.store.index import EventIndex
from controller.store.leadership import Leadership, lost_to, read_leadership, write_leadership
from controller.store.lock import StateLock
from controller.store.opening import Opening
from controller.store.records import Draft, Writer, seal
from controller.store.scan import scan_connection, scan_files
from controller.store.syslog import SystemLog
from model.errors import JournalError, LeadershipLostError
from model.events import Event

_Result = TypeVar("_Result")

_CHECKPOINT_IDLE = 256  # commits between checkpoints while nobody waits: about 1 MB of log
_CHECKPOINT_BUSY = 2048  # with appends coming all the time, so that the log stays below about 20 MB


class Session:
    """Not thread-safe: used by the opener first and by the writer's thread afterwards.

    epoch: the one taken, 0 before. refusal: the error that every further append gets, or None.
    """

    def __init__(
        self,
        files: StateFiles,
        *,
        owner: str,
        times: Times,
        index: EventIndex,
        lock: StateLock,
        log: SystemLog,
    ) -> None:
        self.epoch = 0
        self.refusal: JournalError | LeadershipLostError | None = None
        self._files = files
        self._owner = owner
        self._times = times
        self._index = index
        self._lock = lock
        self._log = log
        self._anchor = AnchorFile(files)
        self._connection: sqlite3.Connection | None = None
        self._inode: tuple[int, int] = (0, 0)
        self._head: Head = EMPTY
        self._writer = Writer(owner, hostclock.boot_id(), 0)
        self._unsaved = 0
        self._seed = EMPTY
        self._opening = Opening()

    # --- opening

    def open(self, opening: Opening, *, seed: Head = EMPTY, seed_epoch: int = 0) -> None:
        """Read and check the journal, then take the next epoch. Raises JournalError, JournalFullError.

        After a JournalFullError the next `commit` tries again. seed, seed_epoch: where an empty journal
        begins to count, for one that takes the place of a broken one.
        """
        self._opening = opening
        self._seed = seed
        self._writer = Writer(self._owner, self._writer.boot_id, seed_epoch)
        self._guarded(self._open)

    def _open(self) -> sqlite3.Connection:
        connection = self._connect()
        if not self._anchor.is_open:
            self._anchor.open(self._head.seq, self._head.hash, hostclock.wall_utc(self._times.wall_s()))
        if self.epoch == 0:
            self._transact(connection, [], take=True)
        return connection

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            # Before the connection: creating the database must not hide that it had been taken away.
            if self._files.restarting.exists() or not self._files.database.exists():
                missing = scan_files(self._files).problems
                if missing:
                    raise broken(missing, self._files)
            anchors = read_anchors(self._files)
            connection = connect_writer(self._files)
            try:
                scan = scan_connection(connection, anchors)
                if scan.problems:
                    raise broken(scan.problems, self._files)
                status = self._files.database.stat()
            except BaseException:
                connection.close()
                raise
            self._inode = (status.st_dev, status.st_ino)
            self._head = scan.check.head if scan.records else self._seed
            self._index.extend(e for e in scan.events if e.seq > self._index.last_seq)
            self._connection = connection
        return self._connection

    # --- writing

    def commit(self, drafts: Sequence[Draft]) -> list[Event]:
        """All of them in one transaction and one sync; in the order given.

        Raises LeadershipLostError, JournalFullError or JournalError; then none of them is in the journal.
        """
        if self.refusal is not None:
            raise again(self.refusal)
        return self._guarded(lambda: self._commit(drafts))

    def _commit(self, drafts: Sequence[Draft]) -> list[Event]:
        return self._transact(self._open(), drafts, take=False)

    def _transact(
        self, connection: sqlite3.Connection, drafts: Sequence[Draft], *, take: bool
    ) -> list[Event]:
        self._check_file()
        connection.execute("BEGIN IMMEDIATE")
        try:
            if take:
                writer, drafts = self._take_epoch(connection)
            else:
                writer = self._writer
                self._check_leadership(connection)
            self._check_head(connection)
            self._anchor.ensure_room()
            head, events = self._insert(connection, drafts, writer)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise
        self._head, self._writer, self.epoch = head, writer, writer.epoch
        self._index.extend(events)
        self._anchor_head(events[-1], sync=take or any(d.anchor for d in drafts))
        self._unsaved += 1
        return events

    def _insert(
        self, connection: sqlite3.Connection, drafts: Sequence[Draft], writer: Writer
    ) -> tuple[Head, list[Event]]:
        head = self._head
        events = []
        for draft in drafts:
            event, text = seal(draft, writer, seq=head.seq + 1, prev=head.hash)
            connection.execute(
                "INSERT INTO journal (seq, record, hash) VALUES (?, ?, ?)", (event.seq, text, event.hash)
            )
            events.append(event)
            head = Head(event.seq, event.hash)
        return head, events

    def _anchor_head(self, event: Event, *, sync: bool) -> None:
        try:
            self._anchor.put(event.seq, event.hash, event.wall_utc, sync=sync)
        except OSError as error:
            self.refusal = JournalError(
                f"record {event.seq} is in the journal, but its anchor can't be written: {error}",
                where=str(self._files.anchor),
                hint="check the disk, then restart the daemon; an intent without a result is reconciled then",
            )
            raise self.refusal from error
        if sync:
            self._log.send(f"journal anchor seq={event.seq} hash={event.hash} epoch={event.epoch}")

    # --- checks inside the transaction

    def _check_file(self) -> None:
        try:
            status = self._files.database.stat()
        except FileNotFoundError:
            status = None
        if status is None or (status.st_dev, status.st_ino) != self._inode:
            raise broken(["journal.db was moved or replaced under the running daemon"], self._files)

    def _check_leadership(self, connection: sqlite3.Connection) -> None:
        current = read_leadership(connection)
        if current is None or current.epoch != self.epoch:
            raise lost_to(current, self.epoch, self._files)

    def _check_head(self, connection: sqlite3.Connection) -> None:
        row = head_row(connection)
        if row is not None and row != (self._head.seq, self._head.hash):
            problem = (
                f"its last record is {row[0]}; this owner's was {self._head.seq}: it was changed from outside"
            )
            raise broken([problem], self._files)
        if row is None and self._index.last_seq:
            raise broken(["all records are gone: it was changed from outside"], self._files)

    def _take_epoch(self, connection: sqlite3.Connection) -> tuple[Writer, list[Draft]]:
        """The next epoch and the record that says so. A live owner may have written since the scan."""
        previous = read_leadership(connection)
        self._catch_up(connection)
        epoch = max(previous.epoch if previous else 0, self._writer.epoch) + 1
        if self._opening.take_over:
            self._lock.replace()
        draft = self._opening.draft(self._times, self._owner, previous)
        write_leadership(
            connection, Leadership(epoch, self._owner, os.getpid(), self._writer.boot_id, draft.wall_utc)
        )
        if self._opening.take_over:
            # The old owner may still write the line of its last record: into its own file, not over ours.
            self._anchor.rotate()
        return Writer(self._owner, self._writer.boot_id, epoch), [draft]

    def _catch_up(self, connection: sqlite3.Connection) -> None:
        row = head_row(connection)
        if row is None or row[0] == self._head.seq:
            return
        if next(rows_after(connection, self._head.seq), None) is None:
            return  # shorter than it was: `_check_head` says so
        scan = scan_connection(connection, read_anchors(self._files))
        if scan.problems:
            raise broken(scan.problems, self._files)
        self._head = scan.check.head
        self._index.extend(e for e in scan.events if e.seq > self._index.last_seq)

    # --- keeping house

    def tidy(self, *, waiting: bool) -> None:
        """Move the write-ahead log into the database, at a moment when nobody waits for an append."""
        if self._connection is None or self._unsaved < (_CHECKPOINT_BUSY if waiting else _CHECKPOINT_IDLE):
            return
        self._unsaved = 0
        try:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            # A full disk is no matter here: the log keeps what it has, and the next time tries again.
            if is_lasting(error, self._files):
                self.refusal = explain(error, self._files)

    def close(self) -> None:
        """The last anchor line is brought to the disk."""
        with suppress(OSError):
            self._anchor.sync()
        self._anchor.close()
        self._log.close()
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _guarded(self, work: Callable[[], _Result]) -> _Result:
        """Errors as the journal's users know them; those that last are kept as the refusal."""
        try:
            return work()
        except (sqlite3.Error, OSError) as error:
            explained = explain(error, self._files)
            if is_lasting(error, self._files):
                self.refusal = explained
            raise explained from error
        except (JournalError, LeadershipLostError) as error:
            self.refusal = error
            raise
