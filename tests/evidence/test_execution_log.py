"""The log of an execution: every record with who, when from T0, without secrets, and with its budget."""

from __future__ import annotations

import json

import pytest

from controller.execution_log import LONGEST, as_jsonl, as_markdown, as_text, execution_log
from model import events as ev
from model.errors import UsageError
from model.events import GENESIS_HASH, Event

S = 1_000_000_000


def event(seq: int, at_s: float, type_: str, data: dict[str, object], actor: str = "daemon") -> Event:
    return Event(
        seq, 1, "w", "boot", int(at_s * S), f"2026-11-25T12:00:{at_s:09.6f}Z", None, type_, 1, "orders",
        "INC-1", None if type_ == ev.INCIDENT_OPENED else "EXE-2", actor, data, GENESIS_HASH, GENESIS_HASH,
    )  # fmt: skip


LONG = "x" * (LONGEST + 7)
EVENTS = [
    event(1, 10, ev.INCIDENT_OPENED, {"t0_ns": 8 * S, "diagnosis": {}, "level": "III"}),
    event(
        2, 11, ev.EXECUTION_OPENED,
        {
            "runbook": "drain", "kind": "other", "digest": "sha256:d", "mode": "real", "trigger": "manual",
            "vars": {"api_token": "hunter2", "to": "pg2"},
            "steps": [
                {"id": "call", "action": "http.request", "budget_ms": 500},
                {"id": "ok", "action": "approval"},
            ],
        },
        "li.wei",
    ),
    event(
        3, 11.5, ev.STEP_INTENT,
        {
            "step": "call", "action": "http.request", "attempt": 1, "changing": True, "commands": ["POST /x"],
            "inputs": {"url": "https://h/x", "headers": {"authorization_token": "hunter2"}, "list": [1, 2]},
        },
    ),
    event(
        4, 12.5, ev.STEP_RESULT,
        {
            "step": "call", "attempt": 1, "outcome": "succeeded", "detail": "200", "took_ns": S, "reason": "",
            "output": {"body": LONG, "output_file": "/var/lib/bcm-failover/outputs/EXE-2/call.txt"},
        },
    ),
    event(
        5, 13, ev.STEP_ASKED,
        {"step": "ok", "attempt": 1, "kind": "approval", "text": "go | on", "expires_wall_ns": 0},
    ),
    event(6, 14, ev.STEP_ANSWERED, {"step": "ok", "word": "yes", "reason": "seen\nit"}, "wang"),
    event(7, 15, ev.EXECUTION_CLOSED, {"state": "succeeded", "reason": "done"}),
]  # fmt: skip


def test_every_record_says_who_and_when_on_the_wall_and_from_t0() -> None:
    log = execution_log(EVENTS, "EXE-2").to_json()
    assert log["offsets_from"] == "T0"
    told = [(e["seq"], e["offset_s"], e["who"], e["step"]) for e in log["entries"]]
    assert told == [
        (2, 3.0, "li.wei", ""), (3, 3.5, "daemon", "call"), (4, 4.5, "daemon", "call"),
        (5, 5.0, "daemon", "ok"), (6, 6.0, "wang", "ok"), (7, 7.0, "daemon", ""),
    ]  # fmt: skip


def test_a_step_that_took_longer_than_its_budget_says_by_how_much() -> None:
    ended = execution_log(EVENTS, "EXE-2").entries[2]
    assert (ended.took_s, ended.budget_s, ended.over_budget_s) == (1.0, 0.5, 0.5)
    lines = as_text(execution_log(EVENTS, "EXE-2").to_json())
    assert any("(1.000 s of 0.5 s, 0.5 s over)" in line for line in lines)


@pytest.mark.parametrize("render", [as_text, as_jsonl, as_markdown])
def test_no_secret_is_in_any_format(render: object) -> None:
    text = "\n".join(render(execution_log(EVENTS, "EXE-2").to_json()))  # type: ignore[operator]
    assert "hunter2" not in text
    assert "https://h/x" in text
    assert "********" in text


def test_a_long_text_is_cut_and_the_file_that_has_it_is_named() -> None:
    text = "\n".join(as_text(execution_log(EVENTS, "EXE-2").to_json()))
    assert LONG not in text
    assert "(7 more characters)" in text
    assert "output_file=/var/lib/bcm-failover/outputs/EXE-2/call.txt" in text


def test_each_line_of_jsonl_is_a_record() -> None:
    lines = [json.loads(line) for line in as_jsonl(execution_log(EVENTS, "EXE-2").to_json())]
    assert [line["seq"] for line in lines] == [2, 3, 4, 5, 6, 7]
    assert {line["execution"] for line in lines} == {"EXE-2"}


def test_what_people_write_does_not_break_the_page() -> None:
    rows = [line for line in as_markdown(execution_log(EVENTS, "EXE-2").to_json()) if line.startswith("| ")]
    assert all(row.replace("\\|", "").count("|") == 8 for row in rows)
    assert any("go \\| on" in row for row in rows)


def test_without_an_outage_it_counts_from_the_beginning() -> None:
    log = execution_log([e for e in EVENTS if e.seq > 1], "EXE-2").to_json()
    assert (log["offsets_from"], log["entries"][0]["offset_s"]) == ("its beginning", 0.0)


def test_an_execution_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="EXE-9"):
        execution_log(EVENTS, "EXE-9")
