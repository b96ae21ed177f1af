"""Flapping: repeated changes are, and neither a crash nor a restart is."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_detect import BALANCED, FRESH, run, seen

from controller.detect import fold
from controller.flapping import EMPTY, KEPT, changes, flaps, known, remember, sample, weight_percent
from model.health import PROFILES, Health, ProbeState, Profile

QUIET = "u" * 30


def history(letters: str) -> int:
    """u: up, d: not up; oldest first."""
    packed = EMPTY
    for letter in letters:
        packed = remember(packed, up=letter == "u")
    return packed


def flapping(letters: str) -> bool:
    packed, now = EMPTY, False
    for letter in letters:
        packed = remember(packed, up=letter == "u")
        now = flaps(packed, flapped=now)
    return now


@pytest.mark.parametrize(
    ("letters", "flapped"),
    [
        ("", False),
        ("d", False),
        (QUIET, False),
        ("d" * 30, False),
        (QUIET + "d", False),  # a crash after a long good time
        (QUIET + "d" * 30, False),
        (QUIET + "d" + QUIET, False),  # a crash and a restart
        (QUIET + "dddddu", False),
        ("d" + QUIET, False),  # the first time that it is seen up
        (QUIET + "dudud", False),  # restarted twice, then gone: five changes in the five last verdicts
        (QUIET + "dududu", True),  # three rounds
        (QUIET + "ddduuudddu", False),
        (QUIET + "ddduuudddduuudddu", True),
        ("ud" * 20, True),
        # It has ended when most of the changes are forgotten, and not before.
        (QUIET + "dududu" + "u" * 10, True),
        (QUIET + "dududu" + "u" * 18, False),
        ("ud" * 20 + "d" * 12, True),
        ("ud" * 20 + "d" * 16, False),
    ],
)
def test_what_flaps(letters: str, flapped: bool) -> None:
    assert flapping(letters) is flapped


def test_newer_changes_weigh_more() -> None:
    weights = [weight_percent(history("u" * (20 - n) + "d" * (n + 1))) for n in range(20)]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] > weights[-1] > 0
    assert weight_percent(history("ud" * 11)) == 100


def test_between_the_thresholds_it_stays_what_it_was() -> None:
    packed = history(QUIET + "dudud")
    assert not flaps(packed, flapped=False)
    assert flaps(packed, flapped=True)


@given(st.text("ud", max_size=60))
def test_a_history_is_the_last_21_verdicts_in_one_small_integer(letters: str) -> None:
    packed, last = history(letters), letters[-KEPT:]
    assert known(packed) == len(last)
    assert changes(packed) == sum(a != b for a, b in itertools.pairwise(last))
    assert packed.bit_length() <= KEPT + 1
    assert 0 <= weight_percent(packed) <= 100


def test_what_could_not_be_found_out_is_no_change() -> None:
    state = FRESH
    for n in range(40):
        state = fold(state, seen("ok" if n % 2 else "local", 10.0 + n / 2), BALANCED)
    assert changes(state.verdicts) == 0
    assert not state.flapping


def test_a_verdict_that_is_unknown_or_comes_too_soon_changes_nothing() -> None:
    state = replace(FRESH, **sample(FRESH, Health.UP, 10.0))
    assert sample(state, Health.UNKNOWN, 20.0) == {}
    assert sample(state, Health.DOWN, 10.2, spacing_s=0.25) == {}
    assert sample(state, Health.DOWN, 10.3, spacing_s=0.25)["verdicts"] == history("ud")


def alternating(rounds: int, at_s: float, step_s: float) -> str:
    return " ".join(f"ok@{at_s + n * step_s} unreachable@{at_s + (n + 0.5) * step_s}" for n in range(rounds))


def test_a_target_that_comes_and_goes_every_second_flaps_and_ends_it_by_being_down() -> None:
    """So a primary that dies for good while it flaps is held for a few seconds, not for ever."""
    state = run(alternating(10, 10.0, 1.0))
    assert state.flapping
    burst = " ".join(f"refused@{20 + n * 0.025}" for n in range(40))
    assert run(burst, state=state).flapping  # a burst of a second is no long history
    longer = " ".join(f"refused@{20 + n * 0.25}" for n in range(20))
    done = run(longer, state=state)
    assert (done.flapping, done.health) == (False, Health.DOWN)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda p: p.name)
def test_a_burst_of_mixed_answers_within_a_moment_is_no_flapping(profile: Profile) -> None:
    calm = " ".join(f"ok@{10 + n * profile.interval_s}" for n in range(20))
    start_s = 10 + 20 * profile.interval_s
    state = run(calm, profile)
    state = run(alternating(15, start_s, 2 * profile.burst_interval_s), profile, state)
    assert not state.flapping


def test_what_was_seen_before_a_long_pause_is_forgotten() -> None:
    state = run(alternating(10, 10.0, 1.0))
    later_s = 20.0 + BALANCED.stale_s
    after = run(f"ok@{later_s}", state=state)
    assert not after.flapping
    assert known(after.verdicts) == 1


@given(st.lists(st.sampled_from([Health.UP, Health.SUSPECT, Health.DOWN, Health.UNKNOWN]), max_size=60))
def test_one_change_never_flaps_however_it_is_seen(healths: Sequence[Health]) -> None:
    """Whatever the words for it: `up` until some moment, and not `up` afterwards."""
    down = [h for h in healths if h is not Health.UP]
    state: ProbeState = FRESH
    for n, health in enumerate([Health.UP] * (len(healths) - len(down)) + down):
        state = replace(state, **sample(state, health, float(n)))
        assert not state.flapping
