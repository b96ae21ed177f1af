"""Three observers in the simulated world: a majority decides, whoever hears the primary vetoes, and the audit
notices where that is not so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from controller.observer_gates import observers_gate
from controller.simulate.ending import Ending, play
from controller.simulate.estates import ACTING, OTHERS, Shape, estate_of
from controller.simulate.eyewitnesses import majority_can_see
from controller.simulate.faults import FaultEvent
from controller.simulate.generator import scenario_of
from controller.simulate.observing import GIVEN_UP_S
from controller.simulate.played import silent
from controller.simulate.scene import Scenario, Scene
from controller.simulate.story import tell
from controller.tally import Tally, Vote
from model import events as ev
from model.decision import GateResult
from model.diagnosis import Diagnosis

SHAPE = Shape(sites=("dc1", "dc1", "dc2"), observers=("wit", "dc2", "far"))
BLIND = [FaultEvent(2.0, "observer-blind", name, 20.0) for name in OTHERS]
CRASH = FaultEvent(4.0, "start-fails", "orders/pg1", 8.0)
# The acting controller sees it silent and no replica receives from it; the others are answered.
UNSEEN = [FaultEvent(4.0, "link-cut", f"{ACTING},db1", 9.0), FaultEvent(4.0, "replication-cut", "db1", 9.0)]


def scenario(*events: FaultEvent, shape: Shape = SHAPE) -> Scenario:
    return Scenario("three", estate_of(shape), tuple(events), ops="wit")


@pytest.fixture(autouse=True)
def quietly() -> Iterator[None]:
    with silent():
        yield


def played(*events: FaultEvent) -> tuple[Ending, list[str], list[str]]:
    """How it ended, the codes that were diagnosed, and the gates that stopped a decision."""
    ending, scene = play(scenario(*events))
    store = scene.world.store.all
    scene.close()
    codes = [e.data["code"] for e in store if e.type == ev.DIAGNOSIS_CHANGED]
    stopped = [e.data["stopped_by"] for e in store if e.type == ev.DECISION_MADE and e.data["stopped_by"]]
    return ending, codes, stopped


def test_a_crash_that_all_see_is_answered_at_once() -> None:
    ending, _codes, _stopped = played(CRASH)
    assert (ending.failovers, ending.settled, ending.violations) == (1, True, [])


def test_one_that_is_blind_holds_up_nobody() -> None:
    ending, _codes, _stopped = played(BLIND[0], CRASH)
    assert (ending.failovers, ending.violations) == (1, [])


def test_where_no_majority_can_see_it_nothing_is_done_and_nothing_was_missed() -> None:
    for_ever = [replace(event, for_s=0.0) for event in BLIND]
    ending, _codes, stopped = played(*for_ever, CRASH)
    assert ending.held == "PrimaryProcessDown/observers"
    assert "observers" in stopped
    assert (ending.failovers, ending.missed_failovers, ending.violations) == (0, 0, [])


def test_once_a_majority_can_see_it_again_it_is_done() -> None:
    ending, _codes, stopped = played(*BLIND, CRASH)
    assert stopped[:1] == ["observers"]
    assert (ending.failovers, ending.settled, ending.violations) == (1, True, [])


def test_what_the_others_hear_is_not_lost() -> None:
    ending, codes, _stopped = played(*UNSEEN)
    assert "PrimaryPartitioned" in codes
    assert (ending.failovers, ending.settled, ending.violations) == (0, True, [])


def test_what_one_alone_sees_lost_is_told_and_is_no_outage() -> None:
    ending, codes, _stopped = played(FaultEvent(4.0, "link-cut", f"{OTHERS[0]},db1", 9.0))
    assert "PrimaryPartitioned" in codes
    assert (ending.failovers, ending.violations) == (0, [])


def _all_pass(diagnosis: Diagnosis, votes: Tally) -> GateResult:
    return replace(observers_gate(diagnosis, votes), passed=True)


def test_the_audit_notices_who_acts_though_most_see_it_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.tally.Tally.contradicting", lambda _self, _code: ())
    monkeypatch.setattr("controller.gates.observers_gate", _all_pass)
    ending, _codes, _stopped = played(*UNSEEN)
    assert any(v.rule == "S6" and "saw the primary alive" in v.what for v in ending.violations)


def test_the_audit_notices_who_acts_without_a_majority(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.gates.observers_gate", _all_pass)
    ending, _codes, _stopped = played(*BLIND, CRASH)
    assert any(v.rule == "S6" and "no majority" in v.what for v in ending.violations)


def test_what_took_too_long_on_its_way_is_given_up() -> None:
    """And what is sent after it is heard."""
    scene = Scene(scenario())
    timeline, network = scene.world.timeline, scene.world.network
    timeline.run_until(3.0)
    heal = network.cut_off(["ops-dc2"], ["ops-wit"])
    timeline.run_until(3.0 + 3 * GIVEN_UP_S)
    [supervisor] = scene.controller.supervisors.values()

    def told_s() -> float:
        [first, _second] = supervisor.knowledge.elsewhere.views(scene.controller.loop.time())
        last = first.members["pg1"].last
        assert last is not None
        return last.ended_s - scene.controller.loop.offset_s

    before_s = told_s()
    assert before_s < 3.0
    heal()
    timeline.run_until(timeline.now_s + 1.5)
    assert told_s() > timeline.now_s - 1.5
    scene.close()


def test_an_observer_that_is_killed_begins_anew() -> None:
    scene = Scene(scenario(FaultEvent(3.0, "observer-killed", OTHERS[0], 0.0, 1.0)))
    scene.plan(scene.scenario.events)
    scene.world.timeline.run_until(7.0)
    assert scene.observing(OTHERS[0]).starts == 2
    [supervisor] = scene.controller.supervisors.values()
    view = supervisor.judge_now().view
    assert [o.sane for o in view.elsewhere] == [True, True]
    scene.close()


def test_a_failover_was_provable_only_if_a_majority_could_see_the_primary_lost() -> None:
    scene = Scene(scenario())
    old = scene.member("orders/pg1")
    assert not majority_can_see(scene, old)  # they hear it
    old.crash()
    assert majority_can_see(scene, old)
    for observer in scene.observers:
        observer.freeze()
    assert not majority_can_see(scene, old)
    scene.close()


def test_some_seeds_have_three_and_none_of_them_has_two() -> None:
    counts = {len(scenario_of(str(seed)).estate.observers) for seed in range(40)}
    assert counts == {0, 3}


def test_the_same_seed_gives_the_same_journal() -> None:
    seed = next(str(s) for s in range(40) if scenario_of(str(s)).estate.observers)
    assert tell(scenario_of(seed)).journal == tell(scenario_of(seed)).journal


def test_votes_in_the_gate_name_every_observer() -> None:
    scene = Scene(scenario())
    scene.world.timeline.run_until(3.0)
    [supervisor] = scene.controller.supervisors.values()
    gates = supervisor.judge_now().decision.gates
    scene.close()
    [gate] = [g for g in gates if g.name == "observers"]
    assert gate.inputs["configured"] == 3
    assert gate.inputs[Vote.ALIVE.value] == [ACTING, *OTHERS]
