"""A client's connection whose deadlines are the client's own: the socket is shut, nothing is ever cancelled.

A cancelled wait for synchronous replication reports success (POSTGRESQL P8), so a client that counts what was
acknowledged must not cancel, and must not count a commit that came back with a warning.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

import psycopg
from psycopg import pq

# libpq gives no SQLSTATE for a refused session; the demo's servers speak English (lc_messages = C).
_SESSION_ERRORS = (
    ("is starting up", "57P03"),
    ("is shutting down", "57P03"),
    ("in recovery mode", "57P03"),
    ("not accepting connections", "57P03"),
    ("not yet accepting connections", "57P03"),
    ("too many clients", "53300"),
    ("remaining connection slots", "53300"),
    ("no pg_hba.conf entry", "28000"),
    ("pg_hba.conf rejects", "28000"),
    ("password authentication failed", "28P01"),
    ("session is read-only", "25006"),
    ("session is not read-write", "25006"),
    ("Connection refused", "refused"),
    ("Connection reset", "reset"),
    ("closed the connection unexpectedly", "closed"),
)


class WireError(Exception):
    """`kind`: a SQLSTATE, or refused, reset, closed, timeout, warning, other."""

    def __init__(self, kind: str, text: str = "") -> None:
        super().__init__(f"{kind}: {text}" if text else kind)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Host:
    """conninfo of one host, with `target_session_attrs=read-write` where only a primary will do."""

    port: int
    conninfo: str


class Wire:
    """One session. Every call ends by its deadline (seconds of the monotonic clock) or raises WireError,
    after which the session is closed."""

    def __init__(self, host: Host) -> None:
        self.port = host.port
        self._warned = False
        self._connection = pq.PGconn.connect_start(host.conninfo.encode())
        self._connection.notice_handler = self._on_notice

    @classmethod
    def connect(cls, host: Host, deadline_s: float) -> Wire:
        wire = cls(host)
        wire._open(deadline_s)
        return wire

    def execute(self, statement: bytes, params: Sequence[bytes], deadline_s: float) -> pq.abc.PGresult:
        """One statement, its own transaction. A WARNING with it is an error of kind `warning`: the commit
        may be on one node only."""
        self._warned = False
        try:
            self._connection.send_query_params(statement, params)
            result = self._result(deadline_s)
        except psycopg.OperationalError as error:  # the session has ended
            self._fail("closed", str(error))
        if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
            sqlstate = result.error_field(pq.DiagnosticField.SQLSTATE)
            self._fail(sqlstate.decode() if sqlstate else "closed", self._connection.get_error_message())
        if self._warned:
            self._fail("warning", "the server warned: not counted as acknowledged")
        return result

    def close(self) -> None:
        """Shut the socket first, so that libpq can say nothing more to the server. Never blocks."""
        # An error means that there is no socket any more.
        with (
            suppress(OSError, psycopg.OperationalError),
            socket.socket(fileno=os.dup(self._connection.socket)) as twin,
        ):
            twin.shutdown(socket.SHUT_RDWR)
        self._connection.finish()

    def _open(self, deadline_s: float) -> None:
        connection = self._connection
        events = select.POLLOUT
        status: int = pq.PollingStatus.WRITING
        while connection.status != pq.ConnStatus.BAD and status != pq.PollingStatus.FAILED:
            self._wait(events, deadline_s)
            status = connection.connect_poll()
            if status == pq.PollingStatus.OK:
                connection.nonblocking = 1
                return
            events = select.POLLIN if status == pq.PollingStatus.READING else select.POLLOUT
        text = connection.get_error_message()
        self._fail(next((kind for part, kind in _SESSION_ERRORS if part in text), "other"), text)

    def _result(self, deadline_s: float) -> pq.abc.PGresult:
        connection = self._connection
        while connection.flush():
            self._wait(select.POLLIN | select.POLLOUT, deadline_s)
            connection.consume_input()
        first: pq.abc.PGresult | None = None
        while True:
            while connection.is_busy():
                self._wait(select.POLLIN, deadline_s)
                connection.consume_input()
            result = connection.get_result()
            if result is None:
                break
            first = first or result  # a second one only says that the session has ended
        if first is None:
            self._fail("closed")
        return first

    def _wait(self, events: int, deadline_s: float) -> None:
        left_s = deadline_s - time.monotonic()
        poller = select.poll()
        poller.register(self._connection.socket, events)
        if left_s <= 0 or not poller.poll(left_s * 1000):
            self._fail("timeout")

    def _on_notice(self, result: pq.abc.PGresult) -> None:
        severity = result.error_field(pq.DiagnosticField.SEVERITY_NONLOCALIZED)
        self._warned = self._warned or severity == b"WARNING"

    def _fail(self, kind: str, text: str = "") -> NoReturn:
        self.close()
        raise WireError(kind, text)
