"""The first words of an ssh server, read on the loop: a peer that says none takes no thread."""

from __future__ import annotations

import socket

from probes.sockets import receive

# RFC 4253, 4.2: lines may come before the version, which has at most 255 characters.
MOST_BYTES = 8192
_MOST_LINE = 255
_VERSION = b"SSH-"
_RIGHT = (b"SSH-2.0-", b"SSH-1.99-")


class NoSshError(Exception):
    """Something answered, and it was no ssh."""


class NotNowError(Exception):
    """A server that has no room for one more login."""


async def read_banner(sock: socket.socket) -> tuple[str, bytes]:
    """(version, all that was read). Raises NoSshError, NotNowError, OSError."""
    heard = b""
    while True:
        chunk = await receive(sock)
        heard += chunk
        *lines, rest = heard.split(b"\n")
        for line in lines:
            if line.startswith(_VERSION):
                return _version(line), heard
        if not chunk:
            raise _closed([*lines, rest])
        if len(heard) > MOST_BYTES or len(rest) > _MOST_LINE or b"\0" in heard:
            raise NoSshError(f"no ssh: it says {(rest or lines[-1])[:60]!r}")


def _version(line: bytes) -> str:
    if not line.startswith(_RIGHT) or len(line) > _MOST_LINE:
        raise NoSshError(f"no ssh of version 2: {line[:60]!r}")
    return line.decode(errors="replace").strip()


def _closed(lines: list[bytes]) -> Exception:
    said = b" ".join(lines).strip()
    if not said:
        return ConnectionResetError("closed without a word")
    # sshd's words where MaxStartups is reached.
    if b"MaxStartups" in said:
        return NotNowError("it has too many logins under way (MaxStartups)")
    return NoSshError(f"it said {said[:60]!r} and closed")
