"""One scenario as a story; and the same seed is the same journal, byte for byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from controller.cli.main import main
from controller.simulate import ending
from controller.simulate.audit import Violation
from controller.simulate.estates import Shape, estate_of
from controller.simulate.faults import FaultEvent
from controller.simulate.generator import scenario_of
from controller.simulate.scene import Scenario
from controller.simulate.story import Story, tell

ROOT: Final = Path(__file__).parents[2]


def crashed() -> Scenario:
    return Scenario("told", estate_of(Shape()), (FaultEvent(3.0, "crash", "orders/pg1"),), ops="wit")


@pytest.fixture(scope="module")
def story() -> Story:
    return tell(crashed())


def texts(story: Story, kind: str) -> list[str]:
    return [line.text for line in story.lines if line.kind == kind]


def test_it_tells_what_was_struck_seen_diagnosed_decided_and_done(story: Story) -> None:
    assert texts(story, "fault") == ["crash orders/pg1: its processes are killed"]
    assert any(t.startswith("orders/pg1 ") and "→ down" in t for t in texts(story, "seen"))
    diagnosed = next(t for t in texts(story, "diagnosed") if "PrimaryProcessDown" in t)
    assert diagnosed.startswith("diagnosis PrimaryProcessDown on pg1: The primary's process has died")
    assert "(cause: " in diagnosed
    assert any(t.startswith("decision act") for t in texts(story, "decided"))
    assert any(t.startswith("step promote: succeeded") for t in texts(story, "step"))
    assert any("is promoted, timeline 2" in t for t in texts(story, "world"))


def test_lines_stand_in_the_order_of_time_and_name_their_host(story: Story) -> None:
    assert [line.at_s for line in story.lines] == sorted(line.at_s for line in story.lines)
    fault = next(line for line in story.lines if line.kind == "fault")
    assert (fault.at_s, fault.place) == (3.0, "db1")
    assert {line.place for line in story.lines if line.kind == "seen"} == {"ops-wit"}


def test_a_decision_carries_every_gate(story: Story) -> None:
    decided = [
        line for line in story.lines if line.kind == "decided" and line.text.startswith("decision act")
    ]
    names = {gate["name"] for gate in decided[0].gates}
    assert {"mode", "leadership", "rpo", "candidate"} <= names
    assert all(gate["passed"] for gate in decided[0].gates)


def test_the_clock_of_its_incident_is_told(story: Story) -> None:
    clock = story.clocks[0]
    assert clock["service"] == "orders"
    marks = clock["marks_s"]
    assert marks["T0"] == 0.0
    assert None not in marks.values()
    known = [marks[f"T{n}"] for n in range(10)]
    assert known == sorted(known)
    assert clock["rto_s"] == marks["T8"]
    assert story.played.rtos_s == (clock["rto_s"],)


def test_a_long_gap_of_the_clients_writes_is_told() -> None:
    cut = Scenario("gap", estate_of(Shape()), (FaultEvent(3.0, "host-down", "db1"),), ops="wit")
    assert any(t.startswith("writes again, after ") for t in texts(tell(cut), "client"))


def test_a_violation_is_told_and_fails_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    judge = ending._judge

    def harsh(scene: Any, found: Any) -> None:
        judge(scene, found)
        found.violations.append(Violation("S2", 3.5, "two primaries"))

    monkeypatch.setattr(ending, "_judge", harsh)
    assert main(["simulate", "--seed", "2", "--trace"]) == 1
    assert "S2: two primaries" in capsys.readouterr().out


def test_an_error_ends_the_story_and_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_scene: Any, _found: Any) -> None:
        raise RuntimeError("broken while judging")

    monkeypatch.setattr(ending, "_judge", fail)
    assert main(["simulate", "--seed", "2", "--trace"]) == 1
    out = capsys.readouterr().out
    assert "fault" in out
    assert "internal: RuntimeError in test_trace.py" in out
    assert "broken while judging" in out


def test_the_command_prints_it_for_people_and_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--seed", "2", "--trace"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("scenario 2: ")
    assert "journal: sha256 " in out
    assert main(["simulate", "--seed", "2", "--trace", "-o", "json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["kind"] == "Simulation"
    assert body["journal_sha256"] in out


def test_which_scenario_to_tell_has_to_be_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--trace"]) == 2
    assert "--seed S --trace" in capsys.readouterr().err


# --- the same seed is the same journal


@pytest.mark.parametrize("seed", ["3", "8", "13"])
def test_the_same_seed_writes_the_same_journal_byte_for_byte(seed: str) -> None:
    first, second = tell(scenario_of(seed)), tell(scenario_of(seed))
    assert first.journal == second.journal
    assert len(first.journal.splitlines()) > 20
    assert first.to_json() == second.to_json()


def test_another_seed_writes_another_journal() -> None:
    assert tell(scenario_of("3")).journal != tell(scenario_of("8")).journal


@pytest.mark.slow
def test_another_process_that_hashes_otherwise_writes_the_same_journal() -> None:
    script = (
        "import sys; from controller.simulate.generator import scenario_of\n"
        "from controller.simulate.story import tell\n"
        "for seed in ('3', '13'): sys.stdout.write(tell(scenario_of(seed)).journal)"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )
        for hash_seed in ("1", "2")
    ]
    journals = []
    for process in running:
        with process:
            journals.append(process.communicate(timeout=100)[0])
        assert process.returncode == 0
    assert journals[0] == journals[1]
    assert journals[0].decode() == tell(scenario_of("3")).journal + tell(scenario_of("13")).journal
