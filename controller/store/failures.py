"""What SQLite and the disk say, as the errors that the journal's users know."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from typing import Final

from controller.store.files import StateFiles
from model.errors import BcmError, JournalError, JournalFullError

REPAIR_HINT: Final = (
    "`bcm-failover journal verify` lists every problem; keep the files as evidence, then "
    "`bcm-failover journal repair` moves them aside and starts a new journal that names them"
)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def explain(error: sqlite3.Error | OSError, files: StateFiles) -> JournalError:
    """A JournalFullError where room is what is missing, else a JournalError."""
    if _is_full(error, files.dir):
        return JournalFullError(
            f"the disk under the journal is full ({error}): nothing was written, nothing may be changed",
            where=str(files.dir),
            hint=f"free some space on the file system of {files.dir}; appends work again at once",
        )
    if isinstance(error, sqlite3.Error) and primary_code(error) == sqlite3.SQLITE_BUSY:
        return JournalError(
            f"another process has held the journal's write lock for too long ({error})",
            where=str(files.dir),
            hint="a frozen process holds it (`fuser journal.db` names it): resume it or `kill -9` it",
        )
    return JournalError(f"the journal can't be written: {error}", where=str(files.dir), hint=REPAIR_HINT)


def is_lasting(error: sqlite3.Error | OSError, files: StateFiles) -> bool:
    """True where it is not known what is on disk (a failed sync, a damaged file): no further append is tried.

    After a failed sync the kernel may drop the pages and call the next sync a success.
    """
    if _is_full(error, files.dir):
        return False
    if isinstance(error, sqlite3.Error):
        return primary_code(error) in (
            sqlite3.SQLITE_IOERR,
            sqlite3.SQLITE_CORRUPT,
            sqlite3.SQLITE_NOTADB,
            sqlite3.SQLITE_READONLY,
        )
    return True


def broken(problems: list[str], files: StateFiles) -> JournalError:
    """The journal is not what was written."""
    text = "; ".join(problems[:3]) + (f"; and {len(problems) - 3} more" if len(problems) > 3 else "")
    return JournalError(
        f"the journal can't be trusted, nothing may be changed: {text}",
        where=str(files.dir),
        hint=REPAIR_HINT,
    )


def again(error: BcmError) -> BcmError:
    """The same error to be raised once more: one instance raised often would grow its traceback."""
    return type(error)(error.what, where=error.where, hint=error.hint)


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's result code without its extension; 0 if Python raised the error itself."""
    code = getattr(error, "sqlite_errorcode", 0)
    return int(code) & 0xFF


def _is_full(error: sqlite3.Error | OSError, directory: Path) -> bool:
    if isinstance(error, OSError):
        return error.errno in _FULL
    code = primary_code(error)
    if code == sqlite3.SQLITE_FULL:
        return True
    # A disk that fills while the log's index grows shows as an I/O error or as "unable to open".
    return code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and not _has_room(directory)


def _has_room(directory: Path) -> bool:
    status = os.statvfs(directory)
    free = status.f_bfree if os.geteuid() == 0 else status.f_bavail
    return free * status.f_frsize > 65536 and (status.f_files == 0 or status.f_ffree > 0)
