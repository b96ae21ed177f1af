"""The budget of automatic failovers: the whole estate's, a window's, and the last is given once."""

from __future__ import annotations

from supervisor_events import event

from controller.supervisor.budget import Launching, automatic_failovers
from model import events as ev
from model.events import Event

FIRST_NS = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z
LONG_AGO = "2025-12-31T00:00:00.000000Z"


def opened(kind: str = "failover", trigger: str = "automatic", **more: object) -> Event:
    return event(ev.EXECUTION_OPENED, {"kind": kind, "trigger": trigger}, **more)  # type: ignore[arg-type]


def test_it_counts_automatic_failovers_of_the_window_in_the_whole_estate() -> None:
    events = [
        opened(service="a"),
        opened(service="b"),
        opened(trigger="manual"),
        opened(trigger="approved"),
        opened(kind="rejoin"),
        opened(wall=LONG_AGO),
    ]
    assert automatic_failovers(events, FIRST_NS - 1) == 2


def test_a_clock_on_the_wall_that_jumps_ahead_gives_nobody_more() -> None:
    """Of this boot the monotonic clock counts; of an earlier one only the wall's is known."""
    a_day_later = FIRST_NS + 86_400_000_000_000
    assert automatic_failovers([opened(seq=5)], a_day_later) == 0
    assert automatic_failovers([opened(seq=5)], a_day_later, ("boot", 4_000_000_000)) == 1
    assert automatic_failovers([opened(seq=5)], a_day_later, ("boot", 6_000_000_000)) == 0
    assert automatic_failovers([opened(seq=5)], a_day_later, ("another boot", 0)) == 0


def test_two_that_launch_at_once_do_not_both_take_the_last() -> None:
    launching = Launching()
    with launching.one(1) as first, launching.one(1) as second:
        assert (first, second) == (True, False)
    with launching.one(1) as later:  # the first did not begin after all, or the journal leaves another
        assert later


def test_what_was_launched_and_failed_gives_its_share_back() -> None:
    launching = Launching()
    try:
        with launching.one(1):
            raise OSError
    except OSError:
        assert launching.count == 0
