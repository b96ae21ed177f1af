"""Simulated end to end: two crashes, one after the other, and who is promoted by whose decision."""

from __future__ import annotations

import pytest

from controller.simulate.ending import Ending, play
from controller.simulate.estates import SERVICE, Shape, estate_of
from controller.simulate.faults import FaultEvent
from controller.simulate.scene import Scenario, Scene
from controller.supervisor.judgement import Case
from model import events as ev


def two_crashes(*sites: str) -> tuple[Ending, Scene]:
    """pg1 crashes, is brought back, and then whoever took over crashes."""
    events = tuple(
        FaultEvent(at_s, "crash", f"{SERVICE}/{member}") for at_s, member in ((3.0, "pg1"), (45.0, "pg2"))
    )
    return play(Scenario("way back", estate_of(Shape(sites=sites)), events, ops="wit"))


def promotions(scene: Scene) -> list[tuple[str, str]]:
    """Whom each failover promoted, and its trigger."""
    records = list(scene.world.store.read(0, None, SERVICE, None, None))
    triggers = {e.execution: e.data["trigger"] for e in records if e.type == ev.EXECUTION_OPENED}
    return [
        (e.data["output"]["member"], triggers[e.execution])
        for e in records
        if e.type == ev.STEP_RESULT and e.data["step"] == "promote"
    ]


def test_the_second_does_not_go_back_by_itself() -> None:
    """Not to the DR site either. The operator of the simulator starts the crashed server in the end."""
    ending, scene = two_crashes("dc1", "dc1", "far")
    assert promotions(scene) == [("pg2", "automatic")]
    assert ending.held == "PrimaryProcessDown/pingpong"
    assert (ending.settled, ending.missed_failovers, ending.lost, ending.violations) == (True, 0, 0, [])


def test_the_second_goes_on_by_itself_to_another_one() -> None:
    ending, scene = two_crashes("dc1", "dc1", "dc1")
    assert promotions(scene) == [("pg2", "automatic"), ("pg3", "automatic")]
    assert (ending.settled, ending.held, ending.lost, ending.violations) == (True, "", 0, [])


def test_the_audit_finds_a_role_that_was_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Case, "returning", lambda *_: {})
    ending, scene = two_crashes("dc1", "dc1")
    assert promotions(scene) == [("pg2", "automatic"), ("pg1", "automatic")]
    assert [violation.rule for violation in ending.violations] == ["S8"]
