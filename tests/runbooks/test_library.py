"""Runbooks as files: found by name, checked as a whole, pinned by digest."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.canonical import canonical_json
from model.errors import RunbookError
from runbooks.library import (
    RunbookFileError,
    list_runbooks,
    load_runbook,
    load_runbook_file,
    runbook_text,
)
from runbooks.lint import lint
from runbooks.schema import Runbook

TEXT = """
apiVersion: 1
name: mine
engine: generic
kind: other
vars:
  to: {type: member, required: true}
steps:
  - id: look
    action: test.read
    with: {cell: "{{ to }}"}
    timeout: 1.5m
    retry: {attempts: 2, wait: 100ms}
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "mine.yaml").write_text(TEXT)
    return tmp_path


def test_a_runbook_of_the_user_is_found_by_its_name(mine: Path) -> None:
    runbook = load_runbook("mine", [mine])
    assert runbook.step("look").timeout == 90.0
    assert runbook_text("mine", [mine]) == TEXT


def test_the_digest_is_of_the_meaning_and_not_of_the_spelling(mine: Path) -> None:
    first = load_runbook("mine", [mine])
    spelled = TEXT.replace("1.5m", "90s").replace("wait: 100ms", "wait: 0.1s") + "    on_failure: stop\n"
    (mine / "mine.yaml").write_text(spelled)
    assert load_runbook("mine", [mine]).digest == first.digest
    (mine / "mine.yaml").write_text(TEXT.replace("1.5m", "91s"))
    assert load_runbook("mine", [mine]).digest != first.digest


def test_the_definition_makes_the_same_runbook_again_and_can_be_journaled(mine: Path) -> None:
    runbook = load_runbook("mine", [mine])
    definition = runbook.definition()
    canonical_json(definition)
    assert Runbook.from_definition(definition).digest == runbook.digest


def test_a_user_may_replace_a_shipped_runbook(tmp_path: Path) -> None:
    name = "postgresql-failover"
    text = TEXT.replace("name: mine", f"name: {name}")
    (tmp_path / f"{name}.yaml").write_text(text)
    assert load_runbook(name, [tmp_path]).engine == "generic"
    listed = next(r for r in list_runbooks([tmp_path]) if r.name == name)
    assert listed.origin == str(tmp_path)
    assert load_runbook(name).engine == "postgresql"
    assert listed.overrides


def test_every_shipped_runbook_is_valid_and_passes_the_linter() -> None:
    listed = list_runbooks()
    assert {"postgresql-failover", "postgresql-switchover", "postgresql-rejoin"} <= {r.name for r in listed}
    for entry in listed:
        assert entry.problem == ""
        found = lint(load_runbook(entry.name))
        assert found == [], "\n".join(str(f) for f in found)


@pytest.mark.parametrize(
    ("old", "new", "place", "what"),
    [
        ("timeout: 1.5m", "timeout: 90", "12:14", "not a duration"),
        ("    timeout: 1.5m\n", "", "9:5", "'timeout' is missing"),
        ("    timeout: 1.5m\n", "    timeout: 0s\n", "12:14", "greater than 0"),
        ("retry:", "retries:", "13:5", "did you mean 'retry'?"),
        ("kind: other", "kind: fail-over", "5:7", "did you mean 'failover'?"),
        ("apiVersion: 1", "apiVersion: 2", "2:13", "allowed: 1"),
        ('cell: "{{ to }}"', "cell: 1.5", "11:11", "decimal number"),
        ("name: mine", "name: yours", "3:7", "the file is called mine"),
        ("engine: generic", "engine: generic\nengine: generic", "5:1", "given twice"),
        ("attempts: 2", "attempts: no", "13:23", "read as false"),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_column(
    mine: Path, old: str, new: str, place: str, what: str
) -> None:
    path = mine / "mine.yaml"
    assert old in TEXT
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(RunbookFileError) as caught:
        load_runbook_file(path)
    lines = [str(f) for f in caught.value.findings]
    assert any(line.startswith(f"{path}:{place}: ") and what in line for line in lines), lines


def test_two_steps_of_one_id_are_refused(mine: Path) -> None:
    again = "  - {id: look, action: test.read, with: {cell: x}, timeout: 1s}\n"
    (mine / "mine.yaml").write_text(TEXT + again)
    with pytest.raises(RunbookFileError, match="two steps have the id 'look'"):
        load_runbook("mine", [mine])


def test_a_name_that_is_not_there_is_answered_with_the_nearest(mine: Path) -> None:
    with pytest.raises(RunbookError, match="did you mean 'mine'"):
        load_runbook("mien", [mine])


def test_a_broken_runbook_is_listed_with_its_problem(mine: Path) -> None:
    (mine / "mine.yaml").write_text("steps: [")
    listed = next(r for r in list_runbooks([mine]) if r.name == "mine")
    assert "not valid YAML" in listed.problem
    assert listed.to_json()["kind"] is None
