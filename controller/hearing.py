"""Does anything answer us, other than the primary? Silence counts only where something else is heard (S6).

While nothing at all answers, it may be us who are cut off; and when the way is there again, whoever is asked
first answers first. So the primary's silence is counted anew from the first answer after such a stretch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from model.observation import ALIVE_FAILURES, Failure, Observation, Outcome

# Failures by which a host, if not the server, answers: the way to it works.
REACHED: Final = ALIVE_FAILURES | {Failure.REFUSED, Failure.RESET, Failure.CLOSED, Failure.STOPPING}
# Start of the first attempt that is answered, after none was for so many intervals: we were deaf meanwhile.
_DEAF_INTERVALS = 1.5


def answered(seen: Observation) -> bool:
    return seen.outcome is Outcome.SUCCEEDED or seen.failure in REACHED


@dataclass(slots=True)
class Hearing:
    """Of one service's observer. Monotonic seconds, each the start of an attempt that was answered.

    last_s: the newest. since_s: the first one after the last stretch in which nothing answered.
    """

    last_s: float | None = None
    since_s: float | None = None

    def heard(self, started_s: float, interval_s: float) -> None:
        """Something other than the primary answered, be it by a refusal."""
        if self.last_s is None or started_s - self.last_s > _DEAF_INTERVALS * interval_s:
            self.since_s = started_s
        if self.last_s is None or started_s > self.last_s:
            self.last_s = started_s

    def counts(self, silent_from_s: float, now_s: float, silence_s: float) -> bool:
        """Is a silence that began then one of the other side: was something else heard since, and for as long
        as it takes?"""
        if self.last_s is None or self.since_s is None or self.last_s <= silent_from_s:
            return False
        return self.since_s <= silent_from_s or now_s - self.since_s >= silence_s
