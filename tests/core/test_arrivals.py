"""What another controller saw, on our clock."""

from __future__ import annotations

from typing import Any

import pytest

from controller.arrivals import WINDOW_S, Arrivals, Arrived, Batch
from model.errors import UsageError
from model.observation import Observation, Outcome

# Of two hosts: theirs began 900 s before ours.
AHEAD_S = 900.0
TRAVEL_S = 0.002


def seen(ended_s: float, observer: str = "ops2", took_s: float = 0.01) -> Observation:
    return Observation(
        "orders/pg1", "postgresql", observer, Outcome.SUCCEEDED, ended_s - took_s, ended_s, 0.0
    )


def batch(number: int, sent_s: float, *ended_s: float, boot: str = "b1", **more: Any) -> Batch:
    return Batch("ops2", boot, number, sent_s, True, seen=tuple(seen(e) for e in ended_s), **more)


class Post:
    """Feeds one receiver; `waits` is how long a batch lies about beyond what it has to travel."""

    def __init__(self) -> None:
        self.arrivals = Arrivals()

    def bring(self, batch: Batch, ours_s: float, waits: float = 0.0) -> Arrived | None:
        """ours_s: what our clock shows when it is sent."""
        self.arrivals, arrived = self.arrivals.take(batch, ours_s + TRAVEL_S + waits)
        return arrived

    def age_s(self, arrived: Arrived | None, ours_s: float) -> float:
        assert arrived is not None
        return ours_s - arrived.seen[-1].ended_s


def test_what_was_seen_has_the_age_that_it_had_when_it_was_sent() -> None:
    post = Post()
    arrived = post.bring(batch(1, AHEAD_S + 10.0, AHEAD_S + 9.6), 10.0)
    assert arrived is not None
    [observation] = arrived.seen
    assert observation.ended_s == pytest.approx(9.6 + TRAVEL_S)
    assert observation.latency_s == pytest.approx(0.01)
    assert arrived.at_s == pytest.approx(10.0 + TRAVEL_S)


def test_what_waited_on_its_way_is_that_much_older() -> None:
    post = Post()
    post.bring(batch(1, AHEAD_S + 10.0), 10.0)
    late = post.bring(batch(2, AHEAD_S + 11.0, AHEAD_S + 11.0), 11.0, waits=30.0)
    assert post.age_s(late, 41.0) == pytest.approx(30.0 - TRAVEL_S)


def test_a_clock_that_stands_still_makes_all_that_is_seen_older_and_older() -> None:
    """A host that was suspended, or whose process replays what it has: its clock counts on from where it
    stopped."""
    post = Post()
    post.bring(batch(1, AHEAD_S + 10.0), 10.0)
    for number, ours_s in ((2, 20.0), (3, 30.0)):
        arrived = post.bring(batch(number, AHEAD_S + 10.0, AHEAD_S + 10.0), ours_s)
        assert post.age_s(arrived, ours_s) == pytest.approx(ours_s - 10.0, abs=0.01)


def test_a_sender_that_was_suspended_is_believed_again_after_two_windows() -> None:
    post = Post()
    post.bring(batch(1, AHEAD_S + 10.0), 10.0)
    slept_s, ages, ours_s = 100.0, [], 120.0
    for number in range(2, 200):
        theirs_s = ours_s - slept_s + AHEAD_S
        ages.append(post.age_s(post.bring(batch(number, theirs_s, theirs_s), ours_s), ours_s))
        ours_s += 1.0
    assert ages[0] == pytest.approx(slept_s, abs=0.01)
    assert ages[int(2 * WINDOW_S) + 1] == pytest.approx(0.0, abs=0.01)


def test_clocks_that_drift_apart_age_nothing() -> None:
    """100 ppm for an hour: one offset for all time would be 0.36 s off."""
    post, ours_s, worst_s = Post(), 0.0, 0.0
    for number in range(1, 721):
        theirs_s = AHEAD_S + ours_s * (1 - 1e-4)
        arrived = post.bring(batch(number, theirs_s, theirs_s), ours_s)
        worst_s = max(worst_s, abs(post.age_s(arrived, ours_s)))
        ours_s += 5.0
    assert worst_s < 0.02


def test_what_has_been_here_before_or_was_overtaken_is_passed_over() -> None:
    post = Post()
    assert post.bring(batch(2, AHEAD_S + 10.0), 10.0) is not None
    assert post.bring(batch(2, AHEAD_S + 10.0), 10.1) is None
    assert post.bring(batch(1, AHEAD_S + 9.0), 10.2) is None
    assert post.bring(batch(3, AHEAD_S + 11.0), 11.0) is not None


def test_a_number_that_is_missing_was_lost() -> None:
    post = Post()
    told = [post.bring(batch(n, AHEAD_S + n), float(n)) for n in (5, 6, 8, 7, 9)]
    assert [None if a is None else a.missed for a in told] == [False, False, True, None, False]
    anew = post.bring(batch(1, 3.0, boot="b2"), 12.0)
    assert anew is not None
    assert anew.missed


def test_a_sender_that_began_anew_counts_from_one_again_on_another_clock() -> None:
    post = Post()
    post.bring(batch(7, AHEAD_S + 10.0), 10.0)
    arrived = post.bring(batch(1, 3.0, 2.5, boot="b2"), 20.0)
    assert post.age_s(arrived, 20.0) == pytest.approx(0.5 - TRAVEL_S)


def test_each_sender_has_a_clock_of_its_own() -> None:
    post = Post()
    post.bring(batch(1, AHEAD_S + 10.0), 10.0)
    arrived = post.bring(Batch("ops3", "b9", 1, 5.0, None, seen=(seen(4.0, "ops3"),)), 10.0)
    assert post.age_s(arrived, 10.0) == pytest.approx(1.0 - TRAVEL_S)


@pytest.mark.parametrize(
    "nonsense",
    [
        Batch("ops2", "b1", 1, 10.0, True, seen=(seen(9.0, "ops3"),)),
        Batch("ops2", "b1", 1, 10.0, True, seen=(seen(10.1),)),
        Batch("ops2", "b1", 1, 10.0, True, seen=(seen(9.0, took_s=-1.0),)),
    ],
)
def test_what_no_controller_could_have_seen_is_refused(nonsense: Batch) -> None:
    arrivals = Arrivals()
    with pytest.raises(UsageError):
        arrivals.take(nonsense, 10.0)
    assert not arrivals.clocks
