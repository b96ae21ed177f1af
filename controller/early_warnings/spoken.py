"""Figures as a person says them."""

from __future__ import annotations

_SPANS = ((86400.0, "days"), (3600.0, "h"), (60.0, "min"))
_SIZES = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def span(seconds: float) -> str:
    """`3 h`, `12 days`, `4 min`, `2.3 s`."""
    for unit_s, name in _SPANS:
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {name}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def apart(seconds: float) -> str:
    """Of clocks: to the millisecond where it is small."""
    return latency(seconds) if seconds < 10 else span(seconds)


def latency(seconds: float) -> str:
    """`12 ms`, `0.4 ms`, `1.20 s`."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


def size(amount: float) -> str:
    """`1.1 GiB`, `640 MiB`."""
    for unit, name in _SIZES:
        if amount >= unit:
            value = amount / unit
            return f"{value:.1f} {name}" if value < 10 else f"{value:.0f} {name}"
    return f"{amount:.0f} bytes"
