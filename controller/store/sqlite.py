"""The store of one controller host: journal and leadership in a state directory, on SQLite (S1, S4, S5)."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from controller.store.chain import EMPTY, Head
from controller.store.database import connect_lease
from controller.store.failures import again
from controller.store.files import StateFiles
from controller.store.index import EventIndex
from controller.store.leadership import Leadership, lost_to, owned_by, read_leadership
from controller.store.lock import StateLock
from controller.store.opening import Opening, draft
from controller.store.reader import read_events, read_owner
from controller.store.records import Draft
from controller.store.scan import scan_files
from controller.store.session import Session
from controller.store.syslog import DEV_LOG, SystemLog
from controller.store.writer import WriterThread
from model.errors import BcmError, JournalError, JournalFullError, LeadershipLostError
from model.events import Event
from model.ports import Clock

if TYPE_CHECKING:
    from controller.store.signing import HostKey


CLOSE_S: Final = 5.0  # a disk that hangs must not hold up a stop; the thread dies with the process


class StoreState(StrEnum):
    """What this process may do with the journal."""

    OWNER = "owner"
    WAITING = "waiting"  # holds the lock, but the disk is full: the epoch is taken with the next append
    OBSERVER = "observer"  # another living process owns it
    LOST = "lost"  # another has taken over
    BROKEN = "broken"  # can't be trusted or can't be written: `problem` says why
    CLOSED = "closed"


class SqliteStore:
    """Implements the ports Journal and Lease. Open it with `SqliteStore.open`."""

    def __init__(self, files: StateFiles, lock: StateLock, clock: Clock) -> None:
        self._files = files
        self._lock = lock
        self._clock = clock
        self._index = EventIndex()
        self._follow_lock = threading.Lock()
        self._session: Session | None = None
        self._writer: WriterThread | None = None
        self._lease: sqlite3.Connection | None = None
        self._lease_lock = threading.Lock()
        self._state = StoreState.BROKEN  # without a session
        self._refusal: BcmError | None = None
        self._last_error: BcmError | None = None
        self._closed = False
        self._key: HostKey | None = None

    @classmethod
    def open(
        cls,
        state_dir: Path,
        *,
        owner: str,
        clock: Clock,
        take_over: bool = False,
        reason: str = "",
        syslog: Path = DEV_LOG,
    ) -> SqliteStore:
        """Own the state directory, or observe it where that can't be.

        Blocks: reads and checks the whole journal. owner: the controller's name, for people. take_over:
        break-glass against a frozen owner, which loses its leadership at its next append. With another living
        owner, a broken journal or a full disk the store only reads: `held()` is False, `problem` says why and
        `append` raises it. Raises JournalError if the directory itself can't be used (path, modes, owner).
        """
        files = StateFiles(state_dir)
        files.prepare()
        lock = StateLock(files.lock)
        store = cls(files, lock, clock)
        try:
            free = lock.acquire()
        except OSError as error:
            raise JournalError(f"the state lock can't be opened: {error}", where=str(files.lock)) from error
        if free or take_over:
            store._own(owner, Opening(take_over=not free, reason=reason), SystemLog(syslog))
        else:
            store._state = StoreState.OBSERVER
            store._refusal = owned_by(store._owner(), files)
        return store

    def _own(self, owner: str, opening: Opening, log: SystemLog) -> None:
        session = Session(
            self._files, owner=owner, times=self._clock, index=self._index, lock=self._lock, log=log
        )
        try:
            session.open(opening)
        except JournalFullError as error:
            self._last_error = error
            self._load_readable()
        except BcmError as error:
            # The lock is given back, so that a person can repair while this process goes on observing.
            session.close()
            self._lock.release()
            self._state = StoreState.BROKEN
            self._refusal = error
            self._load_readable()
            return
        self._session = session
        self._writer = WriterThread(
            partial(self._commit, session), lambda waiting: session.tidy(waiting=waiting), session.close
        )

    def _load_readable(self) -> None:
        events = scan_files(self._files).events
        self._index.extend(e for e in events if e.seq > self._index.last_seq)

    # --- Journal

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
        """As `model.ports.Journal.append`. Waits for as long as the disk takes: see `stalled_s`."""
        if self._closed:
            raise JournalError("the journal is closed", where=str(self._files.dir))
        if self._writer is None:
            raise again(self._refusal or JournalError("the journal is not open", where=str(self._files.dir)))
        record = draft(
            self._clock,
            type_,
            data,
            service=service,
            incident=incident,
            execution=execution,
            actor=actor,
            anchor=anchor,
        )
        return await self._writer.submit(record)

    def _commit(self, session: Session, drafts: Sequence[Draft]) -> list[Event]:
        try:
            events = session.commit(drafts)
        except BcmError as error:
            self._last_error = error
            raise
        self._last_error = None
        return events

    def events(
        self,
        *,
        since_seq: int = 0,
        types: Iterable[str] | None = None,
        service: str | None = None,
        incident: str | None = None,
        execution: str | None = None,
    ) -> Sequence[Event]:
        """As `model.ports.Journal.events`; from memory. May be called from any thread."""
        if self.state in (StoreState.OBSERVER, StoreState.LOST):
            self._follow()
        return self._index.select(
            since_seq=since_seq, types=types, service=service, incident=incident, execution=execution
        )

    def _follow(self) -> None:
        """What the owner has written since."""
        with self._follow_lock, suppress(JournalError):
            self._index.extend(read_events(self._files.dir, since_seq=self._index.last_seq))

    # --- Lease

    @property
    def epoch(self) -> int:
        """The epoch that this process took; of an observer, the one that is in force."""
        if self._session is not None:
            return self._session.epoch
        owner = self._owner()
        return owner.epoch if owner else 0

    def held(self) -> bool:
        """Reads the epoch from the database each time (about 20 µs). False also when the journal refuses to
        be written: without it nothing may be changed (S4)."""
        session = self._session
        if self._closed or session is None or session.refusal is not None or session.epoch == 0:
            return False
        try:
            with self._lease_lock:
                if self._lease is None:
                    self._lease = connect_lease(self._files)
                current = read_leadership(self._lease)
        except (sqlite3.Error, OSError):
            return False
        if current is not None and current.epoch == session.epoch:
            return True
        session.refusal = lost_to(current, session.epoch, self._files)
        return False

    def _owner(self) -> Leadership | None:
        with suppress(JournalError):
            return read_owner(self._files.dir)
        return None

    # --- how it is

    @property
    def state(self) -> StoreState:
        if self._closed:
            return StoreState.CLOSED
        session = self._session
        if session is None:
            return self._state
        if isinstance(session.refusal, LeadershipLostError):
            return StoreState.LOST
        if session.refusal is not None:
            return StoreState.BROKEN
        return StoreState.OWNER if session.epoch else StoreState.WAITING

    @property
    def problem(self) -> str:
        """Why an append would fail, or why the last one did; '' if all is well. For status and pages."""
        refusal = self._session.refusal if self._session else None
        error = refusal or self._refusal or self._last_error
        return str(error) if error else ""

    @property
    def stalled_s(self) -> float:
        """For how long the oldest append has been waiting for the disk, in seconds; 0.0 if none waits."""
        return self._writer.stalled_s if self._writer else 0.0

    @property
    def head(self) -> Head:
        """(seq, hash) of the last record known here."""
        last = self._index.last
        return Head(last.seq, last.hash) if last else EMPTY

    # --- signatures

    def sign_head(self, seq: int, hash_: str) -> str:
        """With the host's Ed25519 key, made at the first use. Raises JournalError."""
        return self._host_key().sign_head(seq, hash_)

    @property
    def public_key(self) -> str:
        """For `controller.store.signing.verify_head`. Raises JournalError."""
        return self._host_key().public

    def _host_key(self) -> HostKey:
        if self._key is None:
            from controller.store.signing import HostKey  # noqa: PLC0415 - 50 ms that only a closing pays

            self._key = HostKey.load_or_create(self._files.dir)
        return self._key

    # --- the end

    def close(self) -> None:
        """Write what waits, anchor the head, give up the lock. May be called twice."""
        if self._closed:
            return
        self._closed = True
        ended = self._writer.close(CLOSE_S) if self._writer else True
        with self._lease_lock:
            if self._lease is not None:
                self._lease.close()
                self._lease = None
        if ended:
            self._lock.release()
