"""How old the data of a standby is, by the canary rows that it lacks. Pure; constant memory."""

from __future__ import annotations

from collections import deque
from typing import Final

# Twice the RPO is covered, and never finer than the canary itself is looked at.
POINTS: Final = 1000
FINEST_S: Final = 1.0


class CanaryTimes:
    """When which canary was acknowledged, thinned so that it reaches back for twice the RPO."""

    def __init__(self, rpo_s: float) -> None:
        self._spacing_s = max(FINEST_S, 2 * rpo_s / POINTS)
        self._acked: deque[tuple[int, float]] = deque(maxlen=POINTS)
        self._newest: tuple[int, float] | None = None

    def add(self, number: int, at_s: float) -> None:
        if self._newest is not None and number <= self._newest[0]:
            return
        self._newest = (number, at_s)
        if not self._acked or at_s - self._acked[-1][1] >= self._spacing_s:
            self._acked.append(self._newest)

    def lag_s(self, number: int, read_s: float) -> float | None:
        """Of a standby that showed canary `number` when it was read: how much older than the primary's its
        data was. None: no canary is known to have been acknowledged by then.

        Against the newest acknowledged one, not against the clock: where nothing is written, nothing lags.
        """
        last: float | None = None
        missing: float | None = None
        for n, at_s in (*self._last(), *reversed(self._acked)):
            if at_s > read_s:
                continue
            last = at_s if last is None else last
            if n <= number:
                break
            missing = at_s
        if last is None:
            return None
        return 0.0 if missing is None else last - missing

    def _last(self) -> tuple[tuple[int, float], ...]:
        return () if self._newest is None else (self._newest,)
