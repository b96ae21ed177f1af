"""A network of its own for a test: loopback only, with its own sysctls. Linux, and root or nothing.

A namespace belongs to a thread, so the test's coroutine runs on a loop in a thread that has entered one.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import pytest

_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_CAPABILITY_VERSION_3, _CAP_NET_RAW = 0x20080522, 13
_SYS = Path("/proc/sys/net")


def in_namespace(
    main: Callable[[], Coroutine[Any, Any, None]],
    sysctls: Mapping[str, str],
    *,
    may_ping: bool = True,
    runner: Callable[[Coroutine[Any, Any, None]], None] = asyncio.run,
) -> None:
    """Run `main` in a new network namespace; skips the test where none can be made.

    may_ping: without it, `main` runs without CAP_NET_RAW. runner: of the loop, such as `uvloop.run`.
    """
    failed: list[BaseException] = []

    def run() -> None:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.unshare(_CLONE_NEWNET) != 0:
                pytest.skip(f"no network namespace here: {os.strerror(ctypes.get_errno())}")
            _loopback_up()
            for name, value in sysctls.items():
                (_SYS / name).write_text(value)
            if not may_ping:
                _drop_net_raw(libc)
            runner(main())
        except BaseException as exc:
            failed.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def _drop_net_raw(libc: ctypes.CDLL) -> None:
    """Of this thread alone, as capset(2) does."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice 32 bits
    assert libc.capget(header, sets) == 0
    sets[0] &= ~(1 << _CAP_NET_RAW)
    sets[1] &= ~(1 << _CAP_NET_RAW)
    assert libc.capset(header, sets) == 0


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sh", b"lo", 0)
        flags = struct.unpack("16sh", fcntl.ioctl(sock, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", flags | _IFF_UP))
