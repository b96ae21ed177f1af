"""Executions as the journal tells them, with the daemon alive or dead."""

from __future__ import annotations

import pytest
from journal_builder import JournalBuilder, cut, failover_journal, open_crash, run_failover

from controller.executions import (
    durations,
    expected_durations,
    fold_executions,
    list_executions,
    open_executions,
    show_execution,
)
from model import events as ev
from model.errors import UsageError


def started(*, steps: tuple[str, ...] = ("lock", "detach", "promote")) -> tuple[JournalBuilder, str]:
    journal = JournalBuilder()
    opened = journal.add(
        ev.EXECUTION_OPENED,
        {"runbook": "postgresql-failover", "mode": "real", "steps": [{"id": s, "action": s} for s in steps]},
        execution="new",
    )
    return journal, opened.execution or ""


def intent(journal: JournalBuilder, run: str, step: str, attempt: int = 1) -> None:
    journal.add(ev.STEP_INTENT, {"step": step, "attempt": attempt, "changing": True}, execution=run)


def state_of(journal: JournalBuilder, run: str, step: str) -> str:
    found = fold_executions(journal.events)[run].step(step)
    return found.state if found else "no such step"


def test_a_whole_run() -> None:
    journal = failover_journal()
    [run] = fold_executions(journal.events).values()
    assert (run.state, run.runbook, run.trigger) == ("succeeded", "postgresql-failover", "automatic")
    assert {s.id for s in run.steps if s.state != "succeeded"} == {"catch_up"}
    assert run.took.seconds == 0.162
    assert open_executions(journal.events) == []
    detach = run.step("detach")
    assert detach is not None
    assert (detach.changing, detach.took_ns) == (True, 25_000_000)


def test_an_open_intent_runs_until_somebody_takes_over_and_is_unknown_then() -> None:
    journal, run = started()
    intent(journal, run, "detach")
    assert state_of(journal, run, "detach") == "running"
    assert fold_executions(journal.events)[run].state == "running"
    journal.add(ev.EPOCH_TAKEN, {"owner": "next"})
    assert state_of(journal, run, "detach") == "unknown"
    assert fold_executions(journal.events)[run].state == "unknown"
    assert [e.id for e in open_executions(journal.events)] == [run]


def test_a_reconciled_result_settles_it() -> None:
    journal, run = started()
    intent(journal, run, "promote")
    journal.add(ev.DAEMON_STARTED, {})
    journal.add(ev.EXECUTION_RESUMED, {"reason": "the daemon was restarted"}, execution=run)
    journal.add(
        ev.STEP_RESULT, {"step": "promote", "outcome": "succeeded", "reason": "reconciled"}, execution=run
    )
    assert state_of(journal, run, "promote") == "succeeded"
    assert fold_executions(journal.events)[run].resumed == ("the daemon was restarted",)


def test_attempts_are_kept_apart() -> None:
    journal, run = started()
    journal.step(run, "detach", outcome="failed", attempt=1, detail="no lock")
    intent(journal, run, "detach", attempt=2)
    step = fold_executions(journal.events)[run].step("detach")
    assert step is not None
    assert [(a.number, a.outcome) for a in step.attempts] == [(1, "failed"), (2, None)]
    assert step.open_intent is step.attempts[1]


def test_what_was_undone_says_so() -> None:
    journal, run = started()
    journal.step(run, "detach")
    journal.add(ev.UNDO_INTENT, {"step": "detach", "action": "detach"}, execution=run)
    assert state_of(journal, run, "detach") == "running"
    journal.add(ev.UNDO_RESULT, {"step": "detach", "outcome": "succeeded", "took_ns": 5}, execution=run)
    assert state_of(journal, run, "detach") == "undone"
    journal.add(ev.EXECUTION_CLOSED, {"state": "undone", "reason": "the primary answers"}, execution=run)
    closed = fold_executions(journal.events)[run]
    assert (closed.state, closed.reason) == ("undone", "the primary answers")


def test_an_undo_that_failed_is_not_undone() -> None:
    journal, run = started()
    journal.step(run, "detach")
    journal.add(ev.UNDO_INTENT, {"step": "detach"}, execution=run)
    journal.add(ev.UNDO_RESULT, {"step": "detach", "outcome": "failed"}, execution=run)
    assert state_of(journal, run, "detach") == "failed"


def test_a_skipped_step_has_a_result_without_an_intent() -> None:
    journal, run = started()
    journal.add(
        ev.STEP_RESULT, {"step": "lock", "outcome": "skipped", "reason": "when is false"}, execution=run
    )
    assert state_of(journal, run, "lock") == "skipped"
    assert state_of(journal, run, "detach") == "pending"


def test_an_abort_is_remembered() -> None:
    journal, run = started()
    journal.add(ev.ABORT_REQUESTED, {"reason": "wrong service"}, execution=run)
    assert show_execution(journal.events, run)["abort_requested"] == "wrong service"


def test_a_journal_that_ends_anywhere_can_be_shown() -> None:
    for events in cut(failover_journal().events):
        for row in list_executions(events):
            assert show_execution(events, row["id"])["steps"]


def test_the_newest_comes_first_and_an_unknown_one_is_told() -> None:
    journal = JournalBuilder()
    open_crash(journal)
    first, second = run_failover(journal), run_failover(journal)
    assert [row["id"] for row in list_executions(journal.events)] == [second, first]
    with pytest.raises(UsageError, match="EXE-0"):
        show_execution(journal.events, "EXE-0")


def test_past_durations_are_what_a_plan_expects() -> None:
    journal = JournalBuilder()
    open_crash(journal)
    for _ in range(3):
        run_failover(journal)
    found = expected_durations(journal.events, "postgresql-failover")
    assert (found["promote"].p50_ms, found["promote"].samples) == (60, 3)
    assert expected_durations(journal.events, "other") == {}


def test_durations_by_nearest_rank() -> None:
    values = [ms * 1_000_000 for ms in range(1, 101)]
    assert (durations(values).p50_ms, durations(values).p95_ms) == (50, 95)
    assert (durations(values[:1]).p50_ms, durations(values[:1]).p95_ms) == (1, 1)
    with pytest.raises(ValueError, match="no durations"):
        durations([])
