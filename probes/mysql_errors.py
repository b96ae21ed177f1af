"""What a MySQL or MariaDB server, or the way to it, said of a failed attempt: by number, never by text.

Source: MariaDB's list of error codes. What lives is never `down`, what is ours is `unknown`.
"""

from __future__ import annotations

from model.observation import Failure
from probes.base import Reading
from probes.mysql_packets import ServerError
from probes.streams import reading_of_stream_error
from probes.texts import one_line

# The server ended the session because it was idle: says nothing of the server.
_IDLE = frozenset({1159, 1161, 4031})
_SATURATED = frozenset({1040, 1203, 1226})  # connections of all, of this account, its allowance
# Name or password; host; plugin; an expired password; a locked account; a missing privilege.
_CREDENTIALS = frozenset({1044, 1045, 1698, 1129, 1130, 1251, 1524, 1820, 1862, 4151, 1142, 1143, 1227, 1370})
_STOPPING = frozenset({1053})
_STARTING = frozenset({1047})  # a member of a Galera cluster that has not joined it yet
_READ_ONLY = frozenset({1290, 1836, 1792})
# InnoDB says that the table is full where the disk is.
_DISK_FULL = frozenset({28, 1021, 1114})
_LOCKED = frozenset({1205, 1213})
KILLED = 1927


class MyError(Exception):
    """A connection or a statement failed.

    server: the server's own error, None where it did not speak. cause: the operating system's. not_spoken:
    the peer speaks no MySQL. rejected_here: this side had no way to log in.
    """

    def __init__(
        self,
        text: str,
        *,
        server: ServerError | None = None,
        cause: OSError | None = None,
        not_spoken: bool = False,
        rejected_here: bool = False,
    ) -> None:
        super().__init__(text)
        self.server = server
        self.cause = cause
        self.not_spoken = not_spoken
        self.rejected_here = rejected_here

    @property
    def code(self) -> int:
        return self.server.code if self.server is not None else 0


def error_of(server: ServerError) -> MyError:
    return MyError(f"{server.code}: {one_line(server.text)}", server=server)


def reading_of(error: MyError) -> Reading:
    """Of an attempt that failed."""
    text = str(error)
    if error.server is not None:
        return _of_code(error.code, text)
    if error.rejected_here:
        return Reading.unknown(Failure.CREDENTIALS, text)
    if error.not_spoken:
        return Reading.failed(Failure.BAD_ANSWER, text)
    if error.cause is not None:
        return reading_of_stream_error(error.cause)
    return Reading.failed(Failure.RESET, text)


def reading_of_end(error: MyError) -> Reading | None:
    """Of a session that the peer ended while it was held; None if it was ended for being idle."""
    if error.code in _IDLE:
        return None
    reading = reading_of(error)
    if reading.failure is Failure.RESET:
        return Reading.failed(Failure.CLOSED, reading.detail)
    return reading


def _of_code(code: int, text: str) -> Reading:
    if code in _CREDENTIALS:
        return Reading.unknown(Failure.CREDENTIALS, text)
    if code in _IDLE or code == KILLED:
        return Reading.unknown(None, text)
    for codes, failure in (
        (_SATURATED, Failure.SATURATED),
        (_STOPPING, Failure.STOPPING),
        (_STARTING, Failure.STARTING),
        (_READ_ONLY, Failure.READ_ONLY),
        (_DISK_FULL, Failure.DISK_FULL),
        (_LOCKED, Failure.LOCK_BLOCKED),
    ):
        if code in codes:
            return Reading.failed(failure, text)
    return Reading.failed(Failure.BAD_ANSWER, text)
