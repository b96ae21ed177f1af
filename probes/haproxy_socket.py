"""The control socket of HAProxy, a file on this host or a port: connect to it, read an answer to its end."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable

from model.ports import Clock
from probes.os_errors import own_error
from probes.sockets import receive
from probes.streams import TooLongError
from probes.trace import note

# Rows take some 500 bytes: several thousand servers.
MOST_BYTES = 4 * 1024 * 1024
# A full backlog of a socket file refuses at once, where that of a port lets us wait.
_BACKLOG_POLL_S = 0.02
_UNIX_PATH_BYTES = 107


def is_control_socket(text: str) -> str:
    """`text` itself: the absolute path of a file, or HOST:PORT. Raises ValueError."""
    if not text.startswith("/"):
        host_and_port(text)
    elif len(text.encode()) > _UNIX_PATH_BYTES:
        raise ValueError(f"the path of a socket has at most {_UNIX_PATH_BYTES} bytes")
    return text


def host_and_port(text: str) -> tuple[str, int]:
    """Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"a stats socket is an absolute path or HOST:PORT, not {text!r}")
    return host.strip("[]"), int(port)


async def connect_file(path: str, clock: Clock) -> socket.socket:
    """Raises OSError. A path where nothing is says nothing of HAProxy: it may be written wrong."""
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            code = sock.connect_ex(path)
        except BaseException:
            sock.close()
            raise
        if code == 0:
            return sock
        sock.close()
        if code != errno.EAGAIN:
            raise own_error(OSError(code, f"{path}: {os.strerror(code)}"))
        note("nobody accepts at %s", path)
        await clock.sleep(_BACKLOG_POLL_S)


async def read_to_the_end(sock: socket.socket, judge: Callable[[bytes], None] = lambda _start: None) -> bytes:
    """HAProxy closes after its answers. judge: sees what has come so far, and raises what it likes.

    Raises TooLongError and OSError.
    """
    answer = bytearray()
    while chunk := await receive(sock):
        answer += chunk
        judge(bytes(answer[:20]))
        if len(answer) > MOST_BYTES:
            raise TooLongError(f"it says more than {MOST_BYTES} bytes")
    return bytes(answer)
