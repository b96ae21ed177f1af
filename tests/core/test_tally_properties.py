"""What must hold for whatever observers see, say, and fail to say."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from situation_player import ORIGIN_S, Judged, Situation, judge

from model.decision import Verb

HANG = ["0.020..6.000/0.125+0.5 pg1 silent", "0.200..6.000/0.200+1.0 pg1/canary silent"]
ALL_SILENT = [f"0.020..6.000/0.125+0.5 {member} silent" for member in ("pg1", "pg2", "pg3")]
# How another observer fares while the primary hangs for us. Only `lost` is a vote for a failover.
FARES: Mapping[str, dict[str, Any]] = {
    "lost": {"like": True},
    "silent": {"until": -2.5},
    "never spoke": {"until": -9.0},
    "says that it is cut off": {"like": True, "sane": False, "why": "cut off"},
    "reaches nothing": {"seen": ALL_SILENT, "sane": None},
    "can't find out": {"seen": ["0.100..6.000/0.500 pg1 local"]},
    "has not looked since": {"until": 0.0},
    "not long enough": {"seen": ["1.500..6.000/0.125+0.5 pg1 silent"]},
    "alive": {},
    "alive, but starting": {"seen": ["0.100..6.000/0.500 pg1 starting"]},
}
HEARS_IT = {"alive", "alive, but starting"}
NO_CONTRADICTION = [fare for fare in FARES if fare not in HEARS_IT]
AT_S = ORIGIN_S + 2.8
# Each fare once, played as a situation; who fares how is put together from these.
VIEW = Situation(
    {
        "observers": {"ops1": {"site": "a"}, **{fare: {"site": "b", **how} for fare, how in FARES.items()}},
        "seen": HANG,
    }
).view(AT_S, [])
SEEN = {other.name: other for other in VIEW.elsewhere}


def judged(fares: tuple[str, ...]) -> Judged:
    """At 2.8 s into a hang, as ops1 sees it; the others fare as told."""
    others = tuple(replace(SEEN[fare], name=f"ops{n}") for n, fare in enumerate(fares, start=2))
    return judge(replace(VIEW, elsewhere=others), AT_S, {})


def acts(fares: tuple[str, ...]) -> bool:
    return judged(fares).decision.verb is Verb.ACT


OTHERS = st.lists(st.sampled_from(list(FARES)), max_size=6).map(tuple)
QUIET = st.lists(st.sampled_from(NO_CONTRADICTION), max_size=6).map(tuple)


@settings(max_examples=150, deadline=None)
@given(OTHERS)
@example(())
@example(("lost", "alive"))
def test_it_acts_if_a_majority_of_all_that_are_declared_sees_it_lost_and_nobody_hears_it(
    fares: tuple[str, ...],
) -> None:
    lost = 1 + fares.count("lost")
    majority = lost > (1 + len(fares)) / 2
    assert acts(fares) is (majority and not HEARS_IT & set(fares))


def test_of_three_every_pair_of_fares_is_judged_so() -> None:
    for pair in itertools.product(FARES, repeat=2):
        assert acts(pair) is ("lost" in pair and not HEARS_IT & set(pair)), pair


@settings(max_examples=100, deadline=None)
@given(QUIET, st.data())
def test_whoever_falls_silent_or_is_isolated_never_makes_it_act(
    fares: tuple[str, ...], data: st.DataObject
) -> None:
    """Fewer eyes are never a reason."""
    worse = list(fares)
    gone = st.sampled_from(["silent", "never spoke", "says that it is cut off", "reaches nothing"])
    for place in range(len(worse)):
        if data.draw(st.booleans()):
            worse[place] = data.draw(gone)
    assert acts(fares) or not acts(tuple(worse))


@settings(max_examples=60, deadline=None)
@given(OTHERS)
def test_it_does_not_matter_in_which_order_observers_are_declared(fares: tuple[str, ...]) -> None:
    one, other = judged(fares), judged(tuple(sorted(fares)))
    assert (one.diagnosis.code, one.diagnosis.confirmed) == (other.diagnosis.code, other.diagnosis.confirmed)
    assert one.decision.verb is other.decision.verb


@settings(max_examples=100, deadline=None)
@given(OTHERS)
def test_whatever_holds_it_says_who_sees_what(fares: tuple[str, ...]) -> None:
    found = judged(fares)
    [gate] = [g for g in found.decision.gates if g.name == "observers"]
    told = "; ".join(e.text for e in found.diagnosis.evidence)
    assert gate.inputs["configured"] == len(fares) + 1
    for number in range(2, len(fares) + 2):
        assert f"ops{number} (b)" in told
    assert gate.passed or gate.reason
