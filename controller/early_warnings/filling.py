"""How long until a file system is full, from how it filled in the last hours. Pure; constant memory.

A line through everything would be fooled by a log that grows and is rotated, and by one large copy. So the
rate is a median of slopes between points a quarter of the history apart (Theil's estimate with a part of the
pairs, 1950: one jump touches a third of them), and the lesser of that over the whole history and over its
newest third: what has stopped filling fills no more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

# One point a minute for four hours: a night's batch shows, and memory stays at a few KiB.
POINT_S: Final = 60.0
POINTS: Final = 240
# What a few minutes show is a moment, not a trend.
LEAST_POINTS: Final = 10
# Nothing is foretold for longer than this many times what was seen: ten minutes tell of two hours.
FARTHEST: Final = 12.0

Point = tuple[float, int]


@dataclass(frozen=True, slots=True)
class Forecast:
    """full_in_s at the present rate, bytes per second."""

    full_in_s: float
    rate: float


class FreeHistory:
    """Free bytes of one file system, thinned to one point a minute."""

    __slots__ = ("_forecast", "_points")

    def __init__(self) -> None:
        self._points: deque[Point] = deque(maxlen=POINTS)
        self._forecast: Forecast | None = None

    def add(self, at_s: float, free: int) -> None:
        if self._points and at_s - self._points[-1][0] < POINT_S:
            return
        self._points.append((at_s, free))
        self._forecast = forecast(tuple(self._points))

    @property
    def forecast(self) -> Forecast | None:
        """None: it does not fill, or too little was seen."""
        return self._forecast


def forecast(points: Sequence[Point]) -> Forecast | None:
    """points: (seconds, free bytes), oldest first."""
    if len(points) < LEAST_POINTS:
        return None
    newest = points[-max(len(points) // 3, LEAST_POINTS // 2) :]
    rate = min(-_slope(points), -_slope(newest))
    if rate <= 0:
        return None
    full_in_s = max(points[-1][1], 0) / rate
    seen_s = points[-1][0] - points[0][0]
    return Forecast(full_in_s, rate) if full_in_s <= FARTHEST * seen_s else None


def _slope(points: Sequence[Point]) -> float:
    apart = max(len(points) // 4, 1)
    pairs = zip(points, points[apart:], strict=False)
    return median((free - was) / (at_s - from_s) for (from_s, was), (at_s, free) in pairs)
