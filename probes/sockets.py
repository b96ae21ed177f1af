"""TCP on the event loop: the errno of each failure, and sockets that are closed at once on cancellation."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Sequence

from model.observation import Failure
from probes.addresses import Address
from probes.base import Reading
from probes.os_errors import OwnError, own_error, reading_of_os_error
from probes.staggered import first_to_answer
from probes.trace import note

# A held connection to a host that falls silent ends after about 5 s. Stalls are judged by the attempts' own
# deadlines; this only clears away what is half open.
_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 2),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 5000),
)
_CHUNK_BYTES = 65536
# SO_LINGER: a close drops what has not got through and sends a reset.
RST_ON_CLOSE = struct.pack("ii", 1, 0)
# How a peer ends an idle connection without a word.
_ENDINGS = frozenset({errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE})


async def connect(addresses: Sequence[Address]) -> socket.socket:
    """A connected socket, at the first address that takes it; the caller closes it. One that stays silent
    keeps the next from its turn for a moment only.

    Raises OSError: that of the target, if any address got so far, rather than one of our own.
    """
    if not addresses:
        raise OwnError(errno.EDESTADDRREQ, "no address to connect to")
    return await first_to_answer(addresses, _connect, socket.socket.close)


async def _connect(address: Address) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        await _connected(sock, address)
        return sock
    except BaseException as exc:
        sock.close()
        if isinstance(exc, OSError):
            note("could not connect to %s: %s", address.host, exc.strerror or exc)
        raise


async def _connected(sock: socket.socket, address: Address) -> None:
    code = sock.connect_ex(address.sockaddr)
    if code == errno.EINPROGRESS:
        await ready(sock, write=True)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
    elif code:
        raise own_error(OSError(code, os.strerror(code)))
    own = sock.getsockname()
    if own[1] == address.sockaddr[1] and own == sock.getpeername():
        # The kernel may pick the very port that is probed and connect the socket to itself.
        raise OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))


async def ready(sock: socket.socket, *, write: bool = False) -> None:
    """Until `sock` can be read, or written. Nothing is left behind on the loop."""
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()
    fd = sock.fileno()
    add, remove = (loop.add_writer, loop.remove_writer) if write else (loop.add_reader, loop.remove_reader)
    add(fd, _wake, waiter)
    try:
        await waiter
    finally:
        remove(fd)


async def receive(sock: socket.socket, most_bytes: int = _CHUNK_BYTES) -> bytes:
    """What has come, at most `most_bytes`; b"" when the peer has closed. Raises OSError."""
    while True:
        try:
            return sock.recv(most_bytes)
        except BlockingIOError:
            await ready(sock)


async def send(sock: socket.socket, data: bytes) -> None:
    """All of `data`. Raises OSError."""
    view = memoryview(data)
    while view:
        try:
            view = view[sock.send(view) :]
        except BlockingIOError:
            await ready(sock, write=True)


async def held_until_end(addresses: Sequence[Address]) -> Reading | None:
    """Hold a connection and tell how the peer ends it; None if it can't be opened. What comes is ignored."""
    try:
        sock = await connect(addresses)
    except OSError:
        return None  # the attempts tell what is wrong
    try:
        keep_alive(sock)
        while await receive(sock):
            pass
        return reading_of_end()
    except OSError as exc:
        return reading_of_end(exc)
    finally:
        sock.close()


def keep_alive(sock: socket.socket) -> None:
    """For a connection that is held."""
    for level, option, value in _KEEPALIVE:
        sock.setsockopt(level, option, value)


def reading_of_end(error: OSError | None = None) -> Reading:
    """How a held connection ended: closed, or with `error`."""
    if error is None:
        return Reading.failed(Failure.CLOSED, "the held connection was closed")
    if error.errno in _ENDINGS:
        return Reading.failed(Failure.CLOSED, f"the held connection ended: {error.strerror}")
    return reading_of_os_error(error)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
