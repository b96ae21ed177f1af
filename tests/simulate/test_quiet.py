"""Quiet stretches are jumped, and nothing shows that they were."""

from __future__ import annotations

import random

import pytest

from controller.simulate import quiet
from controller.simulate.estates import SERVICE, Shape, estate_of
from controller.simulate.faults import FaultEvent
from controller.simulate.scene import Scenario, Scene
from controller.simulate.timeline import Rhythm, Timeline
from controller.simulate.world import Traits

# What may come in between: noise mostly, and now and then something that moves the primary.
_KINDS = ("freeze", "node-cut", "host-paused", "slow-disk", "slow-link", "lossy-link", "idle-kill")
_SELDOM = ("controller-frozen", "restart", "crash", "wall-jump")
_VALUES = {"slow-disk": 0.3, "slow-link": 0.2, "lossy-link": 0.2, "restart": 1.0, "wall-jump": 300.0}
_ON_NODES = frozenset({"node-cut", "host-paused", "slow-link", "lossy-link"})
_ON_CONTROLLER = frozenset({"controller-frozen", "wall-jump"})


def _event(chance: random.Random, at_s: float) -> FaultEvent:
    fault = chance.choice(_SELDOM if chance.random() < 0.25 else _KINDS)
    number = chance.randrange(3) + 1
    target = f"db{number}" if fault in _ON_NODES else f"{SERVICE}/pg{number}"
    if fault in _ON_CONTROLLER:
        target = ""
    return FaultEvent(round(at_s, 3), fault, target, round(3 * chance.random(), 3), _VALUES.get(fault, 0.0))


def _scenario(seed: str, profile: str, end_s: float, traits: Traits | None = None) -> Scenario:
    chance = random.Random(seed)
    events, at_s = [], 15.0
    while at_s < end_s - 40.0:
        events.append(_event(chance, at_s))
        at_s += 1.0 + chance.expovariate(1 / 80)
    estate = estate_of(Shape(profile=profile))
    return Scenario(seed, estate, tuple(events), traits or Traits(), ops="wit", end_s=end_s)


def _played(scenario: Scenario, *, jumping: bool) -> tuple[str, Scene]:
    scene = Scene(scenario)
    scene.plan(scenario.events)
    if jumping:
        quiet.run_until(scene, scenario.end_s)
    else:
        scene.world.timeline.run_until(scenario.end_s)
    text = scene.world.store.text()
    scene.close()
    return text, scene


@pytest.mark.parametrize(
    ("seed", "profile"),
    [
        ("a", "balanced"),
        ("b", "balanced"),
        ("c", "balanced"),
        ("d", "fast"),
        ("e", "careful"),
        ("f", "careful"),
    ],
)
def test_the_journal_is_the_same_byte_for_byte(seed: str, profile: str) -> None:
    scenario = _scenario(seed, profile, 700.0)
    played, whole = _played(scenario, jumping=False)
    jumped, scene = _played(scenario, jumping=True)
    assert jumped == played
    assert scene.jumped_s > 200.0
    assert scene.world.timeline.happened < whole.world.timeline.happened / 2


def test_an_hour_costs_next_to_nothing() -> None:
    estate = estate_of(Shape())
    scenario = Scenario("hour", estate, (), Traits(marks_every_s=86_400.0), ops="wit", end_s=3600.0)
    _text, scene = _played(scenario, jumping=True)
    assert scene.jumped_s > 3550.0
    # What was left out has happened all the same: ten writes a second, and as many copies.
    assert scene.clients[0].acked == pytest.approx(36_000, abs=50)
    assert len({s.flush_lsn for s in scene.world.servers(SERVICE)}) == 1
    assert scene.controller.supervisors[SERVICE].knowledge.last_acked_canary == pytest.approx(18_000, abs=50)


@pytest.mark.parametrize(
    ("fault", "target", "value"),
    [
        ("slow-disk", f"{SERVICE}/pg1", 0.05),
        ("lossy-link", "db2", 0.05),
        ("host-paused", "db3", 0.0),
        ("controller-frozen", "", 0.0),
        ("replay-paused", f"{SERVICE}/pg2", 0.0),
    ],
)
def test_what_lasts_is_not_jumped(fault: str, target: str, value: float) -> None:
    event = FaultEvent(20.0, fault, target, 30.0, value)
    scenario = Scenario("lasts", estate_of(Shape()), (event,), Traits(), ops="wit", end_s=60.0)
    scene = Scene(scenario)
    scene.plan(scenario.events)
    quiet.run_until(scene, 20.0)
    before_s = scene.jumped_s
    assert before_s > 10.0
    quiet.run_until(scene, 49.0)
    assert scene.jumped_s == before_s
    scene.close()


def test_a_jump_moves_series_by_whole_periods_and_passes_nothing_that_comes_once() -> None:
    timeline, came = Timeline(), []
    timeline.at(0.25, lambda: came.append(("look", timeline.now_s)), Rhythm(0.5, looks=True))
    timeline.at(0.75, lambda: came.append(("round", timeline.now_s)), Rhythm(1.0))
    timeline.at(11.0, lambda: came.append(("once", timeline.now_s)))
    assert timeline.next_once_s() == 11.0
    timeline.jump(9.75, 10.0)
    timeline.run_until(20.0)
    assert came == [("round", 9.75), ("look", 10.25), ("once", 11.0)]
