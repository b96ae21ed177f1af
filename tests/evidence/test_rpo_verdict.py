"""The verdict on what was lost: three answers, each with its reasons."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.evidence import ProvenPosition, RpoInputs, judge_rpo
from controller.verdict import LOSS, UNPROVEN, ZERO_PROVEN, RpoVerdict
from model.canonical import canonical_json

AT = 5000
GOOD = RpoInputs(
    promoted="pg2",
    settings=("ANY 1 (pg1, pg2, pg3)",),
    method="ANY",
    k=1,
    n=2,
    complete=True,
    positions={"pg2": ProvenPosition(1, AT, "7"), "pg3": ProvenPosition(1, AT, "7")},
    primary_name="pg1",
    promoted_timeline=2,
    promoted_lsn=AT,
    setting_age_ms=120,
    canary_acknowledged=40,
    canary_found=40,
    old_primary="stopped",
)


def judged(**changes: Any) -> RpoVerdict:
    return judge_rpo(replace(GOOD, **changes))


def test_everything_known_and_nothing_missing_is_proven() -> None:
    verdict = judged()
    assert (verdict.verdict, verdict.lost, verdict.label) == (ZERO_PROVEN, None, "ZERO_PROVEN")
    assert "2 of 2 standbys were read" in verdict.reason
    assert "ANY 1 of 2" in verdict.method


DOUBTS: list[tuple[dict[str, Any], str]] = [
    ({"promoted": None}, "nothing was promoted"),
    ({"settings": None}, "in force is not known"),
    ({"settings": ("",)}, "asynchronous"),
    ({"settings": ("ANY 1 (pg2, pg3)", "")}, "asynchronous"),
    ({"settings": ("ANY 1 (*)",)}, "ambiguous"),
    ({"settings": ("ANY 1 (pg2",)}, "can't be read"),
    ({"complete": False, "proof_reason": "pg3 is not locked"}, "pg3 is not locked"),
    ({"complete": False}, "no proof was recorded"),
    # The run says `complete`: redone, it is not.
    ({"positions": {"pg2": ProvenPosition(1, AT, "7")}}, "redone"),
    ({"positions": {}}, "redone"),
    ({"settings": ("ANY 1 (pg1, pg2, pg3, pg4)",)}, "redone"),
    ({"settings": ("ANY 1 (pg1, pg2, pg3)", "ANY 1 (pg2, pg3, pg4)")}, "redone"),
    ({"positions": {"pg2": ProvenPosition(1, AT, "7"), "pg3": ProvenPosition(1, AT, "8")}}, "lineages"),
    ({"positions": {"pg2": ProvenPosition(1, AT, "7"), "pg3": ProvenPosition(2, AT, "7")}}, "lineages"),
    ({"application_names": {"pg2": "pg2", "pg3": "pg2"}}, "redone"),
    ({"application_names": {"pg2": "a", "pg3": "b"}}, "redone"),
    ({"application_names": {"pg4": "PG3"}}, "redone"),
    ({"promoted_lsn": None}, "how far pg2 was"),
    ({"promoted_lsn": AT - 1}, "behind"),
    ({"promoted_timeline": 1}, "no promotion is seen"),
    ({"canary_acknowledged": None}, "acknowledged canary is not known"),
    ({"canary_found": None}, "was not read on pg2"),
    ({"overrides": ("S3",)}, "rule S3 was overridden"),
    ({"overrides": ("s2",)}, "rule s2 was overridden"),
    ({"degraded": True}, "single copy"),
    ({"weak": ("fsync is off on pg2",)}, "fsync is off"),
]


@pytest.mark.parametrize(("change", "reason"), DOUBTS)
def test_every_doubt_makes_it_unproven_and_is_named(change: dict[str, Any], reason: str) -> None:
    verdict = judged(**change)
    assert verdict.verdict == UNPROVEN
    assert verdict.lost is None
    assert reason in verdict.reason
    assert verdict.label == f"UNPROVEN({verdict.reason})"


def test_all_doubts_are_named_not_only_the_first() -> None:
    reason = judged(
        complete=False, proof_reason="pg3 is not locked", canary_found=None, overrides=("S2",)
    ).reason
    assert all(text in reason for text in ("pg3 is not locked", "was not read", "S2"))


def test_an_override_of_another_rule_leaves_the_proof_alone() -> None:
    assert judged(overrides=("S9",)).verdict == ZERO_PROVEN


def test_names_of_members_and_their_application_names_may_differ() -> None:
    verdict = judged(
        settings=("ANY 1 (node_a, node_b, node_c)",),
        application_names={"pg2": "node_b", "pg3": "node_c"},
        primary_name="node_a",
    )
    assert verdict.verdict == ZERO_PROVEN


def test_a_canary_that_is_missing_is_a_loss_whatever_was_proven() -> None:
    verdict = judged(canary_found=37)
    assert (verdict.verdict, verdict.lost, verdict.label) == (LOSS, 3, "LOSS(at least 3)")
    assert "contradicts the quorum arithmetic" in verdict.reason
    assert "contradicts" not in judged(canary_found=37, complete=False).reason


def test_a_canary_that_was_written_and_not_acknowledged_is_no_loss() -> None:
    assert judged(canary_found=41).verdict == ZERO_PROVEN


def test_an_asynchronous_service_is_never_proven_but_its_canary_may_show_a_loss() -> None:
    assert judged(settings=("",), canary_found=30).label == "LOSS(at least 10)"
    verdict = judged(settings=("",))
    assert verdict.verdict == UNPROVEN
    assert "no loss among its own" in verdict.reason


def test_a_clean_stop_proves_without_arithmetic() -> None:
    """A planned switchover of an asynchronous service: the candidate has the old primary's last record."""
    clean = {"settings": ("",), "complete": False, "positions": {"pg2": ProvenPosition(1, AT, "7")}}
    verdict = judged(**clean, final_lsn=AT - 100)
    assert verdict.verdict == ZERO_PROVEN
    assert "clean stop" in verdict.method
    # At where the last record begins, the candidate has not got it.
    assert judged(**clean, final_lsn=AT).verdict == UNPROVEN
    assert judged(**clean, final_lsn=AT - 100, overrides=("S3",)).verdict == UNPROVEN
    assert judged(**clean, final_lsn=AT - 100, canary_found=1).verdict == LOSS


def test_what_a_proof_does_not_cover_is_always_said() -> None:
    for verdict in (judged(), judged(promoted=None), judged(canary_found=1)):
        text = "\n".join(verdict.not_covered)
        assert "synchronous_commit below `on`" in text
        assert "cancelled" in text
        assert "of 120 ms between the last reading and the proof" in text
        assert "node, traffic or power fence" in text
    assert "was not seen stopped (last known: read_only)" in "\n".join(
        judged(old_primary="read_only").not_covered
    )
    assert "whose length is not known" in "\n".join(judged(setting_age_ms=None).not_covered)


def test_it_goes_into_the_journal_and_comes_back() -> None:
    for verdict in (judged(), judged(promoted=None), judged(canary_found=1)):
        canonical_json(verdict.to_json())
        assert RpoVerdict.from_json(verdict.to_json()) == verdict


@pytest.mark.parametrize(
    "record", [{}, {"verdict": "FINE"}, {"verdict": "LOSS"}, {"verdict": "LOSS", "lost": "3"}, {"verdict": 0}]
)
def test_a_record_that_can_not_be_read_is_unproven(record: dict[str, Any]) -> None:
    assert RpoVerdict.from_json(record).verdict == UNPROVEN


@given(st.lists(st.sampled_from(DOUBTS), max_size=4), st.integers(0, 50))
def test_never_proven_with_a_doubt_and_never_a_bare_zero(
    drawn: list[tuple[dict[str, Any], str]], found: int
) -> None:
    changes: dict[str, Any] = {"canary_found": found}
    for change, _reason in drawn:
        changes |= change
    verdict = judged(**changes)
    assert verdict.reason
    if verdict.verdict == ZERO_PROVEN:
        assert not drawn
        assert found >= 40
    assert (verdict.lost is not None) == (verdict.verdict == LOSS)
    assert verdict.lost is None or verdict.lost > 0
