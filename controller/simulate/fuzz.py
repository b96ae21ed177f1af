"""Plays scenario after scenario, in several processes, until enough faults were struck or the time is over.

Which scenarios are played follows from the first seed and the number of faults alone: results are taken in
the order of their seeds, and what a process had played beyond the last of them is left out. So the figures
are the same, however many processes there are.
"""

from __future__ import annotations

import math
import multiprocessing
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from controller.simulate.played import Played, play_seed

# So many scenarios are under way or wait for each process, so that none has to wait for the one that counts.
_AHEAD: Final = 3
_KEPT_FAILURES: Final = 200

# Called after each scenario; True: enough.
Watch = Callable[["Figures"], bool]


@dataclass(frozen=True, slots=True)
class Failure:
    """What a seed has shown. what: of its first violation."""

    seed: str
    rules: tuple[str, ...]
    what: str


@dataclass(slots=True)
class Figures:
    """What came of a run. recovered: scenarios in which everything worked again in the end."""

    seed: int
    scenarios: int = 0
    faults: int = 0
    seconds: float = 0.0
    wall_s: float = 0.0
    violations: Counter[str] = field(default_factory=Counter)
    false_failovers: int = 0
    missed_failovers: int = 0
    recovered: int = 0
    lost: int = 0
    rtos_s: list[float] = field(default_factory=list)
    seeds_failing: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    interrupted: bool = False

    def add(self, played: Played) -> None:
        self.scenarios += 1
        self.faults += played.faults
        self.seconds += played.seconds
        self.violations.update(v.rule for v in played.violations)
        self.false_failovers += played.false_failovers
        self.missed_failovers += played.missed_failovers
        self.recovered += played.recovered
        self.lost += played.lost
        self.rtos_s += played.rtos_s
        if played.rules:
            self.seeds_failing.append(played.seed)
            if len(self.failures) < _KEPT_FAILURES:
                self.failures.append(_failure(played))

    @property
    def clean(self) -> bool:
        return not self.seeds_failing

    def to_json(self) -> dict[str, Any]:
        return {
            "faults": self.faults,
            "seconds_simulated": round(self.seconds, 1),
            "wall_s": round(self.wall_s, 1),
            "violations": dict(sorted(self.violations.items())),
            "false_failovers": self.false_failovers,
            "missed_failovers": self.missed_failovers,
            "recovered": self.recovered,
            "rto": {
                "p50_s": percentile(self.rtos_s, 50),
                "p99_s": percentile(self.rtos_s, 99),
                "max_s": percentile(self.rtos_s, 100),
            },
            "lost_acknowledged": self.lost,
            "seeds_failing": list(self.seeds_failing),
        }


def _failure(played: Played) -> Failure:
    first = min(played.violations, key=lambda v: v.at_s, default=None)
    return Failure(played.seed, tuple(sorted(played.rules)), first.what if first else _unsaid(played))


def _unsaid(played: Played) -> str:
    if played.missed_failovers:
        return f"a failover was provable, and did not come: {played.held}"
    return "a failover, though no fault had taken the primary away"


def percentile(values: list[float], percent: int) -> float | None:
    """The nearest rank, in seconds; None without a value."""
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)], 3)


def fuzz(
    seed: int, *, faults: int | None, seconds: float | None = None, jobs: int = 1, watch: Watch | None = None
) -> Figures:
    """seconds: of real time. One of the two limits has to be given. `watch` may end it earlier."""
    figures = Figures(seed)
    began_s = time.monotonic()
    results = _results(seed, jobs)
    try:
        for played in results:
            figures.add(played)
            figures.wall_s = time.monotonic() - began_s
            if faults is not None and figures.faults >= faults:
                break
            if seconds is not None and figures.wall_s >= seconds:
                break
            if watch is not None and watch(figures):
                figures.interrupted = True
                break
    finally:
        results.close()
    figures.wall_s = time.monotonic() - began_s
    return figures


def _results(seed: int, jobs: int) -> Generator[Played, None, None]:
    return _alone(seed) if jobs <= 1 else _together(seed, jobs)


def _alone(seed: int) -> Generator[Played, None, None]:
    for number in count(seed):
        yield play_seed(number)


def _together(seed: int, jobs: int) -> Generator[Played, None, None]:
    """In the order of the seeds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["controller.simulate.fuzz"])
    numbers = count(seed)
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_leave_interrupts_alone) as pool:
        waiting: deque[Future[Played]] = deque()
        try:
            while True:
                while len(waiting) < jobs * _AHEAD:
                    waiting.append(pool.submit(play_seed, next(numbers)))
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _leave_interrupts_alone() -> None:
    """Ctrl-C reaches every process of the terminal: only the one that counts answers to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
