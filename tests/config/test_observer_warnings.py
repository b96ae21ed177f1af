"""Observers that can't decide from where they stand are warned of; one controller alone is as it was."""

from __future__ import annotations

import pytest
from estate_texts import VALID, lines_of, spoiled

SILENT = "does not come to this controller"


def warned(observers: str, base: str = VALID) -> list[str]:
    """What is said of the observers, without that nothing carries what the others see."""
    lines = lines_of(spoiled("people:\n", f"observers: {observers}\npeople:\n", base))
    assert not [line for line in lines if ": error: " in line], lines
    return [line for line in lines if line.startswith("13:") and SILENT not in line]


def test_three_at_three_places_of_which_one_is_a_third_are_fine() -> None:
    assert warned("{ops1: {site: dc1}, ops2: {site: dc2}, ops3: {site: ops}}") == []


def test_of_one_controller_alone_nothing_is_said() -> None:
    assert not [line for line in lines_of(VALID) if "observer" in line]


@pytest.mark.parametrize(
    ("observers", "said"),
    [
        ("{ops1: {site: ops}, ops2: {site: dc2}}", "2 observers ride out no more silent ones than 1"),
        (
            "{ops1: {site: dc1}, ops2: {site: dc1}, ops3: {site: ops}}",
            "the loss of site dc1 leaves 1 of 3 observers; 2 are needed",
        ),
        (
            "{ops1: {site: dc1}, ops2: {site: far}, ops3: {site: far}}",
            "orders: no observer at a third place beside dc1 and far; a switch to the DR site is always",
        ),
    ],
)
def test_what_they_can_not_decide_is_said(observers: str, said: str) -> None:
    assert any(said in line for line in warned(observers))


def test_a_majority_at_a_site_without_members_dies_with_none_of_them() -> None:
    assert warned("{ops1: {site: ops}, ops2: {site: ops}, ops3: {site: dc2}}") == []


def test_that_others_are_not_heard_yet_is_said_where_this_one_should_act() -> None:
    text = spoiled("people:\n", "observers: {ops1: {site: ops}, ops2: {site: dc2}}\npeople:\n", VALID)
    [line] = [line for line in lines_of(text) if SILENT in line]
    assert "what ops2 see" in line
    assert "2 of 2 observers must see a primary lost" in line
    assert not [line for line in lines_of(spoiled("mode: act", "mode: observe", text)) if SILENT in line]
