"""What is known of the probes of one service, made once for as long as it holds."""

from __future__ import annotations

from dataclasses import replace

from controller.supervisor.states import States
from controller.views import PG
from model.health import PROFILES, Health, ProbeState
from model.observation import Observation, Outcome

PROFILE = PROFILES["balanced"]
TARGET = "orders/pg1"


def seen(at_s: float) -> ProbeState:
    last = Observation(TARGET, PG, "test", Outcome.SUCCEEDED, at_s, at_s, at_s)
    return ProbeState(TARGET, PG, health=Health.UP, last=last, last_good=last)


def test_the_same_mapping_is_given_while_nothing_has_changed() -> None:
    states = States(PROFILE)
    states.put(seen(100.0))
    assert states.aged(TARGET, 100.1) is states.aged(TARGET, 102.0)


def test_it_is_made_anew_after_an_observation_and_after_it_was_forgotten() -> None:
    states = States(PROFILE)
    states.put(seen(100.0))
    before = states.aged(TARGET, 100.1)
    states.put(replace(seen(100.5), health=Health.SUSPECT))
    assert before[PG].health is Health.UP
    assert states.aged(TARGET, 100.5)[PG].health is Health.SUSPECT
    states.drop(TARGET, PG)
    assert states.aged(TARGET, 100.5) == {}


def test_what_grows_stale_becomes_unknown_though_nothing_comes_in() -> None:
    states = States(PROFILE)
    states.put(seen(100.0))
    assert states.aged(TARGET, 100.0 + PROFILE.stale_s - 0.01)[PG].health is Health.UP
    stale = states.aged(TARGET, 100.0 + PROFILE.stale_s + 0.01)[PG]
    assert stale.health is Health.UNKNOWN
    later = states.aged(TARGET, 100.0 + PROFILE.stale_s + 5)[PG]
    assert later.why != stale.why  # it says for how long


def test_one_of_two_probes_that_grows_stale_is_not_hidden_by_the_other() -> None:
    states = States(PROFILE)
    states.put(seen(100.0))
    states.put(replace(seen(103.0), probe="icmp"))
    aged = states.aged(TARGET, 103.0)
    assert (aged[PG].health, aged["icmp"].health) == (Health.UP, Health.UP)
    aged = states.aged(TARGET, 100.0 + PROFILE.stale_s + 0.1)
    assert (aged[PG].health, aged["icmp"].health) == (Health.UNKNOWN, Health.UP)
