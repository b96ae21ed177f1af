"""What must hold for every sequence of observations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from test_detect import FRESH, run, seen

from controller.detect import age, fold
from model.health import PROFILES, Health, ProbeState, Profile
from model.observation import ALIVE_FAILURES, Failure, Observation

PROFILE = st.sampled_from(list(PROFILES.values()))
# A held connection has told nothing here: `closed` makes refusals a crash, and that has its own tests.
SILENCES = [f.value for f in (Failure.SILENT, Failure.UNREACHABLE, Failure.RESET)]
ANSWERS = ["ok", *(f.value for f in sorted(ALIVE_FAILURES))]
ANYTHING = [*ANSWERS, *SILENCES, "refused", "closed", "stopping", "local", "unknown", "credentials"]


@st.composite
def histories(
    draw: st.DrawFn, results: Sequence[str] = ANYTHING, longest_gap_s: float = 3.0
) -> list[Observation]:
    """Observations in the order in which their verdicts fell; attempts may overlap."""
    at_s, found = 100.0, []
    for _ in range(draw(st.integers(0, 40))):
        at_s += draw(st.floats(0.001, longest_gap_s))
        result, took_s = draw(st.sampled_from(results)), draw(st.floats(0.001, 2.0))
        found.append(seen(result, at_s, took_s, late=result == "ok" and draw(st.booleans())))
    return found


def folded(history: Sequence[Observation], profile: Profile, state: ProbeState = FRESH) -> ProbeState:
    for observation in history:
        state = fold(state, observation, profile)
    return state


@given(histories(), PROFILE)
def test_down_never_follows_from_an_answer(history: list[Observation], profile: Profile) -> None:
    state = FRESH
    for observation in history:
        before, state = state, fold(state, observation, profile)
        if observation.shows_life:
            recovering = before.health is Health.DOWN and observation.failure is None and not observation.late
            assert state.health is not Health.DOWN or recovering


@given(histories(), PROFILE)
def test_unknown_is_never_down(history: list[Observation], profile: Profile) -> None:
    state = FRESH
    for observation in history:
        state = fold(state, observation, profile)
        if observation.outcome.value == "unknown":
            assert state.health is Health.UNKNOWN


@given(histories([*SILENCES, "refused", "local", "unknown"]), histories(), PROFILE)
def test_after_an_unknown_silence_and_refusals_begin_anew(
    after: list[Observation], before: list[Observation], profile: Profile
) -> None:
    """Down needs the whole silence, or enough refusals, since the last time that nobody could tell."""
    start_s = before[-1].ended_s if before else 100.0
    shifted = [seen(o.detail, o.ended_s - 100.0 + start_s + 1.1, min(o.latency_s, 1.0)) for o in after]
    state = fold(folded(before, profile), seen("local", start_s + 0.1), profile)
    told_s, refusals = start_s + 0.1, 0
    for observation in shifted:
        state = fold(state, observation, profile)
        if observation.outcome.value == "unknown":
            told_s, refusals = observation.ended_s, 0
        refusals += observation.failure is Failure.REFUSED
        if state.health is Health.DOWN:
            silent_s = observation.ended_s - (told_s - 1.0)
            assert silent_s >= profile.silence_s or refusals >= profile.refusals
            break


@given(st.data(), PROFILE)
def test_a_server_that_answers_now_and_then_is_never_down(data: st.DataObject, profile: Profile) -> None:
    """Whatever it answers, and though all in between is silence: no pause is as long as the profile's."""
    pause_s = data.draw(st.floats(0.01, profile.silence_s * 0.45))
    state, at_s = FRESH, 100.0
    for _ in range(data.draw(st.integers(1, 30))):
        for _ in range(data.draw(st.integers(0, 3))):
            at_s += pause_s / 4
            kind = data.draw(st.sampled_from(SILENCES))
            state = fold(state, seen(kind, at_s, min(pause_s, profile.timeout_s)), profile)
            assert state.health is not Health.DOWN
        at_s += pause_s / 4
        late = data.draw(st.booleans())
        answer = data.draw(st.sampled_from(ANSWERS))
        state = fold(state, seen(answer, at_s, late=late and answer == "ok"), profile)
        assert state.health is not Health.DOWN


@given(st.data(), PROFILE)
def test_a_stall_within_the_profiles_promise_is_ridden_out(data: st.DataObject, profile: Profile) -> None:
    """Attempts overlap as the scheduler makes them; each is answered when the server wakes, or is given up at
    its deadline. balanced: 2.0 s of silence and 0.3 s until it answers again."""
    promise_s = {"fast": 0.4, "balanced": 2.0, "careful": 10.0}[profile.name]
    stall_s = data.draw(st.floats(0.01, promise_s))
    wakes_s = 100.0 + stall_s + data.draw(st.floats(0.0, min(0.3, profile.silence_s - promise_s - 0.05)))
    attempts, at_s = [], 99.98
    while at_s < wakes_s + 1.0:
        timeout_s = data.draw(st.sampled_from([profile.timeout_s, profile.burst_timeout_s]))
        answered_s = at_s + 0.01 if at_s + 0.01 < 100.0 or at_s >= wakes_s else wakes_s + 0.001
        if answered_s - at_s <= timeout_s:
            attempts.append(seen("ok", answered_s, answered_s - at_s))
        else:
            attempts.append(seen("silent", at_s + timeout_s, timeout_s))
        at_s += data.draw(st.floats(profile.burst_interval_s, max(0.13, profile.burst_timeout_s)))
    state = run("ok@99.9", profile)
    for observation in sorted(attempts, key=lambda o: o.ended_s):
        state = fold(state, observation, profile)
        assert state.health is not Health.DOWN, state.why


@given(st.lists(st.sampled_from([*SILENCES, "refused", "closed"]), min_size=1, max_size=60), PROFILE)
def test_monotone_in_silence(kinds: list[str], profile: Profile) -> None:
    """Once down, more of the same never makes it less; and enough of it always makes it down."""
    state, at_s, was_down = run("ok@100", profile), 100.0, False
    for kind in kinds:
        at_s += 0.3
        state = fold(state, seen(kind, at_s, 0.0 if kind == "closed" else 0.2), profile)
        assert not (was_down and state.health is not Health.DOWN)
        was_down = state.health is Health.DOWN
    for _ in range(200):
        at_s += 0.3
        state = fold(state, seen("silent", at_s, 0.2), profile)
    assert state.health is Health.DOWN


@given(st.lists(st.sampled_from(["refused", *SILENCES]), max_size=60), PROFILE)
def test_an_administrators_stop_is_no_outage_within_the_grace(kinds: list[str], profile: Profile) -> None:
    state, at_s = run("ok@100 stopping@101", profile), 101.0
    for kind in kinds:
        at_s += 0.1
        if at_s - 101.0 >= profile.restart_grace_s:
            break
        state = fold(state, seen(kind, at_s, 0.05), profile)
        assert state.health is Health.SUSPECT


@given(histories(), PROFILE, st.floats(0, 100))
def test_age_only_ever_forgets(history: list[Observation], profile: Profile, later_s: float) -> None:
    state = folded(history, profile)
    aged = age(state, (history[-1].ended_s if history else 100.0) + later_s, profile)
    assert aged.health in (state.health, Health.UNKNOWN)


@given(st.data(), PROFILE)
def test_a_server_that_only_goes_forward_never_seems_to_go_back(
    data: st.DataObject, profile: Profile
) -> None:
    """Readings overlap, each is made at some moment between its start and its end, and some are late. What
    holds now is never behind what was ever seen (P3)."""
    readings = []
    for _ in range(data.draw(st.integers(1, 12))):
        started_s = data.draw(st.floats(100, 110))
        took_s = data.draw(st.floats(0.001, 3))
        made_s = started_s + took_s * data.draw(st.floats(0, 1))
        facts = {"timeline": 1, "position": int(made_s * 1e6)}
        reading = seen("ok", started_s + took_s, took_s, late=data.draw(st.booleans()))
        readings.append(replace(reading, started_s=started_s, facts=facts))
    state, mark = FRESH, 0
    for reading in sorted(readings, key=lambda o: o.ended_s):
        state = fold(state, reading, profile)
        mark = max(mark, reading.facts["position"])
        assert state.last_good is not None
        assert state.last_good.facts["position"] == mark


@settings(max_examples=50)
@given(histories(), PROFILE)
def test_the_same_history_gives_the_same_state(history: list[Observation], profile: Profile) -> None:
    assert folded(history, profile) == folded(list(history), profile)
