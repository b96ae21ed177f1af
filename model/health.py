"""What detection makes of the observations of one target by one probe."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from model.observation import Observation

# Below this a PostgreSQL server can't make another WAL segment (16 MiB), whatever `df` still shows free.
DISK_FULL_BYTES: Final = 16 * 1024 * 1024


class Health(StrEnum):
    UP = "up"
    SUSPECT = "suspect"
    DOWN = "down"
    UNKNOWN = "unknown"  # stale is unknown; unknown is never down (S6)


@dataclass(frozen=True, slots=True)
class Profile:
    """The numbers of detection. `silence_s` is what a target may fall silent for without being `down`.

    refusals: consecutive refusals, `burst_interval_s` apart, that confirm a crash.
    restart_grace_s: how long after an administrator's stop (57P01) or a start (57P03) nothing is concluded;
    and for how long a refusal is no crash where no held connection has told how it ended.
    """

    name: str
    interval_s: float
    timeout_s: float
    burst_interval_s: float
    burst_timeout_s: float
    refusals: int
    silence_s: float
    restart_grace_s: float
    rise: int
    canary_interval_s: float

    @property
    def stale_s(self) -> float:
        """Age at which a reading says nothing any more: two missed rounds and their time-out."""
        return 3 * self.interval_s + self.timeout_s + self.silence_s

    @property
    def gap_s(self) -> float:
        """The longest pause between two attempts in which the target still counts as watched. What happened
        in a longer one (this process was stopped, say) nobody saw: no silence is made of it (S6)."""
        return self.interval_s + self.timeout_s

    @property
    def worst_detection_s(self) -> float:
        """Worst case from the fault to `down`: silence that begins just after an answer, and the last round
        of burst attempts. Compared with the RTO by `check`."""
        return self.interval_s + self.silence_s + self.burst_timeout_s


# The longest stall that each must ride out, plus a margin for the answer after it under load.
# fast: short stalls count as outages; for services on a quiet network whose RTO is below 3 s.
# balanced: 2.0 s of silence and a restart of 5 s are no outage (the default).
# careful: 10 s of silence: hosts that are snapshotted or migrated live.
PROFILES: dict[str, Profile] = {
    "fast": Profile("fast", 0.2, 0.5, 0.025, 0.25, 3, 0.5, 2.0, 2, 0.1),
    "balanced": Profile("balanced", 0.5, 1.0, 0.025, 0.5, 3, 2.4, 5.0, 2, 0.2),
    "careful": Profile("careful", 1.0, 2.0, 0.05, 1.0, 5, 10.5, 15.0, 3, 0.5),
}


@dataclass(frozen=True)
class ProbeState:
    """Detection's memory of one (target, probe): a fold over its observations. Times are monotonic seconds.

    last_good_s: end of the last success. last_life_s: last moment at which anything answered.
    first_bad_s: start of the first attempt of the present run without success.
    silent_from_s: start of the first attempt of the present run without any answer; None while it answers.
    What follows is remembered until the next success. stopping_s: last sign of an administrator's stop
    (57P01). starting_s: last answer that it is not ready (57P03). closed_s: a held connection ended without a
    word and nothing answered since (the mark of a crash). disk_full_s: last 53100. refusals: refusals in a
    row. failures: attempts in a row that failed, however they did; counted where so many make it `down`.
    slow: successes in a row that took more than half of the time-out. answered_from_s: start of the
    youngest attempt that was answered. last_good: the answer whose facts hold now. full_from_s: since when
    one of its file systems has had no room, as its facts say; None while there is room or nothing is known.
    room_s: when there was last seen to be room.
    verdicts: the last 21, up or not, as `controller.flapping` packs them into an integer; sampled_s: when the
    newest of them fell. flapping: they change too often to be believed.
    """

    target: str
    probe: str
    health: Health = Health.UNKNOWN
    since_s: float = 0.0
    last_good_s: float | None = None
    last_life_s: float | None = None
    first_bad_s: float | None = None
    silent_from_s: float | None = None
    stopping_s: float | None = None
    starting_s: float | None = None
    closed_s: float | None = None
    disk_full_s: float | None = None
    refusals: int = 0
    failures: int = 0
    successes: int = 0
    slow: int = 0
    answered_from_s: float | None = None
    full_from_s: float | None = None
    room_s: float | None = None
    why: str = "not observed yet"
    last: Observation | None = None
    last_good: Observation | None = None
    verdicts: int = 1
    sampled_s: float | None = None
    flapping: bool = False

    def but(self, **changes: Any) -> ProbeState:
        """The same with other values of some fields: `dataclasses.replace` at a fifth of the cost. It is made
        for every observation; hence no slots either."""
        new = object.__new__(ProbeState)
        vars(new).update(vars(self), **changes)
        return new

    @property
    def restarting_s(self) -> float | None:
        """Last sign that somebody stops or starts it."""
        return max((s for s in (self.stopping_s, self.starting_s) if s is not None), default=None)
