"""docs/actions.md says what the actions say; the guide shows the example that is built and run."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.action_types import describe, describe_all
from controller.report.actions_page import actions_page

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "actions.md"
OURS = [item["action"] for item in describe_all() if item["from"] == "bcm-failover"]


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == actions_page(), (
        "run `python -m controller.report.actions_page > docs/actions.md`"
    )


@pytest.mark.parametrize("name", OURS)
def test_every_action_says_what_it_does_and_what_each_option_means(name: str) -> None:
    described = describe(name)
    assert described["summary"]
    assert not described["summary"].startswith("Output")
    assert [o["name"] for o in described["options"] if not o["meaning"]] == []


@pytest.mark.parametrize("name", OURS)
def test_every_output_that_is_declared_is_told_of(name: str) -> None:
    described = describe(name)
    page = PAGE.read_text(encoding="utf-8")
    told = page.partition(f"\n### `{name}`\n")[2].partition("\n### ")[0]
    assert [output for output in described["outputs"] or () if f"`{output}`" not in told] == []


def test_the_guide_shows_the_example_as_it_is() -> None:
    code = (ROOT / "examples" / "third-party-action" / "maintenance_action.py").read_text()
    assert code.rstrip() in (ROOT / "docs" / "adding-an-action.md").read_text()


def test_what_options_decide_is_said() -> None:
    assert describe("ssh.run")["changes"] == "option"
    assert describe("systemd.start")["changes"] == "yes"
    assert describe("sql.query")["changes"] == "no"
    assert describe("sql.execute")["effect"] == "option"
