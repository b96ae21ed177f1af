"""A person's own runbooks: copied, listed before the shipped ones, linted, planned and run with variables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Shell
from tests.fake_daemon import ESTATE, FakeDaemon


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    own = tmp_path / "own"
    path = tmp_path / "estate.yaml"
    path.write_text(ESTATE.replace("daemon: {", f"daemon: {{runbook_dirs: [{own}], "))
    return path


def test_a_copy_takes_the_place_of_the_shipped_one(bcm: Shell, estate: Path, tmp_path: Path) -> None:
    said = bcm("-c", str(estate), "runbook", "new", "--from", "postgresql-failover")
    path = tmp_path / "own" / "postgresql-failover.yaml"
    assert said.out.splitlines()[0] == f"{path} is a copy of postgresql-failover"
    assert path.read_text().startswith("# The primary is lost")
    path.write_text(path.read_text().replace("A standby takes over", "Ours, a standby takes over", 1))
    listed = json.loads(bcm("-c", str(estate), "runbook", "list", "-o", "json").out)["items"]
    found = {item["name"]: item for item in listed}["postgresql-failover"]
    assert (found["origin"], found["overrides"]) == (str(tmp_path / "own"), True)
    assert "Ours, a standby" in bcm("-c", str(estate), "runbook", "show", "postgresql-failover").out
    assert bcm("-c", str(estate), "runbook", "lint", "postgresql-failover", "--service", "orders").code == 0


def test_a_copy_under_another_name_bears_it_and_nothing_is_overwritten(bcm: Shell, tmp_path: Path) -> None:
    arguments = ("runbook", "new", "ours", "--from", "postgresql-rejoin", "--dir", str(tmp_path))
    assert bcm(*arguments).code == 0
    assert "\nname: ours\n" in (tmp_path / "ours.yaml").read_text()
    again = bcm(*arguments)
    assert (again.code, "can't write the copy" in again.err) == (2, True)


def test_without_a_place_for_it_there_is_no_copy(bcm: Shell) -> None:
    said = bcm("runbook", "new", "--from", "postgresql-rejoin")
    assert (said.code, "--dir DIR" in said.err) == (2, True)


def test_a_runbook_is_run_with_variables_that_keep_their_types(daemon: FakeDaemon, bcm: Shell) -> None:
    daemon.control.answers["run_runbook"] = {"execution": "EXE-1", "state": "running"}
    said = bcm("runbook", "run", "orders", "move", "--var", "count=3", "--var", "hosts=[a, b]", "--no-wait")
    assert said.code == 0
    method, asked = daemon.control.calls[-1]
    assert (method, asked["runbook"], asked["given"]) == (
        "run_runbook",
        "move",
        {"count": 3, "hosts": ["a", "b"]},
    )


@pytest.mark.parametrize("wrong", ["count", "=3"])
def test_what_is_no_variable_is_refused(daemon: FakeDaemon, bcm: Shell, wrong: str) -> None:
    said = bcm("runbook", "run", "orders", "move", "--var", wrong)
    assert (said.code, "--var name=value" in said.err) == (2, True)


PLAN = {
    "runbook": "move", "service": "orders", "vars": {}, "rto_ms": 30000, "expected_p50_ms": 80,
    "expected_p95_ms": 120, "unmeasured": [], "gates": [], "stopped_by": None,
    "steps": [
        {
            "step": "look", "action": "a.b", "description": "It looks.", "where": "pg1",
            "commands": ["SELECT 1"], "runs": "yes",
            "expected_p50_ms": 80, "expected_p95_ms": 120, "samples": 7,
            "prechecks": [
                {
                    "what": "room on the disk", "how": "df", "ok": False, "result": "2 GB are free",
                    "why": "the copy needs 5 GB", "if_failed": "remove old backups",
                },
            ],
        },
    ],
}  # fmt: skip


def test_a_plan_shows_each_precheck_in_four_columns(daemon: FakeDaemon, bcm: Shell) -> None:
    daemon.control.answers["run_runbook"] = PLAN
    said = bcm("runbook", "run", "orders", "move", "--dry-run")
    assert said.code == 1
    flat = " ".join(said.out.split())
    for text in (
        "WHAT",
        "HOW",
        "RESULT, AND WHY IT MATTERS",
        "IF IT FAILS",
        "room on the disk",
        "2 GB are free",
    ):
        assert text in flat
    assert "takes 0.080 s, 95 of 100 within 0.120 s (7 times so far)" in flat
