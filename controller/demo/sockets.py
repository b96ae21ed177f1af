"""Ends one TCP session of another process without a word, as a firewall does.

Killing a backend would make the server recover, and pg_terminate_backend says why (57P01). So the socket is
borrowed from the backend (pidfd_getfd, Linux 5.6) and shut: the client reads an end without a message.
"""

from __future__ import annotations

import ctypes
import os
import socket
from contextlib import suppress
from pathlib import Path

from model.errors import BcmError

_SYS_PIDFD_GETFD = 438  # the same on every architecture
_CAP_SYS_PTRACE = 1 << 19


def unsupported() -> str | None:
    """Why it can't be done here, or None."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    effective = next(line for line in status.splitlines() if line.startswith("CapEff"))
    if not int(effective.split()[1], 16) & _CAP_SYS_PTRACE:
        return "borrowing another process's socket needs CAP_SYS_PTRACE: run it as root"
    return None


def shut_of_process(pid: int, local_port: int) -> int:
    """Shut the TCP sockets of `pid` that belong to `local_port`. How many. Raises BcmError if not allowed."""
    inodes = _inodes(local_port)
    shut = 0
    with suppress(ProcessLookupError, FileNotFoundError):
        process = os.pidfd_open(pid)
        try:
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                if str(entry.readlink()) in inodes:
                    _shut(process, int(entry.name))
                    shut += 1
        finally:
            os.close(process)
    return shut


def _shut(process: int, descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    twin = libc.syscall(_SYS_PIDFD_GETFD, process, descriptor, 0)
    if twin < 0:
        raise BcmError(
            f"could not borrow a server's socket: {os.strerror(ctypes.get_errno())}", hint="run it as root"
        )
    with socket.socket(fileno=twin) as borrowed, suppress(OSError):
        borrowed.shutdown(socket.SHUT_RDWR)


def _inodes(local_port: int) -> set[str]:
    """`socket:[inode]` of each IPv4 session of that local port."""
    found: set[str] = set()
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == local_port and fields[3] == "01":
            found.add(f"socket:[{fields[9]}]")
    return found
