"""A conversation over one TCP connection, plain or in TLS, without the layers of asyncio's streams.

What a probe needs of a connection is the errno of each failure, an end at once, a bounded buffer, and the
peer's certificate even where it is not checked: a socket, two waits and a buffer give that, and cost no more
than a StreamReader and its transport (figures: docs/decisions/0006-probe-libraries.md).
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Sequence
from typing import Any

from model.observation import Failure
from probes.addresses import Address
from probes.base import Reading
from probes.os_errors import reading_of_os_error
from probes.sockets import connect, keep_alive, reading_of_end, ready
from probes.trace import note

_CHUNK_BYTES = 65536


class TooLongError(Exception):
    """The peer went on past what an answer may take."""


class _SecureSocket(ssl.SSLSocket):
    """While it is made it asks who its peer is; if that has reset by then, the library loses it unclosed
    (Python 3.11)."""

    def getpeername(self) -> Any:
        try:
            return super().getpeername()
        except OSError as exc:
            self.close()
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)) from exc


class Stream:
    """A connected socket and what has come through it. The caller closes it.

    Every method raises OSError; ConnectionResetError where the peer closed before what was asked for came.
    """

    __slots__ = ("_buffer", "_secure", "_sock")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._secure: ssl.SSLSocket | None = None
        self._buffer = bytearray()

    @property
    def address(self) -> str:
        """Of the peer, without the port."""
        return str(self._sock.getpeername()[0])

    @property
    def sock(self) -> socket.socket:
        return self._sock

    def close(self) -> None:
        """At once: nothing is said to the peer, and nothing waited for."""
        self._sock.close()

    async def start_tls(self, context: ssl.SSLContext, server_name: str) -> None:
        """Raises ssl.SSLError too, which is an OSError: see `reading_of_stream_error`."""
        # The new object takes the descriptor over; the old one is detached.
        context.sslsocket_class = _SecureSocket
        secure = context.wrap_socket(
            self._sock, server_hostname=server_name or None, do_handshake_on_connect=False
        )
        self._sock = self._secure = secure
        while True:
            try:
                secure.do_handshake()
                note("TLS: %s, %s", secure.version(), (secure.cipher() or ("?",))[0])
                return
            except ssl.SSLWantReadError:
                await ready(secure)
            except ssl.SSLWantWriteError:
                await ready(secure, write=True)

    @property
    def certificate(self) -> bytes | None:
        """The peer's, in DER, verified or not; None without TLS."""
        return self._secure.getpeercert(binary_form=True) if self._secure else None

    @property
    def tls_version(self) -> str | None:
        """As `TLSv1.3`; None without TLS."""
        return self._secure.version() if self._secure else None

    @property
    def alpn(self) -> str | None:
        """The protocol that was agreed on within TLS."""
        return self._secure.selected_alpn_protocol() if self._secure else None

    async def send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self._sock.send(view) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                await ready(self._sock, write=True)
            except ssl.SSLWantReadError:
                await ready(self._sock)

    async def receive(self) -> bytes:
        """What has come and was not read yet, or what comes next; b"" when the peer has closed."""
        if self._buffer:
            data = bytes(self._buffer)
            self._buffer.clear()
            return data
        return await self._receive()

    async def read_until(self, mark: bytes, most: int) -> bytes:
        """Up to the first `mark`, which is taken away. Raises TooLongError past `most` bytes."""
        start = 0
        while (at := self._buffer.find(mark, start)) < 0:
            if len(self._buffer) > most:
                raise TooLongError(f"over {most} bytes without an end")
            start = max(0, len(self._buffer) - len(mark) + 1)
            await self._fill()
        data = bytes(self._buffer[:at])
        del self._buffer[: at + len(mark)]
        return data

    async def read_exactly(self, count: int) -> bytes:
        """`count` is bounded by the caller."""
        while len(self._buffer) < count:
            await self._fill()
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    async def peek(self, count: int) -> bytes:
        """The next `count` bytes, left where they are."""
        while len(self._buffer) < count:
            await self._fill()
        return bytes(self._buffer[:count])

    async def _fill(self) -> None:
        data = await self._receive()
        if not data:
            raise ConnectionResetError("closed before the answer was complete")
        self._buffer += data

    async def _receive(self) -> bytes:
        while True:
            try:
                return self._sock.recv(_CHUNK_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                await ready(self._sock)
            except ssl.SSLWantWriteError:
                await ready(self._sock, write=True)
            except ssl.SSLZeroReturnError:
                return b""


async def open_stream(
    addresses: Sequence[Address], context: ssl.SSLContext | None = None, server_name: str = ""
) -> Stream:
    """Connected, and through the handshake if there is a `context`. Raises OSError."""
    stream = Stream(await connect(addresses))
    try:
        note("connected to %s", addresses[0].host if len(addresses) == 1 else stream.address)
        if context is not None:
            await stream.start_tls(context, server_name)
        return stream
    except BaseException:
        stream.close()
        raise


async def held_stream_until_end(stream: Stream) -> Reading:
    """Hold a connection and tell how the peer ends it. What comes is ignored."""
    try:
        keep_alive(stream.sock)
        while await stream.receive():
            pass
        return reading_of_end()
    except ssl.SSLError:
        return reading_of_end()  # without TLS's own farewell, as a crash does it
    except OSError as exc:
        return reading_of_end(exc)


def reading_of_stream_error(error: OSError) -> Reading:
    """As `reading_of_os_error`, for TLS too: what a peer does in a handshake is an answer."""
    match error:
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            return Reading.failed(Failure.RESET, "closed in the middle of the TLS session")
        case ssl.SSLCertVerificationError():
            return Reading.failed(Failure.BAD_ANSWER, f"certificate: {error.verify_message}")
        case ssl.SSLError():
            return Reading.failed(Failure.BAD_ANSWER, f"TLS: {error.reason or error}")
        case _:
            return reading_of_os_error(error)
