"""Declared disasters, merging and splitting, as a person at the keyboard has them."""

from __future__ import annotations

import re

import pytest

from model.errors import UsageError
from tests.cli.conftest import Shell
from tests.fake_daemon import FakeDaemon, status_body

STEP = {
    "service": "orders", "wave": 1, "from": "pg1", "to": "pg3", "after": [], "expected_ms": 4000,
    "obstacles": [{"gate": "pause", "reason": "paused for 60 s more: firmware"}],
}  # fmt: skip
SHOP = {"service": "shop", "wave": 2, "from": "pg1", "to": None, "after": ["orders"], "expected_ms": None,
        "obstacles": []}  # fmt: skip
STAYS = [{"service": "wiki", "reason": "mode is observe"}]
DECLARED = {
    "incident": "INC-7", "tier": "natural", "scope": "site dc1", "level": "II",
    "services": ["orders", "shop"],
    "proposal": "leave", "advice": "each service's move is asked for", "running": ["EXE-4"],
    "plan": {"steps": [STEP, SHOP], "staying": STAYS, "expected_ms": None},
}  # fmt: skip
DECLARE = ("incident", "declare", "--tier", "natural", "--scope", "site:dc1", "--reason", "the river rises")


def test_a_declaration_says_what_follows_and_what_stands_in_the_way(daemon: FakeDaemon, bcm: Shell) -> None:
    daemon.control.answers["declare_disaster"] = DECLARED
    said = bcm(*DECLARE, "--yes")
    assert said.code == 0
    for words in (
        "INC-7: natural disaster at site dc1, level II declared",
        "concerns: orders, shop",
        "goes on to its end: bcm-failover execution show EXE-4",
        "pause: paused for 60 s more: firmware",
        "wiki stays: mode is observe",
        "bcm-failover incident plan INC-7",
    ):
        assert words in said.out
    assert re.search(r"^2 +shop +pg1 +nobody +orders +not known +nothing stops it", said.out, re.MULTILINE)
    _method, arguments = daemon.control.calls[-1]
    assert (arguments["dry_run"], arguments["caller"].person) == (False, "li.wei")


def test_a_dry_run_asks_nothing_and_says_that_nothing_is_declared(daemon: FakeDaemon, bcm: Shell) -> None:
    daemon.control.answers["declare_disaster"] = {**DECLARED, "incident": None}
    said = bcm(*DECLARE, "--dry-run")
    assert said.out.startswith("dry run, nothing is declared: natural disaster at site dc1")
    assert daemon.control.calls[-1][1]["dry_run"] is True


def test_without_an_answer_at_the_keyboard_nothing_is_declared(daemon: FakeDaemon, bcm: Shell) -> None:
    assert bcm(*DECLARE).code != 0
    assert [c for c in daemon.control.calls if c[0] == "declare_disaster"] == []


def test_a_tier_that_nobody_declares_is_refused_with_those_that_there_are(bcm: Shell) -> None:
    said = bcm("incident", "declare", "--tier", "general", "--scope", "site:dc1", "--reason", "x", "-y")
    assert said.code == 2
    for tier in ("natural", "man-made", "external"):
        assert tier in said.err


def test_the_plan_says_whose_turn_it_is_and_how_to_answer(daemon: FakeDaemon, bcm: Shell) -> None:
    daemon.control.answers["incident_plan"] = {
        "incident": "INC-7", "tier": "natural", "scope": "site dc1", "state": "under way",
        "person": "wang", "reason": "the river rises", "open": True, "split_off": ["pay"],
        "staying": STAYS, "expected_ms": 4000,
        "steps": [
            {**STEP, "state": "asked", "why": "move orders", "approval": "APR-orders-1"},
            {**SHOP, "state": "waiting", "why": "for orders", "approval": None},
        ],
    }  # fmt: skip
    said = bcm("incident", "plan", "INC-7")
    assert said.code == 0
    for words in (
        "INC-7: natural disaster at site dc1: under way",
        "declared by wang: the river rises",
        "orders: bcm-failover approve APR-orders-1",
        "waiting: for orders",
        "pay: split off",
        "people take: 4.00 s",
    ):
        assert words in said.out


def test_what_belongs_together_is_said(daemon: FakeDaemon, bcm: Shell) -> None:
    daemon.control.answers["merge_incidents"] = {"incident": "INC-7", "part": "INC-9", "service": "orders"}
    said = bcm("incident", "merge", "INC-7", "INC-9", "--reason", "one switch")
    assert (said.code, said.out.strip()) == (0, "INC-9 is a part of INC-7")
    assert {"part": "INC-9", "reason": "one switch"}.items() <= daemon.control.calls[-1][1].items()


def test_what_does_not_belong_together_is_said(daemon: FakeDaemon, bcm: Shell) -> None:
    daemon.control.answers["split_incident"] = {"incident": "INC-7", "part": "INC-9", "service": "orders"}
    said = bcm("incident", "split", "INC-7", "--service", "orders", "--reason", "its disk was full")
    assert (said.code, said.out.strip()) == (0, "orders (INC-9) is no part of INC-7 any more")
    assert {"service": "orders", "reason": "its disk was full"}.items() <= daemon.control.calls[-1][1].items()


@pytest.mark.parametrize("what", [("merge", "INC-7", "INC-9"), ("split", "INC-7", "--service", "orders")])
def test_it_needs_a_reason(daemon: FakeDaemon, bcm: Shell, what: tuple[str, ...]) -> None:
    assert bcm("incident", *what).code == 2
    assert daemon.control.calls == []


def test_what_the_daemon_refuses_is_said_with_what_to_do(daemon: FakeDaemon, bcm: Shell) -> None:
    daemon.control.answers["merge_incidents"] = UsageError("INC-9 is closed", hint="`incident list`")
    said = bcm("incident", "merge", "INC-7", "INC-9", "--reason", "x")
    assert said.code == 2
    assert "INC-9 is closed" in said.err
    assert "`incident list`" in said.err


def test_closing_says_what_was_closed_with_it_and_what_goes_on(daemon: FakeDaemon, bcm: Shell) -> None:
    daemon.control.answers["close_incident"] = {
        "incident": "INC-7", "plan": "partial", "closed_with_it": ["INC-8"], "still_open": ["INC-9"],
    }  # fmt: skip
    out = bcm("incident", "close", "INC-7", "--reason", "the water has fallen").out
    assert out.splitlines() == [
        "INC-7: closed, its site plan: partial",
        "INC-8: closed with it",
        "INC-9: is still open, as an incident of its own",
    ]


def test_status_shows_the_disaster_its_parts_and_what_is_due_when(daemon: FakeDaemon, bcm: Shell) -> None:
    owed = [
        {"what": "confirmation", "office": "department manager", "left_s": -30},
        {"what": "report", "office": "top manager", "left_s": 4200},
    ]
    common = {"code": "DisasterDeclared", "level": "II", "recovered": False, "elapsed_s": 3000}
    body = status_body()
    body["incidents_open"] = [
        {**common, "id": "INC-7", "service": None, "tier": "natural", "scope": "site dc1",
         "plan": {"state": "under way", "moved": 1, "of": 3},
         "commander": "deputy", "acknowledged": None, "missed": ["confirmation"], "due": owed,
         "part_of": None},
        {**common, "id": "INC-8", "service": "orders", "acknowledged": None, "missed": [],
         "part_of": "INC-7"},
    ]  # fmt: skip
    daemon.control.answers["status"] = body
    out = " ".join(bcm("status").out.split())
    assert "INC-7 with INC-8 (natural disaster at site dc1, 1 of 3 moved: under way): level II" in out
    assert "commander: deputy" in out
    assert "confirmation is OVERDUE" in out
    assert "report to the top manager due in 1 h 10 min" in out
    assert "confirmation by" not in out
