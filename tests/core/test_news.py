"""What is judged at once, and what can wait for the next turn."""

from __future__ import annotations

from typing import Any

import pytest

from controller.detect import fold
from controller.news import is_news
from model.health import PROFILES, ProbeState
from model.observation import Failure, Observation, Outcome

FACTS = {"in_recovery": True, "timeline": 1, "walreceiver": True, "position": 100, "canary_n": 7}


def _seen(at_s: float, failure: Failure | None = None, **facts: Any) -> Observation:
    outcome = Outcome.SUCCEEDED if failure is None else Outcome.FAILED
    known = {**FACTS, **facts} if failure is None else {}
    return Observation("orders/pg2", "postgresql", "o", outcome, at_s - 0.01, at_s, 0.0, failure, facts=known)


def _after(state: ProbeState, seen: Observation) -> ProbeState:
    return fold(state, seen, PROFILES["balanced"])


UP = _after(ProbeState("orders/pg2", "postgresql"), _seen(10.0))


def test_the_first_thing_that_is_seen_is_news() -> None:
    assert is_news(None, UP)
    assert is_news(ProbeState("orders/pg2", "postgresql"), UP)


def test_a_position_that_moves_is_no_news() -> None:
    assert not is_news(UP, _after(UP, _seen(10.5, position=200, canary_n=9)))


@pytest.mark.parametrize(
    "fact", [{"in_recovery": False}, {"timeline": 2}, {"walreceiver": False}, {"new": 1}]
)
def test_any_other_fact_that_changes_is_news(fact: dict[str, Any]) -> None:
    assert is_news(UP, _after(UP, _seen(10.5, **fact)))


def test_a_failure_is_news_and_the_same_failure_again_is_not() -> None:
    suspect = _after(UP, _seen(10.5, Failure.SILENT))
    again = _after(suspect, _seen(10.6, Failure.SILENT))
    assert is_news(UP, suspect)
    assert not is_news(suspect, again)
    assert is_news(again, _after(again, _seen(10.7, Failure.REFUSED)))


def test_a_failure_that_makes_it_down_is_news() -> None:
    state = _after(UP, _seen(10.5, Failure.SILENT))
    for at_s in (11.5, 12.5):
        state = _after(state, _seen(at_s, Failure.SILENT))
    down = _after(state, _seen(13.0, Failure.SILENT))
    assert (state.health, down.health) != (state.health, state.health)
    assert is_news(state, down)


@pytest.mark.parametrize(
    "moved",
    [
        {"gtid_current_pos": "0-1-101", "uptime_s": 8, "threads_running": 2, "seconds_behind": 1},
        {"replication_offset": 9, "used_memory_bytes": 1 << 21, "connected_clients": 11, "lag_s": 1},
    ],
    ids=["mariadb", "redis"],
)
def test_figures_of_other_engines_that_move_all_the_time_are_no_news(moved: dict[str, Any]) -> None:
    before = _after(UP, _seen(10.5, **dict.fromkeys(moved, 0)))
    assert not is_news(before, _after(before, _seen(11.0, **moved)))
    role = _seen(11.0, **{**moved, "role": "replica"})
    assert is_news(before, _after(before, role))
