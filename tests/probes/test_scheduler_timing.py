"""When attempts begin: the pure arithmetic."""

from __future__ import annotations

import itertools
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from model.health import PROFILES
from probes.scheduler_timing import JITTER, Pace, fraction, next_slot_s, own_lag_spoils

PROFILE = PROFILES["balanced"]
keys = st.text(max_size=20)
times = st.floats(min_value=0, max_value=1e7)
intervals = st.floats(min_value=0.05, max_value=60)


def pace(concurrent: int = 4) -> Pace:
    return Pace("shop/pg1/postgresql", PROFILE, PROFILE.interval_s, concurrent)


@given(keys, times, intervals)
def test_the_next_slot_lies_within_one_interval_and_its_jitter(key: str, now: float, interval: float) -> None:
    wait = next_slot_s(key, now, interval) - now
    assert 0 < wait <= interval * (1 + JITTER) * 1.0001


@given(keys, times, intervals)
def test_each_slot_is_followed_by_another_one_interval_later(key: str, now: float, interval: float) -> None:
    first = next_slot_s(key, now, interval)
    second = next_slot_s(key, first, interval)
    assert interval * (1 - JITTER) * 0.999 <= second - first <= interval * (1 + JITTER) * 1.001


def test_targets_are_spread_over_the_interval() -> None:
    waits = sorted(next_slot_s(f"shop/pg{n}", 1000.0, 10.0) - 1000.0 for n in range(2000))
    widest = max(later - earlier for earlier, later in itertools.pairwise(waits))
    assert widest < 0.2
    assert waits[0] < 0.1
    assert waits[-1] > 9.9


def test_the_phase_is_the_same_in_every_process() -> None:
    code = "from probes.scheduler_timing import fraction; print(fraction('shop/pg1', 7))"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "99"}
    )
    assert float(shown.stdout) == fraction("shop/pg1", 7)


def test_silence_is_overlapped_by_fresh_attempts_evenly_spread_over_the_timeout() -> None:
    calm = pace().next_start_s(100.0, 100.0, unanswered=1, burst=False)
    assert calm is not None
    assert calm <= 100.0 + PROFILE.timeout_s / 4
    burst = pace().next_start_s(100.0, 100.0, unanswered=1, burst=True)
    assert burst == 100.0 + PROFILE.burst_timeout_s / 4


def test_answered_attempts_of_a_burst_follow_each_other_at_the_burst_interval() -> None:
    assert pace().next_start_s(100.01, 100.0, 0, burst=True) == 100.0 + PROFILE.burst_interval_s
    assert pace().next_start_s(100.5, 100.0, 0, burst=True) == 100.5


def test_no_attempt_begins_without_a_place() -> None:
    assert pace().next_start_s(100.0, 99.0, 4, burst=True) is None
    assert pace(concurrent=1).next_start_s(100.0, 99.0, 1, burst=False) is None


def test_own_lateness_of_more_than_half_the_timeout_spoils_an_attempt() -> None:
    assert own_lag_spoils(0.51, 1.0)
    assert not own_lag_spoils(0.49, 1.0)
