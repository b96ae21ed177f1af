"""What the service manager is told (sd_notify(3)): a datagram to $NOTIFY_SOCKET, nothing more.

Outside systemd every call is silently nothing.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping


class Notifier:
    """`watchdog_s`: the service manager kills a daemon that says nothing for this long; None: no watchdog."""

    def __init__(self, address: str | None, watchdog_s: float | None = None) -> None:
        self._address = address
        self.watchdog_s = watchdog_s

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str] | None = None) -> Notifier:
        """Takes the variables out, so that no child process speaks in our name."""
        environ = os.environ if environ is None else environ
        address = environ.pop("NOTIFY_SOCKET", None)
        usec = environ.pop("WATCHDOG_USEC", "")
        pid = environ.pop("WATCHDOG_PID", "")
        meant = not pid or pid == str(os.getpid())
        return cls(address or None, int(usec) / 1e6 if usec.isdigit() and int(usec) and meant else None)

    def ready(self) -> None:
        """Started up; or done with a reload."""
        self._send("READY=1")

    def reloading(self) -> None:
        """With the time at which it began: without it `systemctl reload` waits for ever."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def watchdog(self) -> None:
        """To be called at least twice in `watchdog_s`, and only while the daemon does its work."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send("STATUS=" + " ".join(text.split()))

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # A leading @ is an abstract socket. A full or vanished queue never stops or breaks the daemon.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            try:
                sender.sendto(message.encode(), address)
            except OSError:
                return
