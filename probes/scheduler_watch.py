"""What the scheduler knows of one probe: its attempts, its held connection, and whether it is suspected."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from model.observation import ALIVE_FAILURES, Outcome
from probes.base import Probe, Reading
from probes.scheduler_time import Timer
from probes.scheduler_timing import Pace


@dataclass(eq=False, slots=True)
class Attempt:
    """One `check`. lag_mark_s: what this process had been late by in all when the attempt began."""

    started_s: float
    timeout_s: float
    lag_mark_s: float
    task: asyncio.Task[None] | None = None
    expiry: Timer | None = None

    @property
    def deadline_s(self) -> float:
        return self.started_s + self.timeout_s


@dataclass(eq=False, slots=True)
class Watch:
    """One probe of one target.

    waiting: attempts without a verdict. overdue: judged, still running, so that a late answer is heard.
    cancelled: let go of, not ended yet. A new attempt needs a place among `waiting` and `cancelled`.
    due_s: start of the next attempt, None while there is no room; start: its timer. burst_since_s: when
    suspicion began, None without any. postponed: when an overlapping attempt was put off last, because this
    process was late, and by how much it had been late in all by then.
    newest_life_s: start of the youngest attempt that something answered.
    """

    target: str
    probe: Probe
    pace: Pace
    last_start_s: float
    due_s: float | None = None
    start: Timer | None = None
    postponed: tuple[float, float] | None = None
    burst_since_s: float | None = None
    successes: int = 0
    newest_life_s: float = float("-inf")
    waiting: list[Attempt] = field(default_factory=list)
    overdue: list[Attempt] = field(default_factory=list)
    cancelled: list[Attempt] = field(default_factory=list)
    hold: asyncio.Task[None] | None = None
    held_s: float = float("-inf")
    error_seen: str = ""
    removed: bool = False
    type: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        self.type = self.probe.type
        self.name = f"probe {self.type} {self.target}"

    def start_at(self, due_s: float | None, timer: Timer | None) -> None:
        """The next attempt begins then, and not when it was planned before."""
        if self.start is not None:
            self.start.cancel()
        self.due_s, self.start = due_s, timer

    def bursting(self, now_s: float) -> bool:
        """A burst that has lasted long enough without an answer relaxes: the target is simply dead."""
        return self.burst_since_s is not None and now_s - self.burst_since_s <= self.pace.burst_limit_s

    @property
    def most_overdue(self) -> int:
        """How many judged attempts may go on waiting for a late answer. None for a type of one attempt at a
        time: they would keep the next from its place."""
        return self.pace.concurrent if self.pace.concurrent > 1 else 0

    @property
    def stuck(self) -> bool:
        """Attempts that do not end though they were cancelled take every place."""
        return not self.waiting and len(self.cancelled) >= self.pace.concurrent

    def next_start_s(self, now_s: float, score: int) -> float | None:
        places = len(self.waiting) + len(self.cancelled)
        return self.pace.next_start_s(now_s, self.last_start_s, places, self.bursting(now_s), score)

    def suspect(self, now_s: float) -> None:
        """Begin a burst, or begin it anew."""
        self.successes = 0
        self.burst_since_s = now_s

    def learn(self, reading: Reading, started_s: float, now_s: float) -> None:
        """Contract to a burst, or relax, by what an attempt begun at `started_s` saw.

        An answer relaxes even if it is an error: a server that is full or lets nobody in is not to be
        hammered. Successes must come `rise` times, as detection asks. `unknown` changes nothing, and neither
        does the silence of an attempt when a younger one was answered.
        """
        if reading.outcome is Outcome.UNKNOWN:
            return
        if reading.outcome is Outcome.SUCCEEDED:
            self.newest_life_s = max(self.newest_life_s, started_s)
            self.successes += 1
            if self.successes >= self.pace.profile.rise:
                self.burst_since_s = None
        elif reading.failure in ALIVE_FAILURES:
            self.newest_life_s = max(self.newest_life_s, started_s)
            self.successes = 0
            self.burst_since_s = None
        elif started_s >= self.newest_life_s:
            self.successes = 0
            if self.burst_since_s is None:
                self.burst_since_s = now_s
