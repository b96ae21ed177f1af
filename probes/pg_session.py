"""One PostgreSQL session on the event loop, over libpq's non-blocking calls.

Why not a driver's own connection: psycopg answers a cancelled task by cancelling the statement at the server
and waiting for that, which takes 12 s against a server that hangs, and a cancelled wait for synchronous
replication reports *success* (POSTGRESQL P8). Here nothing is ever cancelled at the server: `abort` shuts the
socket and wakes whoever waits on it, at once. There are no time-outs either: the caller owns the deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import pq

from probes.os_errors import OwnError
from probes.pg_connect import (
    PgTarget,
    conninfo,
    is_at_end,
    lent_socket,
    refused_at_once,
    resolve,
    take_socket_error,
)
from probes.pg_errors import (
    SYNC_WAIT_FUNCTION,
    PgError,
    connect_error,
    field_text,
    result_error,
    show_sqlstates,
)
from probes.sockets import RST_ON_CLOSE

Row = tuple[Any, ...]

_BOOL_OID = 16
_INT_OIDS = frozenset({20, 21, 23, 26})  # int8, int2, int4, oid


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice, or the error with which the server ended an idle session."""

    severity: str
    sqlstate: str
    function: str
    text: str

    @property
    def ends_session(self) -> bool:
        """A backend that is killed by the crash of another says so in a warning, not in an error."""
        return self.severity in ("FATAL", "PANIC") or self.sqlstate.startswith("57P0")


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """How the peer ended an idle session: with a last word, an errno, or neither (a plain close)."""

    notice: Notice | None = None
    error: OSError | None = None


class PgSession:
    """Not shared between tasks: one statement at a time. `notices` are those of the last statement."""

    def __init__(self, target: PgTarget) -> None:
        self.target = target
        self.notices: list[Notice] = []
        self._conn: pq.abc.PGconn | None = None
        self._aborted: PgError | None = None
        self._socket_error: OSError | None = None
        self._error: PgError | None = None  # of the statement under way, as soon as it is known
        self._watch: _Watch | None = None
        self._asking = False  # a statement waits for its answer

    @property
    def closed(self) -> bool:
        return self._conn is None or self._conn.status == pq.ConnStatus.BAD

    @property
    def backend_pid(self) -> int:
        """The server's process of this session, 0 if there is none."""
        return 0 if self._conn is None or self.closed else self._conn.backend_pid

    async def open(self, password: str | None, addresses: Sequence[str] = ()) -> None:
        """Connect and log in. Raises PgError. `addresses`, those of the name if none are given, are tried in
        turn."""
        try:
            addresses = addresses or await resolve(self.target.host, self.target.port)
            for position, address in enumerate(addresses, 1):
                try:
                    return await self._open_address(address, password)
                except PgError as error:
                    if self._aborted is not None or error.cause is None or position == len(addresses):
                        raise
                    self._release()
        except psycopg.Error as exc:
            self.abort()
            raise PgError(str(exc).strip()) from None  # the chain would carry the connection string
        except BaseException:
            self.abort()
            raise

    async def query(self, statement: str, params: Sequence[Any] = ()) -> list[Row]:
        """One statement in a transaction of its own; integers and booleans are converted, the rest is text.

        Raises PgError, with `sent` where the statement may have taken effect all the same: also where the
        server reports success though somebody cancelled its wait for a standby, which is no acknowledgement
        (P8). If this is cancelled, the session is closed; nothing is cancelled at the server.
        """
        try:
            return await self._query(statement, params)
        except psycopg.Error:
            error = self._lost()
            self.abort()
            raise error from None
        except PgError:
            if self.closed:
                self.abort()
            raise
        except BaseException:
            self.abort()
            raise

    async def wait_end(self) -> SessionEnd:
        """Watch the idle session until the peer ends it. Raises PgError after `abort`."""
        while (end := self.ended()) is None:
            await self._wait(read=True)
        return end

    def ended(self) -> SessionEnd | None:
        """Has the peer ended the idle session? Looks at what has come, and never waits. None while somebody
        waits on the session: it is that one's to find out."""
        if self._conn is None:
            return SessionEnd()
        if self._watch is not None:
            return None
        self.notices.clear()
        with contextlib.suppress(psycopg.Error):
            self._consume()
            self._conn.is_busy()  # makes libpq look at what was read
        last = self._last_word()
        if last is None and not self.closed:
            return None
        self.abort()
        return SessionEnd(last, self._socket_error)

    def abort(self, reason: PgError | None = None) -> None:
        """Shut the socket and let go, now. Whoever waits on the session gets `reason`."""
        if self._aborted is None:
            text = "the session was closed on this side"
            self._aborted = reason or PgError(text, cause=OwnError(errno.ECANCELED, text), sent=True)
        waiter = self._release()
        if waiter is not None and not waiter.done():
            waiter.set_exception(self._aborted)

    def _release(self) -> asyncio.Future[None] | None:
        conn, self._conn = self._conn, None
        waiter = self._unwatch()
        if conn is not None:
            conn.notice_handler = None
            with contextlib.suppress(psycopg.Error, OSError), lent_socket(conn) as sock:
                if self._asking:
                    # What has not got through is dropped, not sent again for seconds: a statement that was
                    # given up must not arrive when the way is whole again, and others have acted meanwhile.
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)
                sock.shutdown(socket.SHUT_RDWR)
            conn.finish()
        return waiter

    async def _open_address(self, address: str, password: str | None) -> None:
        if self._aborted is not None:
            raise self._aborted
        conn = self._conn = pq.PGconn.connect_start(conninfo(self.target, address, password))
        if conn.status == pq.ConnStatus.BAD:
            raise refused_at_once(conn, address, self.target.port)
        show_sqlstates(conn)
        conn.notice_handler = self._on_notice
        progress, closed, answered = int(pq.PollingStatus.WRITING), False, False
        while progress != pq.PollingStatus.OK:
            reading = progress == pq.PollingStatus.READING
            await self._wait(read=reading, write=not reading)
            # libpq would forget the errno: look before it does.
            cause = take_socket_error(conn)
            if cause is not None:
                raise PgError(str(cause.strerror), cause=cause, answered=answered)
            if reading:
                closed = is_at_end(conn)
                answered = answered or not closed
            progress = conn.connect_poll()
            if progress == pq.PollingStatus.FAILED:
                raise connect_error(conn, closed=closed, answered=answered)
        conn.nonblocking = 1

    async def _query(self, statement: str, params: Sequence[Any]) -> list[Row]:
        conn = self._connected()
        self.notices.clear()
        self._asking = True
        conn.send_query_params(statement.encode(), [_encoded(p) for p in params])
        while conn.flush():
            await self._wait(read=True, write=True)
            self._consume()
        rows: list[Row] = []
        self._error = None
        while True:
            while conn.is_busy():
                await self._wait(read=True)
                self._consume()
            result = conn.get_result()
            if result is None:
                self._asking = False
                break
            match result.status:
                case pq.ExecStatus.TUPLES_OK:
                    rows = _rows(result)
                case pq.ExecStatus.COMMAND_OK | pq.ExecStatus.EMPTY_QUERY:
                    pass
                case pq.ExecStatus.FATAL_ERROR:
                    self._error = self._error or result_error(result)
                case _:
                    self.abort()
                    raise PgError("COPY is not spoken here", sent=True)
        if self._error is not None:
            raise self._error
        for notice in self.notices:
            if notice.function == SYNC_WAIT_FUNCTION:
                raise PgError(notice.text, function=SYNC_WAIT_FUNCTION, sent=True)
        return rows

    def _lost(self) -> PgError:
        """Why the connection broke under a statement: the server's last word if there was one. A commit that
        waits for a standby is given up with a warning, and no error follows (P8)."""
        if self._error is not None:
            return self._error
        conn = self._conn
        while conn is not None and conn.status == pq.ConnStatus.BAD:
            result = conn.get_result()
            if result is None:
                break
            error = result_error(result)
            if error.sqlstate is not None:
                return error
        last = self._last_word()
        if last is not None:
            return PgError(last.text, sqlstate=last.sqlstate, function=last.function, sent=True)
        cause = self._socket_error
        text = (cause.strerror or str(cause)) if cause else "the server closed the connection"
        return PgError(text, cause=cause, sent=True)

    def _last_word(self) -> Notice | None:
        return next((n for n in self.notices if n.ends_session), None)

    def _consume(self) -> None:
        conn = self._connected()
        self._socket_error = take_socket_error(conn) or self._socket_error
        conn.consume_input()

    def _connected(self) -> pq.abc.PGconn:
        if self._conn is None:
            raise self._aborted or PgError("the session is not open")
        return self._conn

    async def _wait(self, *, read: bool = False, write: bool = False) -> None:
        """Until the socket is ready. The watch never outlives one wait: libpq may replace the descriptor."""
        loop = asyncio.get_running_loop()
        watch = _Watch(loop, self._connected().socket, loop.create_future(), read, write)
        self._watch = watch
        if read:
            loop.add_reader(watch.fd, _wake, watch.waiter)
        if write:
            loop.add_writer(watch.fd, _wake, watch.waiter)
        try:
            await watch.waiter
        finally:
            if self._watch is watch:
                self._unwatch()

    def _unwatch(self) -> asyncio.Future[None] | None:
        watch, self._watch = self._watch, None
        if watch is None:
            return None
        if watch.read:
            watch.loop.remove_reader(watch.fd)
        if watch.write:
            watch.loop.remove_writer(watch.fd)
        return watch.waiter

    def _on_notice(self, result: pq.abc.PGresult) -> None:
        name = pq.DiagnosticField
        self.notices.append(
            Notice(
                severity=field_text(result, name.SEVERITY_NONLOCALIZED),
                sqlstate=field_text(result, name.SQLSTATE),
                function=field_text(result, name.SOURCE_FUNCTION),
                text=field_text(result, name.MESSAGE_PRIMARY),
            )
        )


@dataclass(frozen=True, slots=True)
class _Watch:
    """What the loop watches for a session."""

    loop: asyncio.AbstractEventLoop
    fd: int
    waiter: asyncio.Future[None]
    read: bool
    write: bool


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _encoded(value: Any) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return b"true" if value else b"false"
    return str(value).encode()


def _rows(result: pq.abc.PGresult) -> list[Row]:
    oids = [result.ftype(column) for column in range(result.nfields)]
    return [
        tuple(_decoded(result.get_value(row, column), oid) for column, oid in enumerate(oids))
        for row in range(result.ntuples)
    ]


def _decoded(value: bytes | None, oid: int) -> Any:
    if value is None:
        return None
    if oid == _BOOL_OID:
        return value == b"t"
    if oid in _INT_OIDS:
        return int(value)
    return bytes(value).decode()
