"""Detection by tables: how a probe failed, and for how long, decides what is believed (P13)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.detect import age, fold
from model.health import PROFILES, Health, ProbeState, Profile
from model.observation import Failure, Observation, Outcome

BALANCED, FAST = PROFILES["balanced"], PROFILES["fast"]
FRESH = ProbeState("orders/pg1", "postgresql")


def seen(result: str, at_s: float, took_s: float = 0.005, *, late: bool = False) -> Observation:
    """`ok`, `unknown` or a kind of failure, ended at `at_s`."""
    outcome = {"ok": Outcome.SUCCEEDED, "unknown": Outcome.UNKNOWN}.get(result, Outcome.FAILED)
    failure = None if result in ("ok", "unknown") else Failure(result)
    if failure in (Failure.LOCAL, Failure.CREDENTIALS):
        outcome = Outcome.UNKNOWN
    return Observation(
        "orders/pg1", "postgresql", "me", outcome, at_s - took_s, at_s, at_s, failure, result, {}, late
    )


def run(script: str, profile: Profile = BALANCED, state: ProbeState = FRESH) -> ProbeState:
    """`RESULT@SECONDS[/TOOK] …`"""
    for word in script.split():
        result, _, when = word.partition("@")
        at, _, took = when.partition("/")
        state = fold(
            state,
            seen(result.removesuffix("!"), float(at), float(took or 0.005), late="!" in result),
            profile,
        )
    return state


@pytest.mark.parametrize(
    ("script", "health"),
    [
        ("ok@10", Health.UP),
        ("ok@10 closed@11", Health.SUSPECT),
        ("ok@10 closed@11 refused@11.01 refused@11.04", Health.SUSPECT),
        ("ok@10 closed@11 refused@11.01 refused@11.04 refused@11.07", Health.DOWN),
        # The order in which the end and the refusals arrive does not matter.
        ("ok@10 refused@11.01 refused@11.04 closed@11.05 refused@11.07", Health.DOWN),
        # An answer between them: no crash.
        ("ok@10 closed@11 starting@11.01 refused@11.04 refused@11.07 refused@11.1", Health.SUSPECT),
        ("ok@10 closed@11 saturated@11.01 refused@11.04 refused@11.07 refused@11.1", Health.SUSPECT),
        ("ok@10 closed@11 credentials@11.01 refused@11.04 refused@11.07 refused@11.1", Health.SUSPECT),
        # 57P01 first: somebody restarts it, for the whole grace.
        (
            "ok@10 stopping@11 refused@11.1 refused@12 refused@13 refused@14 refused@15 refused@15.9",
            Health.SUSPECT,
        ),
        (
            "ok@10 stopping@11 refused@11.1 refused@12 refused@13 refused@14 refused@15 refused@16.2",
            Health.DOWN,
        ),
        # Nobody told how it ended: refusals must outlast a restart.
        ("ok@10 refused@11 refused@12 refused@13 refused@14 refused@15.9", Health.SUSPECT),
        ("ok@10 refused@11 refused@12 refused@13 refused@14 refused@15 refused@16.1", Health.DOWN),
        # Silence is counted from the start of the first attempt without an answer.
        ("ok@10 silent@11.5/1 silent@12/0.5 silent@12.8/0.5", Health.SUSPECT),
        ("ok@10 silent@11.5/1 silent@12/0.5 silent@12.95/0.5", Health.DOWN),
        ("ok@10 silent@11.5/1 unreachable@12 reset@12.9", Health.DOWN),
        ("ok@10 silent@11.5/1 saturated@12 silent@13/0.5 silent@14/0.5", Health.SUSPECT),
        ("ok@10 silent@11.5/1 saturated@12 silent@13/0.5 silent@14.4/0.5 silent@14.95/0.5", Health.DOWN),
        # Down is left by `rise` answers, or at once by an answer that says what is the matter.
        ("ok@10 closed@11 refused@11.01 refused@11.04 refused@11.07 ok@11.2", Health.DOWN),
        ("ok@10 closed@11 refused@11.01 refused@11.04 refused@11.07 ok@11.2 ok@11.3", Health.UP),
        ("ok@10 closed@11 refused@11.01 refused@11.04 refused@11.07 starting@11.2", Health.SUSPECT),
        ("ok@10 closed@11 refused@11.01 refused@11.04 refused@11.07 silent@11.6/0.5", Health.DOWN),
        (
            "ok@10 closed@11 refused@11.01 refused@11.04 refused@11.07 silent@11.6/0.5 ok!@11.9/0.8",
            Health.SUSPECT,
        ),
        # Not found out is not down, and neither is it `up`.
        ("ok@10 unknown@11", Health.UNKNOWN),
        ("ok@10 local@11", Health.UNKNOWN),
        ("ok@10 closed@11 refused@11.01 refused@11.04 unknown@11.05 refused@11.07", Health.SUSPECT),
        ("ok@10 silent@11.5/1 unknown@12 silent@13.2/0.5 silent@14/0.5", Health.SUSPECT),
        # A younger attempt was answered before the older one's time was up.
        ("ok@10 ok@10.9 silent@11.2/1", Health.UP),
    ],
)
def test_health_after(script: str, health: Health) -> None:
    assert run(script).health is health, run(script).why


def test_a_kill_is_down_75_ms_after_the_connection_ended() -> None:
    state = run("ok@10 closed@11 refused@11.002 refused@11.027 refused@11.052")
    assert (state.health, state.since_s) == (Health.DOWN, 11.052)


@pytest.mark.parametrize(
    "kind", ["starting", "saturated", "read_only", "disk_full", "sync_blocked", "bad_answer"]
)
def test_an_answer_is_never_death_however_long_it_goes_on(kind: str) -> None:
    state = run("ok@10 closed@10.5 " + " ".join(f"{kind}@{11 + n}" for n in range(100)))
    assert state.health is Health.SUSPECT


def test_a_hung_server_is_down_in_time_in_profile_fast() -> None:
    """T0 to T6 has to fit into 1.2 s: attempts overlap, so the verdict falls soon after the silence."""
    state = run("ok@10 silent@10.7/0.5 silent@10.75/0.425", FAST)
    assert state.health is Health.DOWN


def test_an_end_that_is_told_hours_after_its_connection_began_is_no_silence_of_hours() -> None:
    state = fold(run("ok@7200"), seen("closed", 7201.0, took_s=7000.0), BALANCED)
    assert (state.health, state.first_bad_s) == (Health.SUSPECT, 7201.0)


def test_first_bad_is_never_before_the_last_good() -> None:
    state = run("ok@10 ok@10.9 refused@11 silent@11.5/1.0")
    assert state.last_good_s == 10.9
    assert state.first_bad_s is not None
    assert state.first_bad_s >= 10.9


def test_the_mark_of_a_crash_is_wiped_off_by_an_answer() -> None:
    assert run("ok@10 closed@11 ok@11.1").closed_s is None
    assert run("ok@10 closed@11 starting@11.1").closed_s is None
    assert run("ok@10 closed@11 unknown@11.1").closed_s == 11


def test_who_stopped_it_is_remembered_until_it_works_again() -> None:
    assert run("ok@10 stopping@11 refused@11.1 starting@12 refused@13").stopping_s == 11
    assert run("ok@10 stopping@11 refused@11.1 ok@12").stopping_s is None


def test_a_full_disk_is_remembered_until_it_works_again() -> None:
    assert run("ok@10 disk_full@11 closed@12 refused@12.1").disk_full_s == 11
    assert run("ok@10 disk_full@11 ok@12").disk_full_s is None


def test_what_happened_while_this_process_slept_is_no_silence() -> None:
    asleep = run("ok@10 silent@11.1/1 silent@60/0.5 silent@60.2/0.5")
    assert asleep.health is Health.SUSPECT
    awake = run("silent@60.8/0.5 silent@61.4/0.5 silent@62/0.5", state=asleep)
    assert awake.health is Health.DOWN


def test_a_verdict_that_falls_far_too_late_says_nothing() -> None:
    assert run("ok@10 silent@11.1/1 silent@40/28.8").health is Health.SUSPECT


def test_slow_answers_are_counted_in_a_row() -> None:
    assert run("ok@10/0.6 ok@11/0.7 ok@12/0.6").slow == 3
    assert run("ok@10/0.6 ok@11/0.7 ok@12/0.1").slow == 0


def test_stale_is_unknown_and_down_too() -> None:
    up, down = run("ok@10"), run("ok@10 closed@11 refused@11.01 refused@11.04 refused@11.07")
    for state in (up, down):
        last_s = state.last.ended_s if state.last else 0.0
        assert age(state, last_s + BALANCED.stale_s, BALANCED).health is state.health
        assert age(state, last_s + BALANCED.stale_s + 0.01, BALANCED).health is Health.UNKNOWN
    assert age(FRESH, 1e9, BALANCED) == FRESH


def position(at_s: float, took_s: float, lsn: int, *, late: bool = False) -> Observation:
    return replace(seen("ok", at_s, took_s, late=late), facts={"timeline": 1, "position": lsn})


def test_readings_that_overlap_may_arrive_in_any_order_and_nothing_seems_lost() -> None:
    """A server wakes after a stall and answers all that waited: the last to arrive is not the last made."""
    older, younger = position(12.01, 1.5, 100), position(12.0, 0.5, 105)
    state = fold(fold(FRESH, younger, BALANCED), older, BALANCED)
    assert state.last_good == younger
    late = position(12.02, 1.9, 110, late=True)
    assert fold(state, late, BALANCED).last_good == late
    # A reading that began after the last one ended is believed, whatever it says.
    back = position(12.5, 0.1, 7)
    assert fold(state, back, BALANCED).last_good == back


def test_the_silence_of_an_attempt_is_no_news_when_a_younger_one_was_answered_late() -> None:
    assert run("ok@10 ok!@12/1.1 silent@12.1/1.3").why.startswith("answers, but late")


def test_since_moves_only_with_the_health() -> None:
    state = run("ok@10 ok@11 ok@12")
    assert state.since_s == 10
    assert run("silent@13/0.5", state=state).since_s == 13


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda p: p.name)
def test_profiles_can_hold_what_they_promise(profile: Profile) -> None:
    """A stale reading must not hide a verdict, and a burst attempt must fit into the silence."""
    assert profile.stale_s > profile.silence_s + profile.burst_timeout_s
    assert profile.burst_timeout_s < profile.silence_s
    assert profile.burst_interval_s * profile.refusals < profile.restart_grace_s
    assert replace(profile, interval_s=profile.interval_s * 2).worst_detection_s > profile.worst_detection_s
