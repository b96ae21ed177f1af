"""A session on a MySQL or MariaDB server: login, statements as text, and how the server ends it.

Our own, because the libraries' time-outs lie (docs/decisions/0006): here every wait is one of the event loop,
so a session ends in the moment in which its task is cancelled, and nothing unbounded is ever read.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Sequence
from typing import Self

from probes import mysql_packets as packets
from probes.addresses import Address
from probes.mysql_auth import NATIVE, PLUGINS, SHA2
from probes.mysql_errors import MyError, error_of
from probes.mysql_packets import Greeting, ProtocolError
from probes.streams import Stream, open_stream
from probes.tls_settings import certificate_facts
from probes.trace import note

Row = dict[str, str | None]

_QUERY = b"\x03"
_GOODBYE = b"\x01\x00\x00\x00\x01"  # a whole packet
# Of all rows of one statement: those that are sent here give a few kilobytes.
_MOST_RESULT_BYTES = 1024 * 1024
_MOST_COLUMNS = 512
_FAST_LOGIN, _WHOLE_PASSWORD = b"\x03", b"\x04"  # what caching_sha2_password says after the first answer
# As for every held connection: half-open ones are cleared away within about 5 s.
_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 2),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 5000),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)


class MySession:
    """Not shared between tasks. `close` never waits, and nothing is cancelled at the server."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._sequence = 0
        self.version = ""
        self.connection = 0
        self._logged_in = False

    @property
    def certificate_facts(self) -> dict[str, int]:
        return certificate_facts(self._stream.certificate)

    @classmethod
    async def open(
        cls,
        addresses: Sequence[Address],
        user: str,
        password: str,
        *,
        tls: ssl.SSLContext | None = None,
        server_name: str = "",
        tls_required: bool = True,
    ) -> Self:
        """Connect and log in. Raises MyError."""
        try:
            stream = await open_stream(addresses)
        except OSError as exc:
            raise MyError(exc.strerror or str(exc), cause=exc) from None
        session = cls(stream)
        try:
            for level, option, value in _KEEPALIVE:
                stream.sock.setsockopt(level, option, value)
            await session._log_in(user, password, tls, server_name, tls_required=tls_required)
        except (OSError, ProtocolError) as exc:
            session.close()
            raise _as_error(exc) from None
        except BaseException:
            session.close()
            raise
        return session

    async def query(self, statement: str) -> list[Row]:
        """Rows as text, by column name; [] for a statement that gives none. Raises MyError; the session is of
        no further use after one that is not the server's own."""
        try:
            return await self._query(statement)
        except (OSError, ProtocolError) as exc:
            self.close()
            raise _as_error(exc) from None

    async def wait_end(self) -> MyError:
        """Watch the idle session until the peer ends it, and tell how: with a last word, an errno, or
        neither."""
        try:
            packet = await self._receive(in_order=False)
        except (OSError, ProtocolError) as exc:
            return _as_error(exc)
        finally:
            self.close()
        if packet[0] == packets.ERROR:
            return error_of(packets.read_error(packet))
        return MyError("it spoke without being asked", not_spoken=True)

    def close(self) -> None:
        """Says goodbye if that takes no waiting: the server would log a warning for each session else."""
        if self._logged_in:
            self._logged_in = False
            with contextlib.suppress(OSError):
                self._stream.sock.send(_GOODBYE)
        self._stream.close()

    async def _log_in(
        self,
        user: str,
        password: str,
        tls: ssl.SSLContext | None,
        server_name: str,
        *,
        tls_required: bool,
    ) -> None:
        packet = await self._receive()
        if packet[0] == packets.ERROR:
            raise error_of(packets.read_error(packet))
        greeting = packets.read_greeting(packet)
        self.version, self.connection = greeting.version, greeting.connection
        note("greeted by %s, connection %d", greeting.version, greeting.connection)
        with_tls = tls is not None and bool(greeting.capabilities & packets.SSL)
        if tls is not None and not with_tls and tls_required:
            raise MyError("the server speaks no TLS, and TLS is required", rejected_here=True)
        if tls is not None and with_tls:
            await self._send(packets.login_head(greeting, tls=True))
            await self._stream.start_tls(tls, server_name)
        await self._authenticate(greeting, user, password.encode(), with_tls=with_tls)
        self._logged_in = True
        note("logged in as %s", user)

    async def _authenticate(self, greeting: Greeting, user: str, password: bytes, *, with_tls: bool) -> None:
        plugin, nonce = greeting.plugin, greeting.nonce
        if plugin not in PLUGINS:
            plugin = NATIVE  # the server says which one the account has
        answer = PLUGINS[plugin](password, nonce)
        await self._send(packets.login(greeting, user, answer, plugin, tls=with_tls))
        while (packet := await self._receive())[0] != packets.OK:
            match packet[0]:
                case packets.ERROR:
                    raise error_of(packets.read_error(packet))
                case packets.EOF:
                    plugin, nonce = packets.read_switch(packet)
                    note("the account's plugin is %s", plugin)
                    if plugin not in PLUGINS:
                        raise MyError(
                            f"the account's plugin {plugin!r} is not spoken here", rejected_here=True
                        )
                    await self._send(PLUGINS[plugin](password, nonce))
                case packets.MORE if plugin == SHA2 and packet[1:] == _FAST_LOGIN:
                    continue
                case packets.MORE if plugin == SHA2 and packet[1:] == _WHOLE_PASSWORD:
                    if not with_tls:
                        text = "the server asks for the password itself, which is sent under TLS only"
                        raise MyError(text, rejected_here=True)
                    await self._send(password + b"\0")
                case _:
                    raise ProtocolError("an unexpected packet during the login")

    async def _query(self, statement: str) -> list[Row]:
        self._sequence = 0
        await self._send(_QUERY + statement.encode())
        packet = await self._receive()
        if packet[0] == packets.ERROR:
            raise error_of(packets.read_error(packet))
        if packet[0] == packets.OK:
            return []
        if packet[0] == packets.NULL:
            raise ProtocolError("the server asks for a local file")
        count = packets.Cursor(packet).counted()
        if count > _MOST_COLUMNS:
            raise ProtocolError(f"{count} columns")
        columns = [packets.read_column(await self._receive()) for _ in range(count)]
        if not packets.is_end(await self._receive()):
            raise ProtocolError("no end of the columns")
        rows: list[Row] = []
        size = 0
        while not packets.is_end(packet := await self._receive()):
            if packet[0] == packets.ERROR:
                raise error_of(packets.read_error(packet))
            size += len(packet)
            if size > _MOST_RESULT_BYTES:
                raise ProtocolError(f"an answer of more than {_MOST_RESULT_BYTES} bytes")
            rows.append(packets.read_row(packet, columns))
        return rows

    async def _send(self, payload: bytes) -> None:
        head = len(payload).to_bytes(3, "little") + bytes([self._sequence])
        self._sequence = (self._sequence + 1) % 256
        await self._stream.send(head + payload)

    async def _receive(self, *, in_order: bool = True) -> bytes:
        """One packet, with at least one byte."""
        head = await self._stream.read_exactly(4)
        length, sequence = int.from_bytes(head[:3], "little"), head[3]
        if in_order and sequence != self._sequence:
            raise ProtocolError(f"no MySQL, or out of order: it begins with {head!r}")
        self._sequence = (sequence + 1) % 256
        if not 0 < length <= packets.MOST_PACKET_BYTES:
            raise ProtocolError(f"a packet of {length} bytes")
        return await self._stream.read_exactly(length)


def _as_error(error: OSError | ProtocolError) -> MyError:
    if isinstance(error, ProtocolError):
        return MyError(str(error), not_spoken=True)
    return MyError(error.strerror or str(error), cause=error)
