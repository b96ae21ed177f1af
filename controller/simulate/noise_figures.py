"""The figures of a stretch of noise, from several processes, and how they are told."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from controller.simulate.noise import RIDES_OUT_S
from controller.simulate.noise_run import Tally, play, upper_bound_95, worlds
from controller.simulate.noise_stalls import KINDS, longest
from controller.simulate.played import silent

Part = tuple[str, str, float]
# Told after each world; true: it is enough.
Watch = Callable[[Tally], bool]


@dataclass(frozen=True, slots=True)
class Figures:
    """stalls: kind → the longest that the profile rides out, in seconds."""

    seed: int
    tally: Tally
    stalls: dict[str, float]
    wall_s: float
    interrupted: bool = False

    @property
    def false_failovers(self) -> int:
        """Those for what the profile promises to ride out."""
        return sum(not f.beyond for f in self.tally.failovers)

    @property
    def stall_failovers(self) -> int:
        """Those for a silence that is longer than the profile promises to ride out."""
        return len(self.tally.failovers) - self.false_failovers

    @property
    def kept(self) -> bool:
        """Did the profile keep its promise? `fast` takes short stalls for outages, and makes none."""
        return self.tally.profile == "fast" or not self.false_failovers

    def to_json(self) -> dict[str, Any]:
        tally, years = self.tally, self.tally.years
        return {
            "profile": tally.profile,
            "seed": self.seed,
            "years": round(years, 4),
            "disturbances": sum(tally.disturbances.values()),
            "false_failovers": self.false_failovers,
            "false_failovers_a_year": _rate(self.false_failovers, years),
            "upper_bound_95_a_year": _bound(self.false_failovers, years),
            "stall_failovers": self.stall_failovers,
            "stall_failovers_a_year": _rate(self.stall_failovers, years),
            "stall_upper_bound_95_a_year": _bound(self.stall_failovers, years),
            "rides_out_s": RIDES_OUT_S[tally.profile],
            "longest_stall_s": self.stalls,
            "by_noise": dict(sorted(Counter(f.noise for f in tally.failovers).items())),
            "incidents": tally.incidents,
            "pages": tally.pages.total(),
            "pages_a_year": _rate(tally.pages.total(), years),
            "pages_by_kind": dict(sorted(tally.pages.items())),
            "person_needed": tally.helped,
            "seconds_simulated": round(tally.seconds, 1),
            "seconds_played": round(tally.seconds - tally.jumped_s, 1),
            "wall_s": round(self.wall_s, 1),
            "failovers": [
                {"world": f.seed, "at_s": f.at_s, "code": f.code, "noise": f.noise, "beyond": f.beyond}
                for f in tally.failovers
            ],
        }


def measure(profile: str, seed: int, days: float, *, jobs: int, watch: Watch) -> Figures:
    """The same profile, seed and days give the same figures, whatever the number of processes."""
    began_s = time.monotonic()
    tally, interrupted = Tally(profile), False
    for played in _results(list(worlds(profile, str(seed), days)), jobs):
        tally.add(played)
        if watch(tally):
            interrupted = tally.seconds < days * 86_400
            break
    with silent():
        stalls = {kind: longest(profile, kind, str(seed)).longest_s for kind in KINDS}
    return Figures(seed, tally, stalls, time.monotonic() - began_s, interrupted)


def _results(parts: list[Part], jobs: int) -> Iterator[Tally]:
    """In the order of the worlds."""
    if jobs == 1:
        yield from map(_quietly, parts)
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["controller.simulate.noise_figures"])
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        waiting = [pool.submit(partial(_quietly, part)) for part in parts]
        try:
            for result in waiting:
                yield result.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _quietly(part: Part) -> Tally:
    with silent():
        return play(*part)


def _rate(found: int, years: float) -> float:
    return round(found / years, 3) if years else 0.0


def _bound(found: int, years: float) -> float | None:
    return round(upper_bound_95(found, years), 3) if years else None
