"""The budget of automatic failovers: the whole estate's, a window's, and the last is given once."""

from __future__ import annotations

import asyncio

import pytest
from memory_journal import MemoryJournal, MemoryStore
from virtual_clock import VirtualClock

from config.daemon import FailoverBudget
from controller.supervisor.budget import AutomaticFailovers, Launching
from model import events as ev

THREE_AN_HOUR = FailoverBudget(count=3, per=3600.0)


class JumpingClock(VirtualClock):
    jumped_s = 0.0

    def wall_s(self) -> float:
        return super().wall_s() + self.jumped_s


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock(start_s=10_000.0)


@pytest.fixture
def journal(clock: JumpingClock) -> MemoryJournal:
    made = MemoryStore().open()
    made.mono_ns = lambda: int(clock.monotonic_s() * 1e9)
    return made


def opened(journal: MemoryJournal, service: str, kind: str = "failover", trigger: str = "automatic") -> None:
    data = {"kind": kind, "trigger": trigger}
    asyncio.run(journal.append(ev.EXECUTION_OPENED, data, service=service, execution="new"))


def test_it_counts_what_was_automatic_in_the_whole_estate_and_reads_on(
    journal: MemoryJournal, clock: JumpingClock
) -> None:
    known = AutomaticFailovers(journal)
    assert known.left(THREE_AN_HOUR, clock, "boot-1") == 3
    for service in ("a", "b"):
        opened(journal, service)
        opened(journal, service, trigger="approved")
        opened(journal, service, trigger="manual")
        opened(journal, service, kind="rejoin")
    for _ in range(2):
        assert known.left(THREE_AN_HOUR, clock, "boot-1") == 1
    opened(journal, "c")
    assert known.left(THREE_AN_HOUR, clock, "boot-1") == 0
    assert known.left(FailoverBudget(count=1, per=3600.0), clock, "boot-1") == -2


def test_what_was_before_the_window_is_not_counted(journal: MemoryJournal, clock: JumpingClock) -> None:
    known = AutomaticFailovers(journal)
    opened(journal, "a")
    asyncio.run(clock.advance(3599.0))
    assert known.left(THREE_AN_HOUR, clock, "boot-1") == 2
    asyncio.run(clock.advance(2.0))
    assert known.left(THREE_AN_HOUR, clock, "boot-1") == 3


def test_a_clock_on_the_wall_that_jumps_ahead_gives_nobody_more(
    journal: MemoryJournal, clock: JumpingClock
) -> None:
    """Of this boot the monotonic clock counts; of an earlier one only the wall's is known."""
    known = AutomaticFailovers(journal)
    opened(journal, "a")
    clock.jumped_s = 10 * 365 * 86_400.0
    assert known.left(THREE_AN_HOUR, clock, "boot-1") == 2
    assert known.left(THREE_AN_HOUR, clock, "boot-2") == 3


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
