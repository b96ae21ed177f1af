"""The smallest scenario that still breaks the same rule."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from config.postgresql import of_postgresql
from controller import gates
from controller.cli import simulated_shrink
from controller.cli.main import main
from controller.simulate import fuzz as fuzzing
from controller.simulate.audit import Violation
from controller.simulate.estates import Shape, estate_of
from controller.simulate.faults import FaultEvent
from controller.simulate.network import Delays
from controller.simulate.played import Played, played
from controller.simulate.scenario_file import read_scenario
from controller.simulate.scene import Scenario
from controller.simulate.shrink import Shrunk, shrink, smaller_ones
from controller.simulate.world import Traits
from model.decision import GateResult

WIDE = Shape(sites=("dc1", "dc2", "dc2", "dc1"), access=False)


def whole() -> Scenario:
    """A crash of the primary, one of the next, and much else."""
    return Scenario(
        "whole",
        estate_of(WIDE),
        (
            FaultEvent(2.6, "slow-link", "db3", 4.137, 0.02),
            FaultEvent(3.217, "crash", "orders/pg1"),
            FaultEvent(9.1, "controller-killed", "", 0.0, 1.7),
            FaultEvent(14.033, "crash", "orders/pg4"),
            FaultEvent(14.5, "idle-kill", "orders/pg2"),
        ),
        Traits(Delays(far_s=0.015), access=False, in_place=False),
        ops="wit",
        rewind_fails=True,
        promote_late_s=0.3,
    )


def fails_if(condition: Callable[[Scenario], bool]) -> Callable[[Scenario], Played]:
    def play(scenario: Scenario) -> Played:
        broken = (Violation("S2", 1.0, "broken"),) if condition(scenario) else ()
        return Played(scenario.seed, len(scenario.events), 1.0, broken)

    return play


def shrunk(condition: Callable[[Scenario], bool], scenario: Scenario | None = None) -> Shrunk:
    found = shrink(scenario or whole(), limit_s=30, play=fails_if(condition))
    assert found is not None
    assert found.finished
    return found


def struck(scenario: Scenario) -> list[str]:
    return [event.fault for event in scenario.events]


def test_what_is_not_needed_is_left_out() -> None:
    found = shrunk(lambda s: struck(s).count("crash") == 2)
    assert struck(found.scenario) == ["crash", "crash"]
    assert list(found.scenario.estate.services["orders"].members) == ["pg1", "pg4"]
    assert list(found.scenario.estate.nodes) == ["db1", "db4"]
    settings = of_postgresql(found.scenario.estate.services["orders"]).postgresql
    assert settings.synchronous_standby_names == 'ANY 1 ("pg4")'
    assert (found.scenario.rewind_fails, found.scenario.promote_late_s) == (False, 0.0)
    assert found.scenario.traits.delays == Delays()
    assert found.rules == {"S2"}


def test_what_is_needed_stays() -> None:
    found = shrunk(lambda s: s.rewind_fails and "pg3" in s.estate.services["orders"].members)
    assert found.scenario.rewind_fails
    assert "pg3" in found.scenario.estate.services["orders"].members
    assert len(found.scenario.events) == 1


def test_faults_are_moved_shortened_and_rounded() -> None:
    def condition(scenario: Scenario) -> bool:
        return any(e.fault == "slow-link" and e.for_s > 1.0 for e in scenario.events)

    (event,) = shrunk(condition).scenario.events
    assert event.at_s == 3.0
    assert 1.0 < event.for_s <= 2.1
    assert len(f"{event.for_s:g}") <= 4


def test_another_rule_is_not_the_same_failure() -> None:
    def play(scenario: Scenario) -> Played:
        rule = "S2" if len(scenario.events) > 2 else "S7"
        return Played(scenario.seed, 1, 1.0, (Violation(rule, 1.0, "broken"),))

    found = shrink(whole(), limit_s=30, play=play)
    assert found is not None
    assert len(found.scenario.events) == 3
    assert found.rules == {"S2"}


def test_what_does_not_fail_is_not_shrunk() -> None:
    assert shrink(whole(), limit_s=30, play=fails_if(lambda _s: False)) is None


def test_when_the_time_is_over_the_smallest_so_far_is_kept() -> None:
    found = shrink(whole(), limit_s=-1, play=fails_if(lambda _s: True))
    assert found is not None
    assert (found.finished, found.tries, found.scenario) == (False, 0, whole())


def test_nothing_is_tried_twice() -> None:
    seen: list[Scenario] = []

    def play(scenario: Scenario) -> Played:
        seen.append(scenario)
        broken = (Violation("S2", 1.0, "broken"),) if struck(scenario).count("crash") == 2 else ()
        return Played(scenario.seed, 1, 1.0, broken)

    shrink(whole(), limit_s=30, play=play)
    assert all(seen.count(one) == 1 for one in seen)


def test_a_service_is_left_out_with_what_depends_on_it() -> None:
    estate = estate_of(WIDE)
    orders = estate.services["orders"]
    second = orders.model_copy(update={"name": "bills"})
    both = {"orders": orders.model_copy(update={"depends_on": ("bills",)}), "bills": second}
    scenario = Scenario(
        "two", estate.model_copy(update={"services": both}), (FaultEvent(3.0, "crash", "orders/pg1"),)
    )
    fewer = [s.estate.services for s in smaller_ones(scenario) if len(s.estate.services) == 1]
    assert [list(services) for services in fewer] == [["orders"]]  # the other has no fault
    assert fewer[0]["orders"].depends_on == ()


def test_observers_are_left_out_with_what_strikes_them() -> None:
    shape = Shape(observers=("wit", "dc1", "dc2"))
    events = (FaultEvent(3.0, "observer-blind", "ops2", 2.0), FaultEvent(3.0, "crash", "orders/pg1"))
    scenario = Scenario("observed", estate_of(shape), events, ops="wit")
    alone = [s for s in smaller_ones(scenario) if not s.estate.observers]
    assert [struck(s) for s in alone] == [["crash"]]


# --- a product that is truly broken


@contextmanager
def deaf_to_its_mode() -> Iterator[None]:
    """S7 broken: it acts in mode observe too."""
    with patch.object(gates, "_mode", lambda _given: GateResult("mode", True, "broken", "S7")):
        yield


def watched() -> Scenario:
    shape = Shape(sites=("dc1", "dc2", "dc2", "dc1"), mode="observe")
    events = (
        FaultEvent(2.6, "slow-link", "db3", 2.0, 0.02),
        FaultEvent(3.217, "crash", "orders/pg1"),
        FaultEvent(5.5, "controller-killed", "", 0.0, 0.7),
        FaultEvent(6.1, "idle-kill", "orders/pg2"),
    )
    return Scenario("watched", estate_of(shape), events, ops="wit")


def test_a_broken_gate_is_shrunk_to_the_one_fault_that_shows_it() -> None:
    with deaf_to_its_mode():
        found = shrink(watched(), limit_s=30)
    assert found is not None
    assert found.rules == {"S7"}
    assert found.scenario.events == (FaultEvent(3.0, "crash", "orders/pg1"),)
    assert len(found.scenario.estate.nodes) == 2
    assert played(found.scenario).rules == frozenset(), "a whole product does not fail on it"


def test_after_a_failing_run_it_is_saved_and_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(simulated_shrink, "scenario_of", lambda _seed: watched())
    monkeypatch.setattr("controller.simulate.played.scenario_of", lambda _seed: watched())
    with deaf_to_its_mode():
        assert main(["simulate", "--faults", "1", "--seed", "7", "--save", str(tmp_path)]) == 1
        said = capsys.readouterr()
        path = tmp_path / "simulate-seed-watched.yaml"
        assert f"replay: bcm-failover simulate --scenario {path}" in said.err
        assert re.search(r"from 4 faults on 4 members to 1 fault on 2 members in \d+ tries", said.err)
        assert read_scenario(path).title.startswith("breaks S7: EXE-")
        assert main(["simulate", "--scenario", str(path)]) == 1
        assert "S7: EXE-" in capsys.readouterr().out
    assert main(["simulate", "--scenario", str(path)]) == 0


def test_it_can_be_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fuzzing, "play_seed", lambda n: fails_if(lambda _s: True)(whole()))
    arguments = ["simulate", "--faults", "1", "--seed", "7", "--save", str(tmp_path)]
    assert main([*arguments, "--no-shrink"]) == 1
    assert list(tmp_path.iterdir()) == []
    assert "shrinking" not in capsys.readouterr().err


def test_what_can_not_be_saved_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        simulated_shrink,
        "shrink",
        lambda s, limit_s: Shrunk(s, Played("7", 1, 1.0), frozenset({"S2"}), 0, True),
    )
    monkeypatch.setattr(fuzzing, "play_seed", lambda n: fails_if(lambda _s: True)(whole()))
    assert main(["simulate", "--faults", "1", "--seed", "7", "--save", str(tmp_path / "none")]) == 2
    assert "--save DIR" in capsys.readouterr().err
