"""What a record says about its time: boot, clocks, and how far the host's clock is known to be off."""

from __future__ import annotations

import ctypes
import functools
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STA_UNSYNC = 0x0040
_STA_NANO = 0x2000


class Times(Protocol):
    """The two readings of a clock that a record needs; the port `Clock` has them."""

    def monotonic_s(self) -> float: ...

    def wall_s(self) -> float: ...


class HostTimes:
    """The host's own clocks, for tools that run without a daemon."""

    def monotonic_s(self) -> float:
        return time.monotonic()

    def wall_s(self) -> float:
        return time.time()


@functools.cache
def boot_id() -> str:
    """The kernel's id of this boot: monotonic readings compare only within one."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return "unknown"


def wall_utc(wall_s: float) -> str:
    """ISO 8601 with microseconds, `…Z`."""
    return (_EPOCH + timedelta(seconds=wall_s)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class _Timex(ctypes.Structure):
    """The beginning of the kernel's struct timex; the rest is padding that it writes into."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


@functools.cache
def _libc() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(None, use_errno=True)
        return library if hasattr(library, "adjtimex") else None
    except OSError:
        return None


def wall_offset_us() -> int | None:
    """The clock's offset in µs as the NTP client told the kernel; None if the clock is not disciplined.

    One system call (about 1 µs), so it is read for every record.
    """
    library = _libc()
    if library is None:
        return None
    timex = _Timex()
    if library.adjtimex(ctypes.byref(timex)) < 0 or timex.status & _STA_UNSYNC:
        return None
    offset = int(timex.offset)
    return offset // 1000 if timex.status & _STA_NANO else offset
