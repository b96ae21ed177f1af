"""Patterns in what a target says."""

from __future__ import annotations

import pytest

from probes.patterns import Pattern, checked_pattern


def test_a_pattern_is_found_anywhere_and_line_by_line_if_asked() -> None:
    assert Pattern("h.llo$").found("say hällo")
    assert not Pattern("^b$").found("a\nb")
    assert Pattern("(?m)^b$").found("a\nb")


def test_no_text_can_make_a_pattern_take_for_ever() -> None:
    assert not Pattern("^(a+)+$").found("a" * 100_000 + "b")


@pytest.mark.parametrize("text", ["(", "(?=a)b", r"(a)\1", "x" * 1001])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        checked_pattern(text)
