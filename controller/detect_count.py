"""Detection of declared probes: so many failures in a row are `down`, so many successes `up` again. Pure.

The types differ too much for the kinds of failure to weigh as they do for a database server: what its owner
calls a failure is one, be it an answer. What could not be found out is none (S6).
"""

from __future__ import annotations

from controller.detect import began_s, later, newest, outlived, since
from controller.flapping import sample
from model.health import Health, ProbeState
from model.observation import Observation, Outcome


def fold_count(state: ProbeState, seen: Observation, fall: int, rise: int) -> ProbeState:
    """The state after one more observation. fall: failures in a row, without one that could not be found out
    between them, that make it `down`; rise: successes in a row that make it `up` again. Both at least 1."""
    match seen.outcome:
        case Outcome.SUCCEEDED if seen.late:
            return _late(state, seen)
        case Outcome.SUCCEEDED:
            return _good(state, seen, rise)
        case Outcome.UNKNOWN:
            return _unknown(state, seen)
        case Outcome.FAILED if outlived(state, seen):
            return state
        case Outcome.FAILED:
            return _bad(state, seen, fall)


def _good(state: ProbeState, seen: Observation, rise: int) -> ProbeState:
    successes = state.successes + 1
    recovering = state.health is Health.DOWN and successes < rise
    health = Health.DOWN if recovering else Health.UP
    return state.but(
        health=health,
        since_s=since(state, health, seen),
        last_good_s=later(state.last_good_s, seen.ended_s),
        last_life_s=later(state.last_life_s, seen.ended_s),
        first_bad_s=None,
        failures=0,
        successes=successes,
        answered_from_s=later(state.answered_from_s, seen.started_s),
        why=f"answered {successes} of {rise} times needed" if recovering else "answers",
        last=seen,
        last_good=newest(state.last_good, seen),
        **sample(state, health, seen.ended_s),
    )


def _late(state: ProbeState, seen: Observation) -> ProbeState:
    """An answer after its deadline: the deadline counted as a failure, and the answer shows that it lives. So
    what is slower than its time-out is `suspect`, and never `down` for that alone."""
    health = Health.SUSPECT if state.health is Health.DOWN else state.health
    return state.but(
        health=health,
        since_s=since(state, health, seen),
        last_life_s=later(state.last_life_s, seen.ended_s),
        failures=0,
        answered_from_s=later(state.answered_from_s, seen.started_s),
        why=f"answers, but late: after {seen.latency_s:.2f} s",
        last=seen,
        last_good=newest(state.last_good, seen),
    )


def _unknown(state: ProbeState, seen: Observation) -> ProbeState:
    return state.but(
        health=Health.UNKNOWN,
        since_s=since(state, Health.UNKNOWN, seen),
        last_life_s=later(state.last_life_s, seen.ended_s) if seen.shows_life else state.last_life_s,
        first_bad_s=None,
        failures=0,
        successes=0,
        why=seen.detail or "could not be found out",
        last=seen,
    )


def _bad(state: ProbeState, seen: Observation, fall: int) -> ProbeState:
    failures = state.failures + 1
    down = failures >= fall or state.health is Health.DOWN
    health = Health.DOWN if down else Health.SUSPECT
    how = f"{seen.failure}: {seen.detail}" if seen.detail else f"{seen.failure}"
    count = f"failed {failures} times in a row" if down else f"failed {failures} of {fall} times needed"
    return state.but(
        health=health,
        since_s=since(state, health, seen),
        last_life_s=later(state.last_life_s, seen.ended_s) if seen.shows_life else state.last_life_s,
        first_bad_s=state.first_bad_s if state.first_bad_s is not None else began_s(state, seen),
        failures=failures,
        successes=0,
        why=f"{count} ({how})",
        last=seen,
        **sample(state, health, seen.ended_s),
    )
