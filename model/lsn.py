"""Positions in PostgreSQL's write-ahead log (P3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


def parse_lsn(text: str) -> int:
    """`16/B374D848` → bytes since the beginning. Raises ValueError."""
    high, slash, low = text.partition("/")
    if not slash:
        raise ValueError(f"not a WAL position: {text!r} (expected HEX/HEX)")
    return (int(high, 16) << 32) | int(low, 16)


def format_lsn(position: int) -> str:
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:08X}"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Comparable only within one system and timeline lineage (P3). `lsn` in bytes."""

    system_identifier: str
    timeline: int
    lsn: int

    def __str__(self) -> str:
        return f"{format_lsn(self.lsn)} (timeline {self.timeline})"


# WAL segments have 1 MiB or more.
SMALLEST_SEGMENT: Final = 1 << 20


def may_be_invented(
    received: int | None, replayed: int | None, segment_bytes: int = SMALLEST_SEGMENT
) -> bool:
    """Is `received` a segment's start above what was replayed (POSTGRESQL P3)? A standby that was restarted
    without its primary says so, while it has less."""
    return received is not None and received > (replayed or 0) and received % segment_bytes == 0
