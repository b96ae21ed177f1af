"""Commands that need no daemon: check, schema, init, probe, runbook."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Shell


def test_the_starter_passes_its_own_check(alone: Shell, tmp_path: Path) -> None:
    file = tmp_path / "estate.yaml"
    assert alone("init", str(file)).code == 0
    said = alone("check", str(file))
    assert said.code == 0
    assert f"{file}: ok" in said.out
    assert alone("-c", str(file), "check").code == 0


def test_a_file_that_is_there_is_not_replaced(alone: Shell, tmp_path: Path) -> None:
    file = tmp_path / "estate.yaml"
    file.write_text("precious")
    assert alone("init", str(file)).code == 2
    assert file.read_text() == "precious"
    assert alone("init", str(file), "--force").code == 0


def test_every_error_is_told_at_once_with_its_place(alone: Shell, tmp_path: Path) -> None:
    file = tmp_path / "estate.yaml"
    alone("init", str(file))
    file.write_text(file.read_text().replace("role: dr}", "role: moon}").replace("node: db3", "node: db9"))
    said = alone("check", str(file))
    assert said.code == 1
    assert said.out.count(f"{file}:") >= 3
    assert "moon" in said.out
    assert "db9" in said.out
    body = json.loads(alone("check", str(file), "-o", "json").out)
    assert body["usable"] is False
    assert all(f["line"] > 0 for f in body["findings"])


def test_an_estate_that_is_not_there_is_a_clear_error(alone: Shell) -> None:
    said = alone("check", "/nonexistent/estate.yaml")
    assert said.code == 1
    assert "/nonexistent/estate.yaml" in said.out + said.err


def test_a_daemon_does_not_start_on_a_broken_estate(alone: Shell, tmp_path: Path) -> None:
    file = tmp_path / "estate.yaml"
    file.write_text("configVersion: 1\nsites: 7\n")
    said = alone.really("run", "-c", str(file))
    assert said.code == 1
    assert f"{file}:2:" in said.err
    assert "Traceback" not in said.err


def test_the_schema_is_json(alone: Shell) -> None:
    assert json.loads(alone("schema").out)["properties"]["services"]


@pytest.mark.parametrize(("version", "code"), [("15", 0), ("18", 0), ("9", 2)])
def test_grants_are_printed_for_supported_versions(alone: Shell, version: str, code: int) -> None:
    said = alone("init", "--grants", "postgresql", "--version", version)
    assert said.code == code
    assert ("pg_monitor" in said.out) is (code == 0)


def test_grants_take_their_names_from_a_service(alone: Shell, tmp_path: Path) -> None:
    file = tmp_path / "estate.yaml"
    alone("init", str(file))
    file.write_text(file.read_text().replace("user: bcm_monitor", "user: watcher"))
    said = alone("init", "--grants", "postgresql", "-c", str(file), "--service", "orders")
    assert "watcher" in said.out
    assert alone("init", "--grants", "postgresql", "-c", str(file), "--service", "nope").code == 2


def test_probe_types_are_listed(alone: Shell) -> None:
    body = json.loads(alone("probe", "list", "-o", "json").out)
    assert "postgresql" in {item["type"] for item in body["items"]}
    assert "postgresql" in alone("probe", "list").out


def test_actions_are_listed_and_shown(alone: Shell) -> None:
    body = json.loads(alone("action", "list", "-o", "json").out)
    by_name = {item["action"]: item for item in body["items"]}
    assert by_name["systemd.stop"]["changes"] == "yes"
    assert "A command on this host." in alone("action", "list").out
    shown = alone("action", "show", "exec.run")
    assert shown.code == 0
    assert "absolute path" in shown.out or "as a list" in shown.out
    options = json.loads(alone("action", "show", "exec.run", "-o", "json").out)["options"]
    assert next(option for option in options if option["name"] == "command")["required"] is True
    missing = alone("action", "show", "exec.rum")
    assert missing.code != 0
    assert "did you mean 'exec.run'?" in missing.err


def test_runbooks_are_listed_and_shown(alone: Shell) -> None:
    body = json.loads(alone("runbook", "list", "-o", "json").out)
    names = {item["name"] for item in body["items"]}
    assert {"postgresql-failover", "postgresql-switchover"} <= names
    assert all(not item["problem"] for item in body["items"])
    shown = alone("runbook", "show", "postgresql-failover")
    assert (shown.code, "promote" in shown.out) == (0, True)
    assert alone("runbook", "show", "nope").code != 0


BROKEN_RUNBOOK = """
apiVersion: 1
name: mine
kind: failover
engine: postgresql
description: Promotes without asking
steps:
  - id: promote
    action: no.such.action
    timeout: 5s
"""


def test_a_runbook_is_judged_before_it_is_needed(alone: Shell, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(BROKEN_RUNBOOK)
    said = alone("runbook", "lint", str(file))
    assert said.code == 1
    assert f"{file}:" in said.out
    assert "no.such.action" in said.out
    items = json.loads(alone("runbook", "lint", str(file), "-o", "json").out)["items"]
    assert any(item["severity"] == "error" for item in items)
    assert alone("runbook", "lint", str(tmp_path / "nope.yaml")).code == 1


def test_shipped_runbooks_have_no_findings(alone: Shell, tmp_path: Path) -> None:
    estate = tmp_path / "estate.yaml"
    alone("init", str(estate))
    for item in json.loads(alone("runbook", "list", "-o", "json").out)["items"]:
        said = alone("runbook", "lint", item["name"], "--strict")
        assert (said.code, said.out) == (0, f"{item['name']}: 0 findings\n")
        if item["engine"] in ("postgresql", "generic"):
            bound = alone("runbook", "lint", item["name"], "-c", str(estate), "--service", "orders")
            assert bound.code == 0, bound.out
    assert alone("runbook", "lint", "x", "-c", str(estate), "--service", "nope").code == 2


@pytest.mark.skipif(os.getuid() != 0, reason="only root has to say who it is")
@pytest.mark.parametrize("person", [[], ["--person", "mallory"]])
def test_breaking_the_glass_needs_a_person_of_the_estate(
    alone: Shell, tmp_path: Path, person: list[str]
) -> None:
    estate = tmp_path / "estate.yaml"
    alone("init", str(estate))
    alone.options = person
    said = alone("failover", "orders", "--no-daemon", "-c", str(estate))
    assert said.code == 1
    assert "people of the estate: li, wang" in said.err
