"""Random faults by the thousand: what the command plays, counts, prints and answers."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import sys
from contextlib import suppress
from typing import Any, Final

import pytest

from controller.cli import simulated_faults
from controller.cli.main import main
from controller.simulate import fuzz as fuzzing
from controller.simulate import played as playing
from controller.simulate.audit import Violation
from controller.simulate.fuzz import Figures, fuzz, percentile
from controller.simulate.loop import VirtualLoop
from controller.simulate.patience import at_most
from controller.simulate.played import INTERNAL, Played
from controller.simulate.scene import Scenario
from controller.simulate.timeline import Timeline

# They may take a minute of two free cores; beside other tests more.
FAULTS: Final = 2000
KEYS: Final = [
    "faults", "seconds_simulated", "wall_s", "violations", "false_failovers", "missed_failovers", "recovered",
    "rto", "lost_acknowledged", "seeds_failing",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_random_faults_break_no_rule() -> None:
    figures = fuzz(20_261, faults=FAULTS, jobs=2)
    assert figures.faults >= FAULTS
    assert figures.failures == []
    assert figures.lost == 0
    assert figures.missed_failovers == 0
    assert len(figures.rtos_s) > 10


def test_the_figures_are_the_same_with_one_process_and_with_two() -> None:
    alone, together = fuzz(500, faults=10), fuzz(500, faults=10, jobs=2)
    assert {**alone.to_json(), "wall_s": 0} == {**together.to_json(), "wall_s": 0}
    assert alone.faults >= 10


def _told(number: int) -> Played:
    """A scenario of three faults, of which every fourth goes wrong."""
    bad = (Violation("S2", 4.0, "pg1, pg2 accept writes"),) if number % 4 == 3 else ()
    return Played(str(number), 3, 10.0, bad, recovered=not bad, rtos_s=(float(number),))


def test_a_run_ends_with_the_scenario_that_makes_the_number_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzing, "play_seed", _told)
    figures = fuzz(0, faults=10)
    assert (figures.scenarios, figures.faults, figures.recovered) == (4, 12, 3)
    assert figures.seeds_failing == ["3"]
    assert figures.violations == {"S2": 1}


def test_a_run_ends_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzing, "play_seed", _told)
    assert fuzz(0, faults=None, seconds=0.05).wall_s < 5


def test_what_a_scenario_raises_is_a_violation_with_its_seed_and_ends_no_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def play(scenario: Scenario) -> Any:
        raise RuntimeError(f"broken in {scenario.seed}")

    monkeypatch.setattr(playing, "play", play)
    figures = fuzz(7, faults=4)
    assert figures.scenarios > 1
    assert figures.violations == {INTERNAL: figures.scenarios}
    assert figures.seeds_failing[:2] == ["7", "8"]
    assert "RuntimeError in test_fuzz.py" in figures.failures[0].what
    assert "broken in 7" in figures.failures[0].what


def test_a_missed_and_a_false_failover_fail_a_seed_though_no_rule_was_broken() -> None:
    figures = Figures(0)
    figures.add(Played("0", 1, 1.0, missed_failovers=1, held="PrimaryNodeDown/rpo"))
    figures.add(Played("1", 1, 1.0, false_failovers=1))
    assert figures.seeds_failing == ["0", "1"]
    assert [f.rules for f in figures.failures] == [("missed",), ("false",)]
    assert "PrimaryNodeDown/rpo" in figures.failures[0].what


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([], 50, None), ([3.0], 99, 3.0), ([1.0, 2.0, 3.0, 4.0], 50, 2.0), ([1.0, 2.0], 100, 2.0)],
)
def test_percentiles_are_values_that_were_measured(
    values: list[float], percent: int, expected: float | None
) -> None:
    assert percentile(values, percent) == expected


# --- the command


def test_json_is_exactly_the_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fuzzing, "play_seed", _told)
    assert main(["simulate", "--faults", "9", "--seed", "0", "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert list(body) == KEYS
    assert body["rto"] == {"p50_s": 1.0, "p99_s": 2.0, "max_s": 2.0}


def test_a_violation_names_its_seed_and_how_to_replay_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fuzzing, "play_seed", _told)
    assert main(["simulate", "--faults", "24", "--seed", "0", "--no-shrink"]) == 1
    said = capsys.readouterr()
    assert "rules broken                S2 2" in said.out
    assert "seed 3 breaks S2: pg1, pg2 accept writes" in said.err
    assert "bcm-failover simulate --seed 3 --trace" in said.err


def test_a_fresh_seed_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(fuzzing, "play_seed", lambda number: Played(str(number), 5, 1.0, recovered=True))
    assert main(["simulate", "--faults", "5", "-o", "json"]) == 0
    assert capsys.readouterr().err.startswith("seed ")


def test_without_a_limit_it_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate"]) == 2
    assert "--faults N" in capsys.readouterr().err


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_interrupt_ends_it_with_the_figures_so_far(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], jobs: str
) -> None:
    """Ctrl-C reaches every process of the terminal."""
    add = Figures.add

    def interrupted(self: Figures, played: Played) -> None:
        add(self, played)
        for process in multiprocessing.active_children():
            if process.pid is not None:
                os.kill(process.pid, signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Figures, "add", interrupted)
    assert main(["simulate", "--faults", "1000000", "--seed", "1", "--jobs", jobs, "--json"]) == 130
    said = capsys.readouterr()
    assert 0 < json.loads(said.out)["faults"] < 20
    assert "Traceback" not in said.err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_scenario_that_does_not_end_is_a_violation_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def spin() -> None:
        while True:
            with suppress(Exception):  # what asyncio would catch does not end it
                await asyncio.sleep(0)

    def play(scenario: Scenario) -> Any:
        loop = VirtualLoop(Timeline(), 0.0)  # type: ignore[abstract]
        loop.start(spin(), "spins")

    monkeypatch.setattr(playing, "play", play)
    monkeypatch.setattr(playing, "LIMIT_S", 0.2)
    figures = fuzz(7, faults=1)
    assert figures.violations == {INTERNAL: 1}
    assert "StuckError" in figures.failures[0].what
    assert "0.2 s of real time" in figures.failures[0].what


def test_a_limit_gives_back_the_limit_around_it() -> None:
    signal.setitimer(signal.ITIMER_REAL, 50.0)
    with at_most(5.0):
        assert signal.getitimer(signal.ITIMER_REAL)[0] <= 5.0
    assert 40.0 < signal.setitimer(signal.ITIMER_REAL, 0.0)[0] <= 50.0


def test_on_a_terminal_it_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fuzzing, "play_seed", _told)
    monkeypatch.setattr(simulated_faults, "_QUIET_S", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert main(["simulate", "--faults", "9", "--seed", "0"]) == 0
    said = capsys.readouterr()
    assert "simulating: 3 of 9 faults" in said.err
    assert said.err.endswith("\r\x1b[K")
    assert "simulating" not in said.out


def test_elsewhere_and_within_a_second_it_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fuzzing, "play_seed", _told)
    assert main(["simulate", "--faults", "9", "--seed", "0"]) == 0
    assert capsys.readouterr().err == ""
