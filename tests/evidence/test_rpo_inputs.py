"""What the journal says for the verdict: only what was recorded, and everything that was."""

from __future__ import annotations

from typing import Any

import pytest
from journal_builder import (
    BOOT_MONO_NS,
    LSN,
    JournalBuilder,
    cut,
    failover_journal,
    frozen,
    open_crash,
    position,
    run_failover,
)

from controller.evidence import RpoInputs, judge_rpo
from controller.evidence_inputs import gather_rpo_inputs
from controller.verdict import UNPROVEN, ZERO_PROVEN
from model import events as ev


def failed_over(**prove: Any) -> tuple[JournalBuilder, str]:
    journal = JournalBuilder()
    open_crash(journal)
    return journal, run_failover(journal, prove=prove)


def gathered(journal: JournalBuilder, run: str) -> RpoInputs:
    return gather_rpo_inputs(journal.events, journal.incident, run)


def test_a_whole_failover_is_proven_from_its_journal() -> None:
    inputs = gathered(*failed_over())
    assert inputs.promoted == "pg2"
    assert inputs.settings == ("ANY 1 (pg1, pg2, pg3)",)
    assert (inputs.k, inputs.n, inputs.complete) == (1, 2, True)
    assert set(inputs.positions) == {"pg2", "pg3"}
    assert (inputs.primary_name, inputs.promoted_lsn, inputs.promoted_timeline) == ("pg1", LSN, 2)
    assert (inputs.canary_acknowledged, inputs.canary_found) == (4711, 4711)
    assert inputs.old_primary == "unreachable"
    assert judge_rpo(inputs).verdict == ZERO_PROVEN


def test_how_far_it_was_is_not_how_far_it_has_come_since() -> None:
    """The promotion's own records move its position past what was missing."""
    journal, run = failed_over(positions={"pg2": position(LSN - 50), "pg3": position(LSN)})
    inputs = gathered(journal, run)
    assert inputs.promoted_lsn == LSN - 50
    assert "behind pg3" in judge_rpo(inputs).reason


def test_what_it_streamed_first_counts() -> None:
    journal = JournalBuilder()
    open_crash(journal)
    run = run_failover(journal, prove={"positions": {"pg2": position(LSN - 50), "pg3": position(LSN)}})
    result = next(e for e in journal.events if e.type == ev.STEP_RESULT and e.data["step"] == "catch_up")
    result.data["output"] |= {"lsn": LSN, "from": "pg3"}
    result.data["outcome"] = "succeeded"  # type: ignore[index]
    assert judge_rpo(gathered(journal, run)).verdict == ZERO_PROVEN


def test_only_readable_members_count() -> None:
    inputs = gathered(*failed_over(readable=["pg2"]))
    assert set(inputs.positions) == {"pg2"}
    assert judge_rpo(inputs).verdict == UNPROVEN


def test_an_incomplete_proof_is_read_though_its_step_failed() -> None:
    journal = JournalBuilder()
    open_crash(journal)
    run = run_failover(journal, prove={"complete": False, "reason": "pg3 is not locked"})
    for event in journal.events:
        if event.type == ev.STEP_RESULT and event.data["step"] == "prove":
            event.data["outcome"] = "failed"  # type: ignore[index]
    assert "pg3 is not locked" in judge_rpo(gathered(journal, run)).reason


def test_a_promotion_that_did_not_succeed_is_none() -> None:
    journal, run = failed_over()
    for event in journal.events:
        if event.type == ev.STEP_RESULT and event.data["step"] == "promote":
            event.data["outcome"] = "unknown"  # type: ignore[index]
    assert gathered(journal, run).promoted is None


def test_the_greatest_acknowledged_canary_that_anybody_knew_counts() -> None:
    journal, run = failed_over()
    opened = next(e for e in journal.events if e.type == ev.INCIDENT_OPENED)
    opened.data["frozen"]["last_acked_canary"] = 4720
    assert gathered(journal, run).canary_acknowledged == 4720
    started = next(e for e in journal.events if e.type == ev.EXECUTION_OPENED)
    started.data["vars"]["last_acked_canary"] = 4730
    assert gathered(journal, run).canary_acknowledged == 4730


def test_the_canary_counts_though_the_write_after_it_failed() -> None:
    journal, run = failed_over()
    for event in journal.events:
        if event.type == ev.STEP_RESULT and event.data["step"] == "verify":
            event.data["outcome"] = "failed"  # type: ignore[index]
    assert gathered(journal, run).canary_found == 4711


@pytest.mark.parametrize("confirmed", [True, False])
def test_both_sides_of_an_unconfirmed_change_count(confirmed: bool) -> None:
    """P2: until a canary was acknowledged under the new setting, the old one may still have been in force."""
    journal = JournalBuilder()
    journal.at(-500).add(
        ev.SYNC_SETTING,
        {"member": "pg1", "value": "ANY 1 (pg1, pg2, pg3)", "previous": "", "confirmed": confirmed},
    )
    open_crash(journal)
    inputs = gathered(journal, run_failover(journal))
    assert inputs.settings is not None
    assert ("" in inputs.settings) is not confirmed


def test_the_candidates_own_new_setting_is_no_change_of_the_old_primarys() -> None:
    journal = JournalBuilder()
    open_crash(journal)
    journal.add(ev.SYNC_SETTING, {"member": "pg2", "value": "", "previous": "x", "confirmed": False})
    assert gathered(journal, run_failover(journal)).settings == ("ANY 1 (pg1, pg2, pg3)",)


def test_every_setting_that_the_run_was_started_with_counts() -> None:
    journal, run = failed_over()
    started = next(e for e in journal.events if e.type == ev.EXECUTION_OPENED)
    started.data["vars"]["settings"] = ["", "ANY 1 (pg1, pg2, pg3)"]
    assert "asynchronous" in judge_rpo(gathered(journal, run)).reason


def test_the_frozen_setting_is_read_where_no_other_is_known() -> None:
    journal, run = failed_over(settings=[], setting=None)
    started = next(e for e in journal.events if e.type == ev.EXECUTION_OPENED)
    del started.data["vars"]["settings"]
    assert gathered(journal, run).settings == ("ANY 1 (pg1, pg2, pg3)",)


def test_the_age_of_the_setting_is_that_at_the_proof() -> None:
    journal, run = failed_over()
    assert gathered(journal, run).setting_age_ms == 322
    journal, run = failed_over(setting_read_ns=BOOT_MONO_NS + 10**12)
    assert gathered(journal, run).setting_age_ms is None


def test_a_clean_stop_before_the_promotion_counts_and_one_after_it_does_not() -> None:
    journal = JournalBuilder()
    open_crash(journal)
    run = run_failover(journal)
    quiesce = {"old_primary": "stopped", "final_lsn": LSN - 100, "timeline": 1}
    first = next(e for e in journal.events if e.type == ev.STEP_RESULT and e.data["step"] == "last_look")
    first.data["output"] |= quiesce
    inputs = gathered(journal, run)
    assert (inputs.final_lsn, inputs.old_primary) == (LSN - 100, "stopped")
    first.data["output"]["timeline"] = 9
    assert gathered(journal, run).final_lsn is None
    late, run = failed_over()
    late.step(run, "quiesce", quiesce)
    assert gathered(late, run).final_lsn is None
    assert gathered(late, run).old_primary == "stopped"


def test_overrides_of_the_incident_or_the_run_count() -> None:
    journal, run = failed_over()
    journal.add(ev.OVERRIDE_RECORDED, {"rule": "S3", "reason": "r", "person": "ada"})
    journal.add(
        ev.OVERRIDE_RECORDED, {"rule": "S2", "reason": "r", "person": "ada"}, incident="", execution=run
    )
    journal.add(ev.OVERRIDE_RECORDED, {"rule": "S9", "reason": "r", "person": "ada"}, incident="INC-999")
    assert gathered(journal, run).overrides == ("S3", "S2")


def test_weak_acknowledgements_and_degraded_writes_are_found_in_any_step() -> None:
    journal, run = failed_over(weak=["fsync is off on pg3"])
    journal.step(run, "single_copy", {"degraded": True})
    opened = next(e for e in journal.events if e.type == ev.INCIDENT_OPENED)
    opened.data["frozen"]["sync_setting"]["synchronous_commit"] = "remote_write"
    inputs = gathered(journal, run)
    assert inputs.degraded
    assert inputs.weak == ("synchronous_commit is remote_write on the primary", "fsync is off on pg3")


def test_names_that_differ_from_the_members_are_taken_from_the_proof() -> None:
    names = {"pg1": "a", "pg2": "b", "pg3": "c"}
    journal, run = failed_over(
        application_names=names, settings=["ANY 1 (a, b, c)"], setting="ANY 1 (a, b, c)"
    )
    started = next(e for e in journal.events if e.type == ev.EXECUTION_OPENED)
    started.data["vars"]["settings"] = ["ANY 1 (a, b, c)"]
    inputs = gathered(journal, run)
    assert (inputs.primary_name, inputs.application_names) == ("a", {"pg2": "b", "pg3": "c"})
    assert judge_rpo(inputs).verdict == ZERO_PROVEN


def test_a_journal_that_ends_early_proves_nothing() -> None:
    """Whatever was written before the daemon died: no verdict of zero before the canary was read."""
    journal = failover_journal()
    verified = next(e.seq for e in journal.events if e.type == ev.STEP_RESULT and e.data["step"] == "verify")
    for events in cut(journal.events):
        verdict = judge_rpo(gather_rpo_inputs(events, "INC-3", "EXE-8"))
        assert (verdict.verdict == ZERO_PROVEN) is (len(events) >= verified)


def test_nothing_is_known_of_a_run_that_is_not_there() -> None:
    assert judge_rpo(gather_rpo_inputs([], None, "EXE-1")).verdict == UNPROVEN
    assert frozen()["last_acked_canary"] == 4711
