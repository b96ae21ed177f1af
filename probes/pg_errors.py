"""What a PostgreSQL server or the way to it said, by SQLSTATE and errno, never by text (POSTGRESQL P13).

Message texts are translated by the server, so they are only shown to people. libpq keeps the SQLSTATE of a
failed *connection* to itself unless its error verbosity is raised; no driver offers that call, so it is made
on the libpq that psycopg has loaded.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import re
from pathlib import Path

from psycopg import pq

# "FATAL:  57P03: …": severity (translated), two spaces, SQLSTATE. The last one counts: libpq may have tried
# twice, first with TLS.
_SQLSTATE = re.compile(r":  ([0-9A-Z]{5}): ")
_LOCATION = re.compile(r"LOCATION:  (\w+), ")
_PQERRORS_VERBOSE = 2

# Where a wait for synchronous replication is given up and the commit reported all the same (P8).
SYNC_WAIT_FUNCTION = "SyncRepWaitForLSN"


class PgError(Exception):
    """A connection or a statement failed.

    sqlstate: the server's code, None where no server spoke. function: the server's source function (not
    translated). cause: the operating system's error, if that is what it was. sent: the statement may have
    taken effect. answered: bytes came back, though no error that can be read. rejected_here: libpq had no
    password to give.
    """

    def __init__(
        self,
        text: str,
        *,
        sqlstate: str | None = None,
        function: str = "",
        cause: OSError | None = None,
        sent: bool = False,
        answered: bool = False,
        rejected_here: bool = False,
    ) -> None:
        super().__init__(text)
        self.sqlstate = sqlstate
        self.function = function
        self.cause = cause
        self.sent = sent
        self.answered = answered
        self.rejected_here = rejected_here

    @property
    def refused(self) -> bool:
        return self.cause is not None and self.cause.errno == errno.ECONNREFUSED


def connect_error(conn: pq.abc.PGconn, *, closed: bool, answered: bool) -> PgError:
    """The reason of a failed connection. `closed`: the peer had closed it, so that libpq's text says only
    that; `answered`: the peer had sent bytes before."""
    text = conn.error_message.decode(errors="replace")
    states = _SQLSTATE.findall(text)
    if states:
        location = _LOCATION.findall(text)
        shown = text[: text.rfind("\nLOCATION:")] if location else text
        shown = " ".join(shown.rsplit(f":  {states[-1]}: ", 1)[-1].split())
        return PgError(shown, sqlstate=states[-1], function=location[-1] if location else "")
    shown = " ".join(text.split()) or "the connection failed without a reason"
    if closed:
        return PgError("the server closed the connection before it was ready")
    return PgError(shown, answered=answered, rejected_here=conn.needs_password)


def result_error(result: pq.abc.PGresult) -> PgError:
    """The error that came back for a statement.

    A session that is ended by the server (class 57P) while a statement runs leaves its outcome unknown: a
    commit that waited for a standby is kept.
    """
    sqlstate = field_text(result, pq.DiagnosticField.SQLSTATE) or None
    text = field_text(result, pq.DiagnosticField.MESSAGE_PRIMARY) or "the server closed the connection"
    function = field_text(result, pq.DiagnosticField.SOURCE_FUNCTION)
    return PgError(
        text, sqlstate=sqlstate, function=function, sent=sqlstate is None or sqlstate.startswith("57P")
    )


def field_text(result: pq.abc.PGresult, name: pq.DiagnosticField) -> str:
    """A field of an error or a notice, '' where the server did not send it."""
    return (result.error_field(name) or b"").decode(errors="replace")


def show_sqlstates(conn: pq.abc.PGconn) -> None:
    """Let `conn` put SQLSTATEs into its error message. Raises PgError where libpq can't be found."""
    pointer = conn.pgconn_ptr  # type: ignore[attr-defined]  # every implementation has it
    _set_verbosity()(pointer, _PQERRORS_VERBOSE)


@functools.cache
def _set_verbosity() -> ctypes._NamedFuncPointer:
    bundled = pq.__impl__ == "binary"
    maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    paths = dict.fromkeys(line.split(maxsplit=5)[-1] for line in maps.splitlines() if "/libpq" in line)
    for path in paths:
        # Another driver may have loaded a libpq of its own: a pointer of one is poison to the other.
        if ("psycopg_binary" in path) is not bundled:
            continue
        library = ctypes.CDLL(path)
        if library.PQlibVersion() == pq.version():
            function = library.PQsetErrorVerbosity
            function.argtypes = [ctypes.c_void_p, ctypes.c_int]
            function.restype = ctypes.c_int
            return function
    unusable = OSError(errno.ELIBACC, "the libpq that psycopg uses was not found in this process")
    raise PgError(str(unusable), cause=unusable)
