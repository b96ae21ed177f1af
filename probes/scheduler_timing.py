"""When the next attempt of a probe begins: arithmetic only, no clock and no tasks.

Calm: one attempt per interval, at a phase of the probe's own, so that two thousand targets do not all start
together (measured: p50 664 ms against 0.57 ms). Burst: suspicion contracts the interval until an answer.
In both, attempts that nothing answers are overlapped by fresh ones, evenly spread over the time-out: silence
is then measured from the first, and an answer is seen within a fraction of a time-out when it comes back.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field

from model.health import Profile
from probes.awareness import stretched_s

# Of an interval: targets whose phases fall together by chance drift apart and meet again, but never stay.
JITTER = 0.05
# Of an attempt's time-out. An attempt during which this process itself was late by more is no evidence: what
# answers within the other half is still heard, and what does not is judged by the next attempt.
OWN_LAG_SHARE = 0.5
# Of the time since an attempt began. A process that is late for more of it asks no second time beside it.
OVERLAP_LAG_SHARE = 0.1
# The most that an event may put up with, so that many are done in one round: at a thousand checks a second a
# wake-up for each would cost a third of it. For a start in calm, of an interval: a fifth of the jitter.
MOST_SLACK_S = 0.005
CALM_SLACK = 0.01
# A target that stays dead is looked at in calm again after so many times the longest wait that detection
# makes; the burst has told by then what it can, and a dead host must not be hammered for a night.
BURST_WAITS = 2.0


def fraction(*parts: object) -> float:
    """A number in [0, 1) from the parts; the same in every process (Python's own hash is salted)."""
    text = "\0".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest()) / 2.0**48


def next_slot_s(key: str, now_s: float, interval_s: float) -> float:
    """The first moment after `now_s` of the series phase + k·interval + jitter(k)."""
    return Slots(key, interval_s).after(now_s)


class Slots:
    """The series of one probe. It is asked several times for each moment of it, and remembers the last."""

    __slots__ = ("_asked_s", "_interval_s", "_key", "_next_s", "_phase_s")

    def __init__(self, key: str, interval_s: float) -> None:
        self._key = key
        self._interval_s = interval_s
        self._phase_s = fraction(key) * interval_s
        self._asked_s = self._next_s = float("-inf")

    def after(self, now_s: float) -> float:
        """The first moment after `now_s`."""
        if not self._asked_s <= now_s < self._next_s:
            self._asked_s, self._next_s = now_s, self._find(now_s)
        return self._next_s

    def number_after(self, now_s: float) -> int:
        """Which one of the series the first moment after `now_s` is: the difference of two is how many lie
        between."""
        number = math.floor((now_s - self._phase_s) / self._interval_s)
        while self._moment(number) <= now_s:
            number += 1
        return number

    def _find(self, now_s: float) -> float:
        return self._moment(self.number_after(now_s))

    def _moment(self, number: int) -> float:
        return self._phase_s + (number + fraction(self._key, number) * JITTER) * self._interval_s


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast one probe goes. `concurrent`: how many attempts may be under way at once."""

    key: str
    profile: Profile
    interval_s: float
    concurrent: int
    slots: Slots = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "slots", Slots(self.key, self.interval_s))

    @property
    def slack_s(self) -> float:
        """By how much an attempt in calm may begin later, so that it shares a wake-up with others."""
        return min(MOST_SLACK_S, CALM_SLACK * self.interval_s)

    def timeout_s(self, burst: bool, score: int = 0) -> float:
        """score: of this process's own health; 0 is good."""
        timeout_s = self.profile.burst_timeout_s if burst else self.profile.timeout_s
        return stretched_s(timeout_s, score, self.profile.timeout_s)

    @property
    def burst_limit_s(self) -> float:
        """After so long without an answer a burst relaxes to the calm interval."""
        return BURST_WAITS * (self.profile.silence_s + self.profile.restart_grace_s)

    @property
    def overdue_s(self) -> float:
        """How long a judged attempt may go on waiting: as long as detection rides out silence, for a server
        that answers slower than any deadline must not be taken for dead."""
        return self.profile.silence_s

    def next_start_s(
        self, now_s: float, last_start_s: float, unanswered: int, burst: bool, score: int = 0
    ) -> float | None:
        """When the next attempt begins, not before `now_s`; None: no room before one of the unanswered ends.

        last_start_s: start of the last attempt; unanswered: attempts that hold a place.
        """
        if unanswered >= self.concurrent:
            return None
        spread_s = self.timeout_s(burst, score) / self.concurrent
        if burst:
            wait_s = self.profile.burst_interval_s
            return max(now_s, last_start_s + (max(wait_s, spread_s) if unanswered else wait_s))
        slot_s = self.slots.after(now_s)
        return min(slot_s, max(now_s, last_start_s + spread_s)) if unanswered else slot_s


def own_lag_spoils(lag_s: float, timeout_s: float) -> bool:
    """Was this process itself late for so much of an attempt that the lack of an answer says nothing (S6)?"""
    return lag_s > OWN_LAG_SHARE * timeout_s
