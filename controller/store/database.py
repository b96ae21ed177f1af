"""The SQLite file: its schema, and connections that write or only read."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from controller.store.files import StateFiles, create_private

# A taker's or a checkpoint's lock lasts milliseconds; only a frozen process holds one for seconds.
BUSY_S: Final = 5.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS journal (
  seq INTEGER PRIMARY KEY CHECK (seq > 0),
  record TEXT NOT NULL,
  hash TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS leadership (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  epoch INTEGER NOT NULL,
  owner TEXT NOT NULL,
  pid INTEGER NOT NULL,
  boot_id TEXT NOT NULL,
  since TEXT NOT NULL
) STRICT;
"""


def connect_writer(files: StateFiles) -> sqlite3.Connection:
    """Opens or creates the journal for its owner. Raises sqlite3.Error or OSError.

    synchronous=FULL: each commit is synced. Checkpoints are made by the writer when it is idle, so that no
    append pays for one.
    """
    create_private(files.database)
    connection = sqlite3.connect(
        files.database, timeout=BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=32
    )
    try:
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            raise sqlite3.OperationalError(f"the file system allows no write-ahead log (mode {mode})")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("PRAGMA trusted_schema=OFF")
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,):
            connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_lease(files: StateFiles) -> sqlite3.Connection:
    """A second connection of the owner, on which only the epoch is read."""
    return sqlite3.connect(
        f"file:{_quoted(files.database)}?mode=rw", uri=True, timeout=0.2, check_same_thread=False
    )


@contextmanager
def reading(files: StateFiles) -> Iterator[sqlite3.Connection]:
    """A connection that only reads, with the owner alive or dead; no file is created in the directory.

    Without a write-ahead log nobody has the database open and the file alone is the truth. With one, its
    index is needed too; where that is missing or can't be used (a copied directory, a full disk), a private
    copy is read. Raises FileNotFoundError, sqlite3.Error or OSError.
    """
    if not files.database.exists():
        raise FileNotFoundError(files.database)
    if not files.wal.exists():
        with closing(_open(files.database, "mode=ro&immutable=1")) as connection:
            yield connection
        return
    shared = _open_shared(files)
    if shared is not None:
        with closing(shared):
            yield shared
        return
    with tempfile.TemporaryDirectory(prefix="bcm-failover-read-") as copies:
        for path in (files.database, files.wal):
            shutil.copyfile(path, Path(copies) / path.name)
        with closing(_open(Path(copies) / files.database.name, "mode=ro")) as connection:
            yield connection


def _open_shared(files: StateFiles) -> sqlite3.Connection | None:
    """Beside a living owner, through its log's index; None where there is no index that can be used."""
    if not files.shm.exists():
        return None
    connection = _open(files.database, "mode=ro")
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        return None
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _open(path: Path, options: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{_quoted(path)}?{options}", uri=True, timeout=BUSY_S, isolation_level=None)


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def head_row(connection: sqlite3.Connection) -> tuple[int, str] | None:
    """(seq, hash) of the last record."""
    row: tuple[int, str] | None = connection.execute(
        "SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1"
    ).fetchone()
    return row


def rows_after(connection: sqlite3.Connection, seq: int) -> Iterator[tuple[int, str, str]]:
    """(seq, record, hash) in order."""
    return iter(
        connection.execute("SELECT seq, record, hash FROM journal WHERE seq > ? ORDER BY seq", (seq,))
    )
