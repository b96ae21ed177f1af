"""Is a target slower than it used to be? Its own history says what is usual. Pure; constant memory.

Usual is the median of the last day, in points of five minutes, and their scatter (median absolute deviation);
now is the median of the last answers. Medians, since one vacuum or one lost packet says nothing. Silence adds
nothing: what does not answer is not slow. A day of history means that what has become slower for good is
usual after half a day.
"""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import Final

POINT_S: Final = 300.0
POINTS: Final = 288  # a day
SAMPLES: Final = 32  # of each five minutes
LEAST_POINTS: Final = 6  # half an hour, before anything is judged
NEWEST: Final = 15
# Scatter of a normal distribution, and how many of them are no chance.
MAD_TO_SIGMA: Final = 1.4826
SIGMAS: Final = 6.0
# Below this nobody is served worse, and our own process may be the cause.
FLOOR_S: Final = 0.010
# Clear again at this share of the threshold.
CLEAR_SHARE: Final = 0.75


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds; threshold_s: above it it is slow."""

    now_s: float
    usual_s: float
    threshold_s: float

    @property
    def slow(self) -> bool | None:
        """None: in between."""
        if self.now_s > self.threshold_s:
            return True
        return None if self.now_s > CLEAR_SHARE * self.threshold_s else False


class LatencyHistory:
    """Of one probe of one target."""

    __slots__ = ("_began_s", "_newest", "_next", "_points", "_sampled_s", "_samples", "_usual")

    def __init__(self) -> None:
        self._newest: deque[float] = deque(maxlen=NEWEST)
        self._samples: list[float] = []
        self._began_s: float | None = None
        self._sampled_s = 0.0
        self._points = array("d")
        self._next = 0
        self._usual: tuple[float, float] | None = None

    def add(self, at_s: float, latency_s: float) -> None:
        """One answer."""
        self._newest.append(latency_s)
        if self._began_s is None:
            self._began_s = at_s
        elif at_s - self._began_s >= POINT_S:
            self._close_point()
            self._began_s = at_s
        if not self._samples or at_s - self._sampled_s >= POINT_S / SAMPLES:
            self._samples.append(latency_s)
            self._sampled_s = at_s

    def pace(self, factor: float) -> Pace | None:
        """factor: slower by this is slow. None: not enough is known."""
        if self._usual is None or len(self._newest) < NEWEST:
            return None
        usual_s, scatter_s = self._usual
        threshold_s = max(factor * usual_s, usual_s + SIGMAS * MAD_TO_SIGMA * scatter_s, usual_s + FLOOR_S)
        return Pace(median(self._newest), usual_s, threshold_s)

    def _close_point(self) -> None:
        point, self._samples = median(self._samples), []
        if len(self._points) < POINTS:
            self._points.append(point)
        else:
            self._points[self._next] = point
            self._next = (self._next + 1) % POINTS
        if len(self._points) >= LEAST_POINTS:
            usual_s = median(self._points)
            self._usual = usual_s, median(abs(p - usual_s) for p in self._points)
