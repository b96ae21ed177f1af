"""A new journal in place of one that can't be trusted. Nothing is deleted: the old files are evidence."""

from __future__ import annotations

import hashlib
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controller.store.chain import Head
from controller.store.database import reading, rows_after
from controller.store.files import StateFiles, sync_directory
from controller.store.hostclock import HostTimes
from controller.store.index import EventIndex
from controller.store.lock import StateLock
from controller.store.opening import Opening
from controller.store.reader import read_owner
from controller.store.records import decode
from controller.store.scan import Scan, scan_files
from controller.store.session import Session
from controller.store.syslog import SystemLog
from model.errors import JournalError, UsageError
from model.events import GENESIS_HASH, JOURNAL_RESTARTED, Event


def seal_and_restart(state_dir: Path, person: str, reason: str) -> Event:
    """Move the broken journal to `sealed-<time>/` and begin a new one; returns its first record.

    The record names the old files' digests, the last good record, the problems, the person and the reason.
    Numbers and epochs go on counting, so that no incident's id is used twice. An interrupted repair is
    finished by the next call. Raises JournalError if a process owns the journal or if nothing is wrong,
    UsageError without person or reason.
    """
    if not person.strip() or not reason.strip():
        raise UsageError(
            "a repair needs a person and a reason", hint="both become the new journal's first record"
        )
    files = StateFiles(state_dir)
    files.prepare()
    lock = StateLock(files.lock)
    if not lock.acquire():
        owner = read_owner(state_dir)
        raise JournalError(
            f"the journal is owned by {owner.describe() if owner else 'a running process'}",
            where=str(state_dir),
            hint="stop the daemon first; if it is frozen, `kill -9` it",
        )
    try:
        if not files.restarting.exists():
            _prepare(files, lock, person, reason)
        return _put_in_place(files)
    finally:
        lock.release()


def _prepare(files: StateFiles, lock: StateLock, person: str, reason: str) -> None:
    """The complete new journal in `restarting/`: it is there as a whole or not at all."""
    scan = scan_files(files, strict=True)
    if not scan.problems:
        raise JournalError(
            "the journal is sound: there is nothing to repair",
            where=str(files.dir),
            hint="a full disk or a failed append needs no repair; restart the daemon",
        )
    building = StateFiles(files.dir / "restarting.new")
    shutil.rmtree(building.dir, ignore_errors=True)
    building.prepare()
    session = Session(
        building, owner=person, times=HostTimes(), index=EventIndex(), lock=lock, log=SystemLog()
    )
    try:
        session.open(
            Opening(restarted=(JOURNAL_RESTARTED, _first_data(files, scan, person, reason)), actor=person),
            seed=Head(scan.highest_seq, GENESIS_HASH),
            seed_epoch=scan.highest_epoch,
        )
    finally:
        session.close()
    sync_directory(building.dir)
    building.dir.rename(files.restarting)
    sync_directory(files.dir)


def _first_data(files: StateFiles, scan: Scan, person: str, reason: str) -> dict[str, Any]:
    return {
        "person": person,
        "reason": reason,
        "sealed": f"sealed-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}",
        "digests": {path.name: _digest(path) for path in files.journal_files if path.exists()},
        "last_good_seq": scan.check.last_good.seq,
        "last_good_hash": scan.check.last_good.hash,
        "problems": scan.problems,
    }


def _put_in_place(files: StateFiles) -> Event:
    """Each step may be repeated; the database comes last, and `restarting/` goes after it."""
    fresh = StateFiles(files.restarting)
    if fresh.database.exists():
        first = _first_record(fresh)
        sealed = files.dir / str(first.data["sealed"])
        sealed.mkdir(mode=0o700, exist_ok=True)
        _move_aside(files, fresh, sealed)
        fresh.anchor.rename(files.anchor) if fresh.anchor.exists() else None
        sync_directory(files.dir)
        fresh.database.rename(files.database)
        sync_directory(files.dir)
    else:
        first = _first_record(files)
    shutil.rmtree(files.restarting)
    sync_directory(files.dir)
    return first


def _move_aside(files: StateFiles, fresh: StateFiles, sealed: Path) -> None:
    for path in files.journal_files:
        if path == files.anchor and not fresh.anchor.exists():
            continue  # what lies there is the new one, from before the interruption
        if path.exists():
            path.rename(sealed / path.name)
    sync_directory(sealed)


def _first_record(files: StateFiles) -> Event:
    with reading(files) as connection:
        for _seq, text, hash_ in rows_after(connection, 0):
            return decode(text, hash_)
    raise JournalError("the new journal is empty", where=str(files.dir), hint=f"move {files.dir} away")


def _digest(path: Path) -> str:
    value = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            value.update(block)
    return "sha256:" + value.hexdigest()
