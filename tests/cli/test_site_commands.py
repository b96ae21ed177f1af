"""A whole site's planned moves, as a person at the keyboard has them."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest
import yaml

from config.schema import Estate
from model.errors import HeldError, UsageError
from tests.cli.conftest import Shell
from tests.fake_daemon import ESTATE, FakeDaemon

NAMES = ("db", "cache", "shop")


def step(service: str, wave: int, *after: str, to: str | None = "pg2") -> dict[str, Any]:
    return {
        "service": service, "wave": wave, "importance": "high", "from": "pg1", "to": to, "leaving": ["pg1"],
        "runbook": "postgresql-switchover", "after": list(after), "obstacles": [], "expected_ms": 900,
        "begins_ms": 0,
    }  # fmt: skip


PLAN = {
    "site": "dc1", "direction": "leave", "expected_ms": 1800,
    "steps": [step("cache", 1), step("db", 1), step("shop", 2, "db")],
    "staying": [{"service": "wiki", "why": "observed", "reason": "mode is observe"}],
}  # fmt: skip


class Site:
    """outcomes: by service, in which state its execution ends, or what is raised or answered instead."""

    def __init__(self, daemon: FakeDaemon, **outcomes: Any) -> None:
        document = yaml.safe_load(ESTATE)
        document["services"] = dict.fromkeys(NAMES, document["services"]["orders"])
        daemon.estate = Estate.model_validate(document)
        daemon.control.answers |= {"site_plan": PLAN, "switchover": self.switchover}
        self.daemon, self.outcomes = daemon, outcomes
        self.numbers = count(1)
        self.asked: list[str] = []

    def switchover(self, service: str, **_: Any) -> dict[str, Any]:
        self.asked.append(service)
        outcome = self.outcomes.get(service, "succeeded")
        if isinstance(outcome, Exception):
            raise outcome
        if isinstance(outcome, dict):
            return outcome
        execution = f"EXE-{next(self.numbers)}"
        self.daemon.journal.open_execution(execution, ["promote"])
        self.daemon.journal.close_execution(execution, outcome, reason="because")
        return {"execution": execution, "incident": None, "state": "running", "approval": None}


def test_services_move_after_those_that_they_need_and_the_whole_has_a_verdict(
    daemon: FakeDaemon, bcm: Shell
) -> None:
    site = Site(daemon)
    said = bcm("site", "leave", "dc1", "--yes")
    assert (said.code, site.asked) == (0, ["cache", "db", "shop"])
    for words in ("wiki stays: mode is observe", "shop moved to pg2", "done: 3 of 3 have moved"):
        assert words in said.out
    [(_, arguments)] = [call for call in daemon.control.calls if call[0] == "site_plan"]
    assert (arguments["site"], arguments["back"]) == ("dc1", False)


@pytest.mark.parametrize(
    ("outcome", "code", "state", "words"),
    [
        (
            HeldError("pg2 does not stream", gate="candidate"),
            1,
            "partial",
            "db held: candidate: pg2 does not",
        ),
        ("undone", 1, "partial", "db failed in"),
        (
            {"execution": None, "state": "waiting_for_approval", "approval": "APR-db-1", "needs": "one more"},
            6,
            "asked",
            "db asked: bcm-failover approve APR-db-1",
        ),
    ],
)
def test_who_needs_one_that_has_not_moved_waits_and_partial_success_has_a_name(
    daemon: FakeDaemon, bcm: Shell, *, outcome: Any, code: int, state: str, words: str
) -> None:
    site = Site(daemon, db=outcome)
    said = bcm("site", "leave", "dc1", "--yes")
    assert (said.code, site.asked) == (code, ["cache", "db"])
    assert words in said.out
    assert "shop waits: db has not moved" in said.out
    assert f"{state}: 1 of 3 have moved" in said.out
    assert "go on with the others: bcm-failover site leave dc1" in said.out


def test_where_every_gate_holds_nothing_is_moved_and_the_exit_code_says_so(
    daemon: FakeDaemon, bcm: Shell
) -> None:
    held = HeldError("paused", gate="pause")
    Site(daemon, db=held, cache=held)
    said = bcm("site", "leave", "dc1", "--yes")
    assert (said.code, "stuck: 0 of 3 have moved" in said.out) == (3, True)


def test_the_way_back_is_asked_for_by_its_own_word(daemon: FakeDaemon, bcm: Shell) -> None:
    Site(daemon)
    daemon.control.answers["site_plan"] = {**PLAN, "direction": "return"}
    body = json.loads(bcm("site", "return", "dc1", "--yes", "-o", "json").out)
    assert (body["kind"], body["state"], [m["state"] for m in body["moves"]]) == (
        "SiteMove",
        "done",
        ["moved"] * 3,
    )
    [(_, arguments)] = [call for call in daemon.control.calls if call[0] == "site_plan"]
    assert arguments["back"] is True


@pytest.mark.parametrize("words", [("--dry-run",), ()])
def test_without_a_yes_nobody_moves(daemon: FakeDaemon, bcm: Shell, words: tuple[str, ...]) -> None:
    site = Site(daemon)
    said = bcm("site", "leave", "dc1", *words)
    assert site.asked == []
    assert "3 would leave dc1" in said.out


def test_a_site_that_is_not_there_is_named_with_those_that_are(daemon: FakeDaemon, bcm: Shell) -> None:
    Site(daemon)
    daemon.control.answers["site_plan"] = UsageError("no site 'dc9'", hint="sites: dc1, dc2")
    said = bcm("site", "leave", "dc9", "--yes")
    assert (said.code, "sites: dc1, dc2" in said.err) == (2, True)
