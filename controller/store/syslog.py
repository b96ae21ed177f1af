"""Anchors to the system log: a copy of the journal's head that whoever edits the state directory can't reach.

Best effort: a datagram that can't be sent at once is dropped, since a failover must not wait for a log.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import Final

DEV_LOG: Final = Path("/dev/log")
_AUTHPRIV_NOTICE: Final = 10 * 8 + 5


class SystemLog:
    """One datagram socket, made anew when the log daemon restarts."""

    def __init__(self, path: Path = DEV_LOG) -> None:
        self._path = str(path)
        self._socket: socket.socket | None = None

    def send(self, text: str) -> bool:
        """True if the log took it. Never blocks, never raises."""
        message = f"<{_AUTHPRIV_NOTICE}>bcm-failover[{os.getpid()}]: {text}".encode()
        return self._try(message) or self._try(message)  # the second time over a new socket

    def _try(self, message: bytes) -> bool:
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
                self._socket.connect(self._path)
            self._socket.send(message)
        except OSError:
            self.close()
            return False
        return True

    def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None
