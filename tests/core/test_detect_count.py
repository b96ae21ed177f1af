"""Detection of declared probes: counts decide, and what could not be found out counts for nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_detect import FRESH, seen

from controller.detect_count import fold_count
from model.health import Health, ProbeState
from model.observation import Outcome

FALL, RISE = 3, 2


def run(script: str, fall: int = FALL, rise: int = RISE, state: ProbeState = FRESH) -> ProbeState:
    """`RESULT@SECONDS[/TOOK] …`; `ok!`: late."""
    for word in script.split():
        result, _, when = word.partition("@")
        at, _, took = when.partition("/")
        late = result.endswith("!")
        state = fold_count(
            state, seen(result.removesuffix("!"), float(at), float(took or 0.01), late=late), fall, rise
        )
    return state


DOWN = "ok@10 silent@11 silent@12 silent@13"


@pytest.mark.parametrize(
    ("script", "health"),
    [
        ("ok@10", Health.UP),
        ("ok@10 refused@11", Health.SUSPECT),
        ("ok@10 refused@11 silent@12", Health.SUSPECT),
        # Of whatever kind: three are three.
        ("ok@10 refused@11 silent@12 bad_answer@13", Health.DOWN),
        ("ok@10 bad_answer@11 bad_answer@12 bad_answer@13", Health.DOWN),
        ("silent@11 silent@12 silent@13", Health.DOWN),
        ("ok@10 refused@11 refused@12 ok@13 refused@14 refused@15", Health.SUSPECT),
        # Not found out is unknown at once, and the count begins anew.
        ("ok@10 local@11", Health.UNKNOWN),
        ("ok@10 credentials@11", Health.UNKNOWN),
        (f"{DOWN} unknown@14", Health.UNKNOWN),
        ("ok@10 refused@11 refused@12 local@13 refused@14 refused@15", Health.SUSPECT),
        ("ok@10 refused@11 refused@12 local@13 refused@14 refused@15 refused@16", Health.DOWN),
        # Up again after so many in a row.
        (f"{DOWN} ok@14", Health.DOWN),
        (f"{DOWN} ok@14 ok@15", Health.UP),
        (f"{DOWN} ok@14 refused@15 ok@16", Health.DOWN),
        ("ok@10 refused@11 ok@12", Health.UP),
        # A late answer shows life, and is no good one.
        ("ok@10 ok!@13/2.5", Health.UP),
        (f"{DOWN} ok!@14/2.5", Health.SUSPECT),
        ("ok@10 silent@11/2 silent@12/2 ok!@12.5/3 silent@13/0.2", Health.SUSPECT),
        # The silence of an attempt says nothing if a younger one was answered.
        ("ok@10 silent@11.1/0.5 silent@11.2/0.5 ok@11.9/0.1 silent@12/2", Health.UP),
    ],
)
def test_health_after(script: str, health: Health) -> None:
    assert run(script).health is health, run(script).why


@pytest.mark.parametrize(("fall", "rise"), [(1, 1), (1, 3), (2, 1), (5, 4)])
def test_exactly_so_many_are_needed(fall: int, rise: int) -> None:
    state = run("ok@9")
    for n in range(fall):
        assert state.health is not Health.DOWN
        state = run(f"refused@{10 + n}", fall, rise, state)
    assert state.health is Health.DOWN
    for n in range(rise):
        assert state.health is Health.DOWN
        state = run(f"ok@{30 + n}", fall, rise, state)
    assert state.health is Health.UP


def test_a_person_reads_why() -> None:
    assert run("ok@10 refused@11").why == "failed 1 of 3 times needed (refused: refused)"
    assert run(f"{DOWN} silent@14").why == "failed 4 times in a row (silent: silent)"
    assert run(f"{DOWN} ok@14").why == "answered 1 of 2 times needed"
    assert run("ok@10 local@11").why == "local"


def test_times_tell_from_when_it_was_bad_and_what_it_last_said() -> None:
    state = run(DOWN)
    assert (state.since_s, state.last_good_s, state.first_bad_s) == (13.0, 10.0, 10.99)
    assert state.last_good is not None
    assert state.last_good.ended_s == 10.0
    assert run("ok@14 ok@15", state=state).first_bad_s is None


def test_repeated_changes_are_flapping_and_a_single_fall_is_not() -> None:
    assert not run("ok@1 ok@2 ok@3 ok@4 " + DOWN).flapping
    assert run(" ".join(f"ok@{10 + 2 * n} refused@{11 + 2 * n}" for n in range(6))).flapping


RESULTS = ["ok", "refused", "silent", "bad_answer", "local", "unknown", "credentials"]


@given(st.lists(st.sampled_from(RESULTS), max_size=40), st.integers(1, 5), st.integers(1, 4))
def test_down_only_after_so_many_failures_in_a_row_and_never_by_the_unknown(
    results: Sequence[str], fall: int, rise: int
) -> None:
    state, in_a_row, good = FRESH, 0, 0
    for n, result in enumerate(results):
        observation = seen(result, 10.0 + n)
        before, state = state, fold_count(state, observation, fall, rise)
        in_a_row = in_a_row + 1 if observation.outcome is Outcome.FAILED else 0
        good = good + 1 if observation.outcome is Outcome.SUCCEEDED else 0
        if state.health is Health.DOWN and before.health is not Health.DOWN:
            assert in_a_row >= fall
        if in_a_row >= fall:
            assert state.health is Health.DOWN
        if observation.outcome is Outcome.UNKNOWN:
            assert state.health is Health.UNKNOWN
        if before.health is Health.DOWN and state.health is Health.UP:
            assert good >= rise
        if good >= rise:
            assert state.health is Health.UP
