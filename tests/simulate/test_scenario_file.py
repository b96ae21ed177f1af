"""Scenarios as files: replayed with an estate of their own, or on the user's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from controller.cli.main import main
from controller.simulate.generator import scenario_of
from controller.simulate.scenario_file import read_scenario, scenario_yaml
from controller.simulate.story import tell
from model.errors import EstateError

THREE: Final = Path(__file__).parents[2] / "config" / "examples" / "three-node-postgresql.yaml"
OWN: Final = """\
title: dc1 loses power while pg3's disk is slow
faults:
  - orders/pg3 slow-disk by 20ms at 3s for 5s
  - site:dc1 down at 4s for 10s
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "scenario.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("seed", ["3", "13", "21", "34"])
def test_what_is_written_is_read_as_the_same_scenario_and_writes_the_same_journal(
    tmp_path: Path, seed: str
) -> None:
    scenario = scenario_of(seed)
    found = read_scenario(written(tmp_path, scenario_yaml(scenario, "from a seed")))
    assert found.title == "from a seed"
    assert found.estate == scenario.estate
    again = found.scenario(scenario.estate, found.ops)
    assert tell(again).journal == tell(scenario).journal


def test_a_file_with_an_estate_is_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, scenario_yaml(scenario_of("2"), "from a seed"))
    assert main(["simulate", "--scenario", str(path), "-o", "json"]) == 0
    replayed = json.loads(capsys.readouterr().out)
    assert main(["simulate", "--seed", "2", "--trace", "-o", "json"]) == 0
    assert replayed["journal_sha256"] == json.loads(capsys.readouterr().out)["journal_sha256"]


def test_a_file_without_one_is_for_the_users_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, OWN)
    assert main(["simulate", "-c", str(THREE), "--scenario", str(path), "-o", "json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["kind"] == "WhatIf"
    assert [f["fault"] for f in body["faults"]] == ["slow-disk", "site-down"]
    assert body["recovered"] is True


def test_the_estate_in_a_file_is_as_short_as_one_by_hand() -> None:
    text = scenario_yaml(scenario_of("2"), "x")
    assert "rpo: 0s" in text
    assert "application_name: pg1" in text
    assert "mtpd" not in text
    assert len(text.splitlines()) < 120


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("faults: [site:dc1 down]\nfault: []\n", "scenario.yaml:2:1: error: unknown key 'fault'"),
        ("faults: []\n", "scenario.yaml:1:9: error: `faults` is not a list of texts"),
        ("title: x\n", "error: `faults` is not a list of texts"),
        ("[1, 2]\n", "scenario.yaml:1:1: error: the file is not a mapping"),
        ("faults:\n  - site:dc9 down\n", "scenario.yaml:2:5: error: there is no site 'dc9' to simulate"),
        ("faults: [site:dc1 down]\nfar: 4\n", "scenario.yaml:2:6: error: not a duration: 4"),
        ("faults: [site:dc1 down]\nrewind_fails: 1\n", "rewind_fails is no truth value"),
        ("faults: [site:dc1 down]\nestate: {configVersion: 2}\n", "scenario.yaml:2:"),
        ("faults: [site:dc1 down\n", "scenario.yaml:"),
    ],
)
def test_every_problem_is_said_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(EstateError) as caught:
        read_scenario(path).scenario(scenario_of("2").estate, "wit")
    assert any(problem in line for line in caught.value.problems), caught.value.problems


def test_a_file_that_is_not_there_is_one_clear_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--scenario", "/nowhere/x.yaml"]) == 2
    assert "there is no such file" in capsys.readouterr().err


def test_ops_and_mode_are_for_an_estate_of_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, scenario_yaml(scenario_of("2"), "x"))
    assert main(["simulate", "--scenario", str(path), "--mode", "act"]) == 2
    assert "--ops and --mode are for yours" in capsys.readouterr().err
