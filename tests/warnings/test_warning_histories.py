"""What the histories foretell: disks, latencies, and the age of a standby's data."""

from __future__ import annotations

from random import Random

import pytest

from controller.early_warnings.filling import FARTHEST, POINT_S, POINTS, FreeHistory, forecast
from controller.early_warnings.lag import CanaryTimes
from controller.early_warnings.latency import FLOOR_S, NEWEST, LatencyHistory
from controller.early_warnings.latency import POINT_S as BUCKET_S
from controller.early_warnings.latency import POINTS as BUCKETS

GIB = 1 << 30


def minutes(*free_gib: float) -> list[tuple[float, int]]:
    return [(n * POINT_S, int(free * GIB)) for n, free in enumerate(free_gib)]


def test_a_disk_that_fills_evenly_is_full_when_it_runs_out() -> None:
    told = forecast(minutes(*(100 - 0.5 * n for n in range(61))))
    assert told is not None
    assert told.full_in_s == pytest.approx(70 / 0.5 * 60)
    assert told.rate * 3600 == pytest.approx(30 * GIB)


def test_a_log_that_is_rotated_now_and_then_does_not_hide_that_the_disk_fills() -> None:
    points = minutes(*(50 - 0.1 * n + (2 if n % 20 == 0 else 0) for n in range(120)))
    told = forecast(points)
    assert told is not None
    assert told.rate * 60 == pytest.approx(0.1 * GIB, rel=0.1)


@pytest.mark.parametrize("at", [5, 15, 30, 45, 58])
def test_one_large_copy_is_no_trend(at: int) -> None:
    assert forecast(minutes(*(50 if n < at else 30 for n in range(60)))) is None


def test_what_has_stopped_filling_fills_no_more() -> None:
    assert forecast(minutes(*(50 - min(n, 40) for n in range(70)))) is None


def test_a_few_minutes_are_no_trend_and_foretell_no_day() -> None:
    assert forecast(minutes(*(50 - n for n in range(9)))) is None
    slow = forecast(minutes(*(500 - 0.5 * n for n in range(11))))  # 16 h, seen for 10 min
    assert slow is None
    seen_s = 200 * POINT_S
    longer = forecast(minutes(*(500 - 0.5 * n for n in range(201))))
    assert longer is not None
    assert longer.full_in_s < FARTHEST * seen_s


def test_the_history_keeps_one_point_a_minute_and_no_more_than_four_hours() -> None:
    history = FreeHistory()
    for second in range(0, 6 * 3600, 10):
        history.add(float(second), 100 * GIB - second * (1 << 20))
    assert len(history._points) == POINTS
    assert history.forecast is not None
    assert history.forecast.rate == pytest.approx(1 << 20, rel=0.01)


class Target:
    def __init__(self) -> None:
        self.history, self.now_s, self.random = LatencyHistory(), 0.0, Random(7)

    def answers(self, latency_s: float, for_s: float, jitter: float = 0.1) -> None:
        until_s = self.now_s + for_s
        while self.now_s < until_s:
            self.history.add(self.now_s, latency_s * self.random.uniform(1 - jitter, 1 + jitter))
            self.now_s += 1.0

    @property
    def slow(self) -> bool | None:
        pace = self.history.pace(4.0)
        return None if pace is None else pace.slow


def test_a_target_is_slow_against_its_own_history() -> None:
    target = Target()
    target.answers(0.020, 3600)
    assert target.slow is False
    target.answers(0.200, 60)
    assert target.slow is True
    target.answers(0.020, 60)
    assert target.slow is False


def test_nothing_is_judged_before_half_an_hour_is_known() -> None:
    target = Target()
    target.answers(0.020, 1500)
    target.answers(0.500, 60)
    assert target.history.pace(4.0) is None


def test_a_few_slow_answers_are_no_state() -> None:
    target = Target()
    target.answers(0.020, 3600)
    target.answers(2.0, NEWEST // 2)
    assert target.slow is False


def test_what_varies_by_itself_needs_more_to_be_slow() -> None:
    target = Target()
    for _ in range(24):
        target.answers(0.020, BUCKET_S)
        target.answers(0.040, BUCKET_S)
    target.answers(0.085, 60)
    pace = target.history.pace(2.0)
    assert pace is not None
    assert pace.now_s > 2.0 * pace.usual_s
    assert pace.slow is not True


def test_a_fraction_of_a_millisecond_more_is_served_as_well() -> None:
    target = Target()
    target.answers(0.0002, 3600)
    target.answers(FLOOR_S / 2, 60)
    assert target.slow is False


def test_what_stays_slow_is_usual_after_half_a_day_and_memory_stays() -> None:
    target = Target()
    target.answers(0.020, 86400)
    target.answers(0.200, 6 * 3600)
    assert target.slow is True
    target.answers(0.200, 7 * 3600)
    assert target.slow is False
    target.answers(0.200, 86400)
    assert len(target.history._points) == BUCKETS


def test_lag_is_the_age_of_what_a_standby_lacks() -> None:
    times = CanaryTimes(rpo_s=60.0)
    for n in range(100):
        times.add(n, float(n))
    assert times.lag_s(99, 99.5) == 0.0
    assert times.lag_s(49, 99.5) == 49.0  # it lacks the row of second 50, the newest is of 99
    assert times.lag_s(49, 70.2) == 20.0  # by what was known when it was read
    assert times.lag_s(5, -1.0) is None


def test_where_nothing_is_written_nothing_lags() -> None:
    times = CanaryTimes(rpo_s=60.0)
    times.add(1, 0.0)
    times.add(2, 5.0)
    assert times.lag_s(1, 5000.0) == 0.0
    assert times.lag_s(2, 5000.0) == 0.0


def test_the_times_reach_back_for_twice_the_rpo_in_bounded_memory() -> None:
    times = CanaryTimes(rpo_s=3600.0)
    for n in range(4 * 3600):
        times.add(n, float(n))
    assert len(times._acked) <= 1000
    assert times.lag_s(4 * 3600 - 3601, 4 * 3600.0) == pytest.approx(3600, abs=10)
