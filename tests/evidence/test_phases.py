"""The clock of an incident: T0 to T10, phases, and the wait for people."""

from __future__ import annotations

import pytest
from journal_builder import JournalBuilder, failover_journal, open_crash, run_failover

from controller.phases import NOT_OBSERVED, Instant, between, parse_wall_ns, read_timings, signed_between
from model import events as ev


def test_the_phases_add_up_to_the_rto() -> None:
    timings = read_timings(failover_journal().events)
    assert timings.rto.seconds == 0.641
    assert sum(span.ns or 0 for span in timings.phases.values()) == timings.rto.ns
    assert timings.rto_from_first_bad.seconds == 0.236
    assert timings.below_copies.seconds == 3.3
    assert not timings.estimated


def test_a_missing_mark_is_not_observed_and_never_zero() -> None:
    journal = JournalBuilder()
    open_crash(journal)
    timings = read_timings(journal.events)
    assert timings.rto == NOT_OBSERVED
    assert timings.phases_json()["promote_s"] is None
    assert timings.phases_json()["human_wait_s"] is None
    assert read_timings([]).rto.seconds is None


def test_waiting_for_people_is_taken_out_of_the_phase_in_which_it_lies() -> None:
    journal = JournalBuilder()
    open_crash(journal)
    journal.at(100).add(ev.APPROVAL_REQUESTED, {"approval": "APR-1"})
    journal.at(60_100).add(ev.APPROVAL_GIVEN, {"approval": "APR-1", "person": "ada"}, actor="ada")
    journal.at(60_110).mark("T3")
    run_failover(journal.at(60_111))
    timings = read_timings(journal.events)
    assert timings.human_wait.seconds == 60.0
    assert timings.phases["decide"].seconds == 0.035
    waited = timings.human_wait.ns or 0
    assert sum(s.ns or 0 for s in timings.phases.values()) + waited == timings.rto.ns


def test_two_who_must_approve_are_waited_for_until_the_second() -> None:
    journal = JournalBuilder()
    open_crash(journal)
    journal.at(100).add(ev.APPROVAL_REQUESTED, {"approval": "APR-1"})
    journal.at(1100).add(ev.APPROVAL_GIVEN, {"approval": "APR-1", "person": "ada"})
    journal.at(3100).add(ev.APPROVAL_GIVEN, {"approval": "APR-1", "person": "bo"})
    assert read_timings(journal.events).human_wait.seconds == 3.0


def test_a_member_that_waits_to_be_brought_back_holds_nobody_up() -> None:
    journal = JournalBuilder()
    open_crash(journal)
    asked = {"approval": "APR-1", "runbook": "postgresql-rejoin"}
    journal.at(9000).add(ev.APPROVAL_REQUESTED, asked)
    journal.at(99_000).add(ev.APPROVAL_GIVEN, {"approval": "APR-1", "person": "ada"})
    assert read_timings(journal.events).human_wait.seconds is None


def test_a_later_execution_replaces_the_marks_of_one_that_was_undone() -> None:
    journal = JournalBuilder()
    open_crash(journal)
    journal.at(80).mark("T3")
    first = journal.add(ev.EXECUTION_OPENED, {"runbook": "postgresql-failover"}, execution="new").execution
    journal.at(90).mark("T4", execution=first)
    journal.at(100).mark("T5", execution=first)
    journal.at(5000).mark("T3")
    run_failover(journal.at(5001))
    timings = read_timings(journal.events)
    assert timings.phases["prepare"].seconds == 0.015
    assert timings.phases["fence"].seconds == 0.025
    assert timings.phases["decide"].seconds == 4.925


def test_a_resumed_execution_keeps_the_first_record_of_a_mark() -> None:
    journal = JournalBuilder()
    open_crash(journal)
    run = run_failover(journal)
    before = read_timings(journal.events)
    journal.at(9000).mark("T6", execution=run)
    assert read_timings(journal.events).marks["T6"] == before.marks["T6"]


def test_across_two_boots_wall_time_is_left_with_the_clocks_offsets_as_its_error() -> None:
    journal = JournalBuilder(offset_us=200)
    open_crash(journal)
    journal.at(4000).reboot("boot-2")
    journal.offset_us = -300
    run_failover(journal.at(5000))
    timings = read_timings(journal.events)
    assert timings.rto.seconds == pytest.approx(5.562)
    assert (timings.rto.estimated, timings.rto.error_us) == (True, 500)


def test_without_a_known_offset_the_error_is_not_known() -> None:
    journal = JournalBuilder(offset_us=None)
    open_crash(journal)
    journal.at(4000).reboot("boot-2")
    run_failover(journal.at(5000))
    rto = read_timings(journal.events).rto
    assert (rto.estimated, rto.error_us) == (True, None)


def test_a_jump_of_the_wall_clock_changes_nothing_within_one_boot() -> None:
    start, end = Instant("b", 10, 5_000_000_000), Instant("b", 20, 1_000)
    assert between(start, end).ns == 10


def test_marks_out_of_order_make_no_duration() -> None:
    late, early = Instant("b", 20, None), Instant("b", 10, None)
    assert between(late, early).ns is None
    assert between(late, early).note == "marks out of order"
    assert signed_between(late, early).ns == -10
    assert between(Instant("a", 1, None), Instant("b", 2, 5)).ns is None


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01T01:00:01+01:00", 10**9),
        ("1970-01-01T00:00:01.000002", 10**9 + 2000),
        ("yesterday", None),
        ("", None),
    ],
)
def test_wall_times(text: str, ns: int | None) -> None:
    assert parse_wall_ns(text) == ns
