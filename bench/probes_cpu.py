"""What a process has used of the machine, as the kernel counts it, and the addresses that are probed."""

from __future__ import annotations

import os
from pathlib import Path

# The kernel tells no less.
TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """User and system seconds of all its threads, from /proc/PID/stat."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def loopback(number: int) -> str:
    """An address of this host for each target: 127.1.0.1, 127.1.0.2…"""
    high, low = divmod(number, 250)
    return f"127.{1 + high // 250}.{high % 250}.{low + 1}"
