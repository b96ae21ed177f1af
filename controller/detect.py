"""Detection: observations of one target by one probe become a health. Pure: a fold, no clock of its own.

How a probe failed decides how long that must last before it is believed (POSTGRESQL P13): refusals after a
connection that ended without a word are a crash; silence must outlast every stall that the profile promises
to ride out; an answer, whatever it says, is never death (S6).
"""

from __future__ import annotations

from typing import Any

from controller.flapping import sample
from model.health import DISK_FULL_BYTES, Health, ProbeState, Profile
from model.observation import ALIVE_FAILURES, Failure, Observation, Outcome

# A held connection tells of its end; its observation may have begun hours ago, with the connection.
_ENDS = frozenset({Failure.CLOSED, Failure.STOPPING})
# An answer that takes longer than this share of the time-out is slow.
_SLOW_SHARE = 0.5
# Of an interval: a verdict that falls sooner after the one before is no new one for the history of flapping.
# Jitter makes intervals unequal by less, and attempts of a burst come many times as fast.
_SAMPLE_SHARE = 0.5


def fold(state: ProbeState, seen: Observation, profile: Profile) -> ProbeState:
    """The state after one more observation."""
    state = _with_room(state, seen)
    match seen.outcome:
        case Outcome.SUCCEEDED if seen.late:
            return _late(state, seen)
        case Outcome.SUCCEEDED:
            return _good(state, seen, profile)
        case Outcome.UNKNOWN:
            return _unknown(state, seen)
        case Outcome.FAILED if outlived(state, seen):
            return state
        case Outcome.FAILED:
            return _bad(state, seen, profile)


def outlived(state: ProbeState, seen: Observation) -> bool:
    """The silence of an attempt says nothing if a younger one was answered: attempts overlap."""
    youngest_s = state.answered_from_s
    return seen.failure is Failure.SILENT and youngest_s is not None and youngest_s >= seen.started_s


def _with_room(state: ProbeState, seen: Observation) -> ProbeState:
    """Free space is read through the node, so that failed attempts know it too."""
    known = [v for k, v in seen.facts.items() if k.endswith("_free_bytes") and isinstance(v, int)]
    if not known:
        return state
    if min(known) >= DISK_FULL_BYTES:
        return state.but(full_from_s=None, room_s=seen.ended_s)
    return state if state.full_from_s is not None else state.but(full_from_s=seen.ended_s)


def newest(known: Observation | None, seen: Observation) -> Observation:
    """The reading whose facts hold now. Of two that overlapped in time, the one that came later may have been
    made earlier: the one further in the log is the newer, else a server would seem to lose what it has."""
    if known is None or seen.started_s >= known.ended_s:
        return seen
    return known if _progress(known) > _progress(seen) else seen


def _progress(seen: Observation) -> tuple[int, int]:
    timeline, position = seen.facts.get("timeline"), seen.facts.get("position")
    if isinstance(timeline, int) and isinstance(position, int):
        return timeline, position
    return -1, -1


def _good(state: ProbeState, seen: Observation, profile: Profile) -> ProbeState:
    successes = state.successes + 1
    recovering = state.health is Health.DOWN and successes < profile.rise
    health = Health.DOWN if recovering else Health.UP
    return state.but(
        health=health,
        since_s=since(state, health, seen),
        last_good_s=later(state.last_good_s, seen.ended_s),
        last_life_s=later(state.last_life_s, seen.ended_s),
        first_bad_s=None,
        silent_from_s=None,
        stopping_s=None,
        starting_s=None,
        closed_s=None,
        disk_full_s=None,
        refusals=0,
        successes=successes,
        slow=state.slow + 1 if seen.latency_s > _SLOW_SHARE * profile.timeout_s else 0,
        answered_from_s=later(state.answered_from_s, seen.started_s),
        why=f"answered {successes} of {profile.rise} times needed" if recovering else "answers",
        last=seen,
        last_good=newest(state.last_good, seen),
        **_sampled(state, health, seen, profile),
    )


def _sampled(state: ProbeState, health: Health, seen: Observation, profile: Profile) -> dict[str, Any]:
    return sample(state, health, seen.ended_s, _SAMPLE_SHARE * profile.interval_s, profile.stale_s)


def _late(state: ProbeState, seen: Observation) -> ProbeState:
    """An answer after its deadline: it lives, so the silence begins anew; good it is not, though its facts
    are as true as any."""
    health = Health.SUSPECT if state.health is Health.DOWN else state.health
    return state.but(
        health=health,
        since_s=since(state, health, seen),
        last_life_s=later(state.last_life_s, seen.ended_s),
        silent_from_s=None,
        closed_s=None,
        refusals=0,
        answered_from_s=later(state.answered_from_s, seen.started_s),
        why=f"answers, but late: after {seen.latency_s:.2f} s",
        last=seen,
        last_good=newest(state.last_good, seen),
    )


def _unknown(state: ProbeState, seen: Observation) -> ProbeState:
    """Nothing was learned of the target, except that what refused our credentials is alive."""
    alive = seen.failure in ALIVE_FAILURES
    return state.but(
        health=Health.UNKNOWN,
        since_s=since(state, Health.UNKNOWN, seen),
        last_life_s=later(state.last_life_s, seen.ended_s) if alive else state.last_life_s,
        # What we could not see is no silence of the target: its silence starts anew.
        first_bad_s=None,
        silent_from_s=None,
        closed_s=None if alive else state.closed_s,
        refusals=0,
        successes=0,
        slow=0,
        why=seen.detail or "could not be found out",
        last=seen,
    )


def _bad(state: ProbeState, seen: Observation, profile: Profile) -> ProbeState:
    failure = seen.failure
    # An administrator's stop is announced by a server that answers, though it will not for long.
    alive = failure in ALIVE_FAILURES or failure is Failure.STOPPING
    since_s = began_s(state, seen)
    moved = state.but(
        first_bad_s=state.first_bad_s if state.first_bad_s is not None else since_s,
        silent_from_s=None if alive else _silent_from_s(state, seen, since_s, profile),
        last_life_s=later(state.last_life_s, seen.ended_s) if alive else state.last_life_s,
        stopping_s=seen.ended_s if failure is Failure.STOPPING else state.stopping_s,
        starting_s=seen.ended_s if failure is Failure.STARTING else state.starting_s,
        closed_s=seen.ended_s if failure is Failure.CLOSED else (None if alive else state.closed_s),
        disk_full_s=seen.ended_s if failure is Failure.DISK_FULL else state.disk_full_s,
        refusals=state.refusals + 1 if failure is Failure.REFUSED else (0 if alive else state.refusals),
        successes=0,
        slow=0,
        last=seen,
    )
    health, why = _verdict(moved, seen, profile)
    if health is Health.SUSPECT and state.health is Health.DOWN and not alive:
        health, why = Health.DOWN, state.why
    sampled = _sampled(state, health, seen, profile)
    return moved.but(health=health, since_s=since(state, health, seen), why=why, **sampled)


def began_s(state: ProbeState, seen: Observation) -> float:
    """From when on this failure speaks. Of an end, the moment at which it came; of an attempt, its start, but
    not before the last sign of life: attempts overlap, and a younger one may have been answered."""
    told_s = seen.ended_s if seen.failure in _ENDS else seen.started_s
    return told_s if state.last_life_s is None else max(told_s, state.last_life_s)


def _silent_from_s(state: ProbeState, seen: Observation, since_s: float, profile: Profile) -> float:
    """Start of the run without an answer. It begins anew after a pause in which nobody looked, and after an
    attempt whose verdict fell so late that this process itself must have slept."""
    looked_s = seen.ended_s if seen.failure in _ENDS else seen.started_s
    if seen.ended_s - looked_s > profile.timeout_s + profile.gap_s:
        return seen.ended_s
    if state.silent_from_s is None or state.last is None:
        return since_s
    unwatched = looked_s - state.last.ended_s > profile.gap_s
    return since_s if unwatched else state.silent_from_s


def _verdict(state: ProbeState, seen: Observation, profile: Profile) -> tuple[Health, str]:
    failure, now_s = seen.failure, seen.ended_s
    if failure in ALIVE_FAILURES:
        return Health.SUSPECT, f"alive, but {failure}: {seen.detail}"
    restarting_s = state.restarting_s
    grace_s = profile.restart_grace_s
    if restarting_s is not None and now_s - restarting_s < grace_s:
        return Health.SUSPECT, f"being restarted: {now_s - restarting_s:.2f} s of {grace_s:.0f} s grace"
    silent_s = now_s - (state.silent_from_s if state.silent_from_s is not None else now_s)
    if failure is Failure.REFUSED:
        return _refused(state, silent_s, profile)
    if silent_s >= profile.silence_s:
        return Health.DOWN, f"no answer for {silent_s:.2f} s ({failure})"
    needed = f"{silent_s:.2f} s of {profile.silence_s:.2f} s needed"
    return Health.SUSPECT, f"no answer for {needed} ({failure})"


def _refused(state: ProbeState, silent_s: float, profile: Profile) -> tuple[Health, str]:
    if state.refusals < profile.refusals:
        return Health.SUSPECT, f"refused {state.refusals} of {profile.refusals} times needed"
    if state.closed_s is None and silent_s < profile.restart_grace_s:
        waited = f"{silent_s:.2f} s of {profile.restart_grace_s:.0f} s grace"
        return (
            Health.SUSPECT,
            f"refused, but no held connection told how it ended, perhaps a restart: {waited}",
        )
    return Health.DOWN, f"{state.refusals} refusals in a row"


def unseen(state: ProbeState) -> ProbeState:
    """Some of what was seen of it is not known. What answered may still be said to; but nothing is known of a
    silence, of refusals in a row, or of how a connection ended: they begin anew."""
    answers = state.health is Health.UP
    return state.but(
        health=Health.UP if answers else Health.UNKNOWN,
        first_bad_s=None,
        silent_from_s=None,
        closed_s=None,
        refusals=0,
        failures=0,
        why=state.why if answers else "some of what was seen of it was lost on its way here",
    )


def age(state: ProbeState, now_s: float, profile: Profile) -> ProbeState:
    """Stale is unknown: without a fresh observation neither `up` nor `suspect` holds. `down` too: nobody
    looks any more."""
    if state.last is None or state.health is Health.UNKNOWN:
        return state
    if now_s - state.last.ended_s <= profile.stale_s:
        return state
    return state.but(
        health=Health.UNKNOWN,
        since_s=now_s,
        why=f"not observed for {now_s - state.last.ended_s:.1f} s",
    )


def since(state: ProbeState, health: Health, seen: Observation) -> float:
    return state.since_s if health is state.health else seen.ended_s


def later(known_s: float | None, seen_s: float) -> float:
    return seen_s if known_s is None else max(known_s, seen_s)
