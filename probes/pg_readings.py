"""What a failed attempt, or the end of a held session, says of a PostgreSQL server (POSTGRESQL P13).

By SQLSTATE and errno, never by text. What lives is never `down`, what is ours is `unknown`.
"""

from __future__ import annotations

from model.observation import Failure
from probes.base import Reading
from probes.os_errors import reading_of_os_error
from probes.pg_errors import SYNC_WAIT_FUNCTION, PgError
from probes.pg_session import SessionEnd

# Server functions that end a backend because the postmaster is gone; the SQLSTATE is that of an
# administrator's stop, 57P01 (seen on 15 and 18).
POSTMASTER_DEATH_FUNCTIONS = frozenset({"secure_read", "secure_write"})


def reading_of(error: PgError) -> Reading:
    """Of an attempt that failed."""
    if error.sqlstate is not None:
        return _of_sqlstate(error.sqlstate, error.function, str(error))
    if error.function == SYNC_WAIT_FUNCTION:
        return Reading.failed(Failure.SYNC_BLOCKED, f"committed here, on no standby: {error}")
    if error.rejected_here:
        return Reading.unknown(Failure.CREDENTIALS, str(error))
    if error.cause is not None:
        return reading_of_os_error(error.cause)
    if error.answered:
        return Reading.failed(Failure.BAD_ANSWER, str(error))
    return Reading.failed(Failure.RESET, str(error))


def reading_of_end(end: SessionEnd) -> Reading | None:
    """Of a session that the peer ended while it was held. None where it says nothing of the server: it was
    ended for being idle (57P05)."""
    if end.notice is not None:
        if end.notice.sqlstate == "57P05":
            return None
        return _of_sqlstate(end.notice.sqlstate, end.notice.function, end.notice.text)
    return reading_of_broken(end.error)


def reading_of_broken(error: OSError | None) -> Reading:
    """Of an established session that broke without a last word: the mark of a crash, unless the network
    gave up on it."""
    if error is None:
        return Reading.failed(Failure.CLOSED, "the server closed the connection without a word")
    reading = reading_of_os_error(error)
    if reading.failure is Failure.RESET:
        return Reading.failed(Failure.CLOSED, reading.detail)
    return reading


def _of_sqlstate(sqlstate: str, function: str, message: str) -> Reading:
    text = f"{sqlstate}: {message}"
    match sqlstate:
        case "57P03" | "57P02":
            return Reading.failed(Failure.STARTING, text)
        case "57P01" if function in POSTMASTER_DEATH_FUNCTIONS:
            return Reading.failed(Failure.CLOSED, "the postmaster died: its backend ended the session")
        case "57P01":
            return Reading.failed(Failure.STOPPING, text)
        case "53300":
            return Reading.failed(Failure.SATURATED, text)
        case "25006":
            return Reading.failed(Failure.READ_ONLY, text)
        case "53100":
            return Reading.failed(Failure.DISK_FULL, text)
        case "42501":
            return Reading.unknown(
                Failure.CREDENTIALS, f"{text} (see `bcm-failover init --grants postgresql`)"
            )
        case _ if sqlstate.startswith("28"):
            return Reading.unknown(Failure.CREDENTIALS, text)
        case "57P05":
            return Reading.unknown(None, text)
        case _:
            return Reading.failed(Failure.BAD_ANSWER, text)
