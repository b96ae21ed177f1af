"""The journal for whoever only reads: the CLI with the daemon dead, and while it lives.

Takes no lock, creates no file, and imports nothing but the standard library and `model`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from controller.store.database import reading, rows_after
from controller.store.files import StateFiles
from controller.store.index import EventIndex
from controller.store.leadership import Leadership, read_leadership
from controller.store.records import decode
from model.errors import JournalError
from model.events import Event


def read_events(
    state_dir: Path,
    *,
    since_seq: int = 0,
    types: Iterable[str] | None = None,
    service: str | None = None,
    incident: str | None = None,
    execution: str | None = None,
) -> list[Event]:
    """Events in order, filtered as by `Journal.events`. Empty if there is no journal yet.

    Does not verify: records that can't be read are left out; `verify` names them. Raises JournalError.
    """
    index = EventIndex()
    index.extend(
        event
        for seq, text, hash_ in _rows(state_dir, since_seq)
        if (event := _event(text, hash_)) is not None
    )
    return index.select(
        since_seq=since_seq, types=types, service=service, incident=incident, execution=execution
    )


def read_owner(state_dir: Path) -> Leadership | None:
    """Who took the journal last (dead or alive). Raises JournalError."""
    files = StateFiles(state_dir)
    try:
        with reading(files) as connection:
            return read_leadership(connection)
    except FileNotFoundError:
        return None
    except (sqlite3.Error, OSError) as error:
        raise _unreadable(files, error) from error


def export_jsonl(state_dir: Path, out: TextIO) -> int:
    """One record a line with its hash, as stored: whoever has the lines can check the chain without us.

    Returns the number of records. Raises JournalError.
    """
    count = 0
    for _seq, text, hash_ in _rows(state_dir, 0):
        # The stored text goes out as it is: what an older or newer version wrote keeps its hash.
        body = text.rstrip()
        out.write(f'{body[:-1]},"hash":"{hash_}"}}\n')
        count += 1
    return count


def _event(text: str, hash_: str) -> Event | None:
    try:
        return decode(text, hash_)
    except (ValueError, RecursionError):
        return None


def _rows(state_dir: Path, since_seq: int) -> Iterator[tuple[int, str, str]]:
    files = StateFiles(state_dir)
    try:
        with reading(files) as connection:
            if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() != (0,):
                yield from rows_after(connection, since_seq)
    except FileNotFoundError:
        return
    except (sqlite3.Error, OSError) as error:
        raise _unreadable(files, error) from error


def _unreadable(files: StateFiles, error: Exception) -> JournalError:
    return JournalError(
        f"the journal can't be read: {error}",
        where=str(files.database),
        hint="run as root or as the daemon's user; `bcm-failover journal verify` says whether it is damaged",
    )
