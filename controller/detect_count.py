"""Detection of declared probes: so many failures in a row are `down`, so many successes `up` again. Pure."""

from __future__ import annotations

from dataclasses import replace

from model.health import Health, ProbeState
from model.observation import Observation, Outcome


def fold_count(state: ProbeState, seen: Observation, fall: int, rise: int) -> ProbeState:
    """The state after one more observation. `refusals` counts the failures in a row."""
    match seen.outcome:
        case Outcome.SUCCEEDED:
            successes = state.successes + 1
            health = Health.DOWN if state.health is Health.DOWN and successes < rise else Health.UP
            return replace(state, health=health, successes=successes, refusals=0, last=seen, last_good=seen)
        case Outcome.UNKNOWN:
            return replace(state, health=Health.UNKNOWN, successes=0, refusals=0, last=seen)
        case Outcome.FAILED:
            failures = state.refusals + 1
            down = failures >= fall or state.health is Health.DOWN
            health = Health.DOWN if down else Health.SUSPECT
            return replace(state, health=health, successes=0, refusals=failures, last=seen)
