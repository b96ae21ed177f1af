"""How grave an incident is, by the default rules and by one's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.levels import LevelRule, Levels
from config.services import Importance
from controller.levels import Due, level_of, owed, scope_of, told_people
from model.level import LEVELS, higher_level

HOUR = 3600.0


@pytest.mark.parametrize(
    ("code", "importance", "elapsed_s", "level"),
    [
        ("PrimaryProcessDown", "normal", 0.0, "III"),
        ("PrimaryProcessDown", "normal", 100 * HOUR, "III"),
        ("PrimaryProcessDown", "critical", 0.4 * HOUR, "III"),
        ("PrimaryProcessDown", "critical", 0.5 * HOUR, "II"),
        ("PrimaryProcessDown", "high", 1.9 * HOUR, "III"),
        ("PrimaryProcessDown", "high", 2 * HOUR, "II"),
        ("PrimaryProcessDown", "critical", 4 * HOUR, "I"),
        ("SiteDown", "low", 0.0, "II"),
        ("SiteDown", "normal", 1 * HOUR, "II"),
        ("SiteDown", "high", 1 * HOUR, "I"),
    ],
)
def test_the_gravest_rule_that_matches_wins(code: str, importance: str, elapsed_s: float, level: str) -> None:
    found = level_of(Levels(), scope_of(code), Importance(importance), elapsed_s)
    assert found is not None
    assert found[0] == level


def test_the_reason_says_what_made_it_so() -> None:
    found = level_of(Levels(), "service", Importance.CRITICAL, 2000.0)
    assert found == ("II", "the service is out of importance critical or more for 30m")


def test_without_a_rule_that_matches_there_is_no_level() -> None:
    levels = Levels(rules=(LevelRule(level="I", importance=Importance.CRITICAL),))
    assert level_of(levels, "service", Importance.HIGH, 1e9) is None


@given(
    scope=st.sampled_from(["service", "site"]),
    importance=st.sampled_from(list(Importance)),
    first_s=st.floats(0, 1e6),
    more_s=st.floats(0, 1e6),
)
def test_time_makes_no_incident_less_grave(
    scope: str, importance: Importance, first_s: float, more_s: float
) -> None:
    early = level_of(Levels(), scope, importance, first_s)
    late = level_of(Levels(), scope, importance, first_s + more_s)
    assert early is not None
    assert late is not None
    assert LEVELS.index(late[0]) >= LEVELS.index(early[0])
    assert higher_level(early[0], late[0]) == late[0]


def test_what_people_owe_is_due_by_the_level() -> None:
    levels = Levels()
    assert owed(levels, "III", HOUR, confirmed=True, reported=False) == [
        Due("report", 2 * HOUR, HOUR, "deputy"),
    ]
    assert owed(levels, "II", 2 * HOUR + 1, confirmed=False, reported=False) == [
        Due("confirmation", 2 * HOUR, -1.0, "department manager"),
        Due("report", 2 * HOUR, -1.0, "top manager"),
    ]
    assert owed(levels, "I", 9 * HOUR, confirmed=True, reported=True) == []


def test_those_who_hold_the_offices_of_the_level_are_told() -> None:
    offices = {"deputy": ["zhao"], "department head": ["wang", "zhao"], "top manager": ["li"]}
    levels = Levels.model_validate({"offices": offices})
    assert [told_people(levels, level) for level in LEVELS] == [
        ("zhao", "wang"),
        ("zhao", "li"),
        ("li", "zhao"),
    ]
    assert told_people(Levels(), "I") == ()
