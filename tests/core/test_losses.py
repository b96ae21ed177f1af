"""Ready, partly ready or not: what a service would survive now, beside what it is built to survive (P19)."""

from __future__ import annotations

from typing import Any

from situation_player import Situation

from controller.candidates import positions
from controller.losses import Loss, Readiness, losses, verdict

# The primary, a neighbour, two at the other site and one far away; any two of four confirm.
FIVE: dict[str, Any] = {
    "service": {"settings": ["ANY 2 (pg2, pg3, pg4, pg5)"]},
    "members": {"pg2": {"site": "a"}, "pg3": {}, "pg4": {}, "pg5": {"site": "far", "site_role": "dr"}},
}


def five(**members: dict[str, Any]) -> dict[str, Any]:
    told = FIVE["members"]
    return {**FIVE, "members": {m: {**told[m], **members.get(m, {})} for m in told}}


def tried(described: dict[str, Any]) -> tuple[Loss, ...]:
    view = Situation(described).view(1001.0, [])
    return losses(view, positions(view))


def by_name(described: dict[str, Any]) -> dict[str, Loss]:
    return {loss.what: loss for loss in tried(described)}


OTHER_SYSTEM = {"facts": {"system_identifier": "8"}}


def test_a_sound_service_is_ready_for_all_that_it_is_built_for() -> None:
    found = tried(FIVE)
    assert [(loss.what, loss.candidate) for loss in found] == [
        ("pg1", "pg2"),
        ("pg1 and pg2", "pg3"),
        ("pg1 and pg3", "pg2"),
        ("pg1 and pg4", "pg2"),
        ("pg1 and pg5", "pg2"),
    ]
    assert verdict(found)[0] is Readiness.READY


def test_with_a_copy_missing_it_is_partly_ready_and_says_for_what_not() -> None:
    found = tried(five(pg4=OTHER_SYSTEM))
    assert found[0].candidate == "pg2"
    assert verdict(found)[0] is Readiness.PARTIAL
    assert "survives the loss of pg1, but not of pg1 and pg2: " in verdict(found)[1]
    assert "needs 3 readable" in verdict(found)[1]


def test_without_a_proof_for_the_primary_alone_it_is_not_ready() -> None:
    word, why = verdict(tried(five(pg3=OTHER_SYSTEM, pg4=OTHER_SYSTEM)))
    assert word is Readiness.NOT_READY
    assert why.startswith("would not survive the primary: ANY 2 of 4 needs 3 readable")
    assert verdict(tried({"service": {"primary": None}}))[0] is Readiness.NOT_READY


def test_what_it_is_not_built_for_does_not_make_it_less_ready() -> None:
    """ANY 1 of 2 needs both standbys readable: one less is a matter of the estate, not of today."""
    found = by_name({})
    assert (found["pg1 and pg2"].candidate, found["pg1 and pg2"].built_for) == (None, False)
    assert verdict(tuple(found.values())) == (Readiness.READY, "survives the loss of pg1")


def test_the_loss_of_the_whole_site_is_tried_too() -> None:
    found = by_name(five(pg3={"site": "a"}))
    assert found["site a"].lost == ("pg1", "pg2", "pg3")
    assert not found["site a"].built_for  # two of four are left, three are needed
    wide = {**five(pg3={"site": "a"}), "service": {"settings": ["ANY 3 (pg2, pg3, pg4, pg5)"]}}
    assert by_name(wide)["site a"].candidate == "pg4"


def test_where_only_the_dr_site_is_left_a_person_may_be_asked() -> None:
    loss = by_name(five(pg2={"excluded": True}, pg3={"excluded": True}))["pg1 and pg4"]
    assert (loss.candidate, loss.asks) == ("pg5", True)


def test_an_excluded_member_is_no_part_of_what_it_is_built_for() -> None:
    found = by_name({"service": {"settings": ["ANY 2 (pg2, pg3)"]}, "members": {"pg3": {"excluded": True}}})
    assert not found["pg1 and pg2"].built_for
    assert found["pg1"].candidate == "pg2"


def test_where_a_loss_of_data_is_allowed_a_candidate_is_enough() -> None:
    asynchronous = {"service": {"settings": [""], "rpo_s": 5.0, "intended_setting": ""}}
    found = by_name(asynchronous)
    assert (found["pg1 and pg2"].candidate, found["pg1 and pg2"].built_for) == ("pg3", True)
