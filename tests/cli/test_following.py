"""Switches, from the request to the last step."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from model import events as ev
from tests.cli.conftest import Shell
from tests.fake_daemon import FakeDaemon


def launch(daemon: FakeDaemon, play: Callable[[], None]) -> Callable[..., dict[str, Any]]:
    """The daemon's answer to a switch: it opens EXE-1, and `play` is what then happens to it."""

    def started(**_: Any) -> dict[str, Any]:
        daemon.journal.open_execution("EXE-1", ["lock", "promote"], incident="INC-9")
        threading.Thread(target=play, daemon=True).start()
        return {"execution": "EXE-1", "incident": "INC-9", "state": "running", "approval": None}

    return started


def two_steps(daemon: FakeDaemon, outcome: str = "succeeded", state: str = "succeeded") -> Callable[[], None]:
    def play() -> None:
        daemon.journal.begin_step("EXE-1", "lock")
        daemon.journal.end_step("EXE-1", "lock", detail="2 locks held")
        daemon.journal.begin_step("EXE-1", "promote")
        daemon.journal.end_step("EXE-1", "promote", outcome, detail="pg2 is primary")
        daemon.journal.close_execution("EXE-1", state, reason="because")

    return play


def test_each_step_is_printed_as_it_ends(daemon: FakeDaemon, bcm: Shell) -> None:
    daemon.control.answers["switchover"] = launch(daemon, two_steps(daemon))
    said = bcm("switchover", "orders", "--to", "pg2")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0].split() == ["ok", "lock", "0.012", "s", "2", "locks", "held"]
    assert lines[1].split() == ["ok", "promote", "0.012", "s", "pg2", "is", "primary"]
    assert lines[2].startswith("EXE-1 succeeded after")
    assert "bcm-failover incident report INC-9" in said.err


@pytest.mark.parametrize(
    ("outcome", "state", "code", "words"),
    [
        ("failed", "failed", 1, "EXE-1 failed"),
        ("failed", "undone", 1, "nothing is changed"),
        ("unknown", "unknown", 4, "bcm-failover execution resume EXE-1"),
    ],
)
def test_what_became_of_it_is_the_exit_code(
    daemon: FakeDaemon, bcm: Shell, *, outcome: str, state: str, code: int, words: str
) -> None:
    daemon.control.answers["failover"] = launch(daemon, two_steps(daemon, outcome, state))
    said = bcm("failover", "orders")
    assert said.code == code
    assert words in said.out + said.err


def test_for_programs_only_the_end_is_printed(daemon: FakeDaemon, bcm: Shell) -> None:
    daemon.control.answers["switchover"] = launch(daemon, two_steps(daemon))
    body = json.loads(bcm("switchover", "orders", "-o", "json").out)
    assert (body["kind"], body["state"], len(body["steps"])) == ("Execution", "succeeded", 2)


def test_no_wait_returns_once_it_has_begun(daemon: FakeDaemon, bcm: Shell) -> None:
    daemon.control.answers["switchover"] = {"execution": "EXE-1", "state": "running"}
    said = bcm("switchover", "orders", "--no-wait")
    assert (said.code, said.out) == (0, "EXE-1 started: bcm-failover execution show EXE-1 --wait\n")


def test_overrides_and_their_reason_reach_the_daemon(daemon: FakeDaemon, bcm: Shell) -> None:
    daemon.control.answers["failover"] = {"execution": None, "state": "running"}
    bcm("failover", "orders", "--to", "pg2", "--override", "S2", "--override", "S3", "--reason", "seen it")
    arguments = daemon.control.calls[-1][1]
    assert (arguments["to"], arguments["override"], arguments["reason"]) == ("pg2", ["S2", "S3"], "seen it")
    assert arguments["caller"].person == "li.wei"


def test_what_is_approved_is_followed_although_it_opens_later(daemon: FakeDaemon, bcm: Shell) -> None:
    daemon.journal.open_execution("EXE-0", [])

    def approved(**_: Any) -> dict[str, Any]:
        threading.Timer(0.2, launch(daemon, two_steps(daemon))).start()
        return {"service": "orders", "approval": "APR-5", "execution": None, "state": "approved"}

    daemon.control.answers["approve"] = approved
    said = bcm("approve", "APR-5")
    assert said.code == 0
    assert "EXE-1 succeeded" in said.out


def test_a_yes_that_waits_for_a_second_says_for_whom(daemon: FakeDaemon, bcm: Shell) -> None:
    needs = "APR-5 waits for 1 more person of ada, bo (level II); li.wei agreed"
    daemon.control.answers["approve"] = {
        "service": "orders", "approval": "APR-5", "execution": None, "state": "waiting_for_approval",
        "needs": needs,
    }  # fmt: skip
    said = bcm("approve", "APR-5")
    assert said.code == 6
    assert needs in said.err


def test_a_no_needs_a_reason_and_is_said_back(daemon: FakeDaemon, bcm: Shell) -> None:
    assert bcm("reject", "APR-5").code == 2
    daemon.control.answers["reject"] = {
        "approval": "APR-5",
        "state": "rejected",
        "needs": "APR-5 was refused",
    }
    said = bcm("reject", "APR-5", "--reason", "wait")
    assert (said.code, said.out) == (0, "APR-5 was refused\n")
    arguments = daemon.control.calls[-1][1]
    assert (arguments["reason"], arguments["caller"].person) == ("wait", "li.wei")


def test_a_daemon_that_goes_away_leaves_the_outcome_unknown(
    daemon: FakeDaemon, bcm: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.cli.follow._PATIENCE_S", 0.5)
    daemon.control.answers["switchover"] = launch(daemon, daemon.socket.unlink)
    said = bcm("switchover", "orders")
    assert said.code == 4
    assert "bcm-failover execution show EXE-1" in said.err


def test_an_execution_that_a_new_daemon_resumes_is_followed_to_its_end(
    daemon: FakeDaemon, bcm: Shell
) -> None:
    def die_and_resume() -> None:
        daemon.journal.begin_step("EXE-1", "lock")
        daemon.journal.append(ev.DAEMON_STARTED, {}, service=None)
        threading.Timer(1.0, resume).start()

    def resume() -> None:
        daemon.journal.append(ev.EXECUTION_RESUMED, {"reason": "the daemon died"}, execution="EXE-1")
        two_steps(daemon)()

    daemon.control.answers["failover"] = launch(daemon, die_and_resume)
    said = bcm("failover", "orders")
    assert said.code == 0
    assert "EXE-1 succeeded" in said.out


def test_an_execution_that_nobody_resumes_is_unknown(
    daemon: FakeDaemon, bcm: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die() -> None:
        daemon.journal.begin_step("EXE-1", "lock")
        daemon.journal.append(ev.DAEMON_STARTED, {}, service=None)

    monkeypatch.setattr("controller.cli.follow._PATIENCE_S", 0.3)
    monkeypatch.setattr("controller.cli.follow._LOOK_AGAIN_S", 0.1)
    daemon.control.answers["failover"] = launch(daemon, die)
    said = bcm("failover", "orders")
    assert said.code == 4
    assert "the effect of lock can't be seen" in said.err


def test_an_aborted_execution_that_was_taken_back_is_a_success(daemon: FakeDaemon, bcm: Shell) -> None:
    daemon.journal.open_execution("EXE-1", ["lock"])

    def abort(**_: Any) -> dict[str, Any]:
        daemon.journal.close_execution("EXE-1", "undone", reason="aborted by li.wei")
        return {"execution": "EXE-1", "state": "aborting"}

    daemon.control.answers["abort_execution"] = abort
    said = bcm("execution", "abort", "EXE-1", "--reason", "wrong member")
    assert said.code == 0
    assert daemon.control.calls[-1][1]["reason"] == "wrong member"


def test_a_resumed_execution_is_followed(daemon: FakeDaemon, bcm: Shell) -> None:
    daemon.journal.open_execution("EXE-1", ["lock", "promote"])

    def resume(**_: Any) -> dict[str, Any]:
        two_steps(daemon)()
        return {"state": "running"}

    daemon.control.answers["resume_execution"] = resume
    said = bcm("execution", "resume", "EXE-1")
    assert said.code == 0
    assert "EXE-1 succeeded" in said.out


# --- plans

PLAN: dict[str, Any] = {
    "runbook": "postgresql-failover", "service": "orders", "vars": {"service": "orders", "primary": "pg1"},
    "steps": [
        {
            "step": "lock", "action": "pg.lock", "description": "Take the locks", "where": "pg2",
            "commands": ["SELECT pg_try_advisory_lock(…)"], "runs": "yes", "undo": True,
            "prechecks": [
                {"what": "pg2 can be reached", "how": "SELECT 1", "ok": True, "result": "yes", "why": "w",
                 "if_failed": "f"},
            ],
        },
        {
            "step": "promote", "action": "pg.promote", "description": "", "where": "", "commands": [],
            "runs": "yes", "decided_by": ["prove"], "point_of_no_return": True, "prechecks": [],
        },
    ],
    "expected_p50_ms": 300, "expected_p95_ms": 450, "unmeasured": [], "rto_ms": 30000,
    "gates": [{"name": "leadership", "passed": True, "reason": "leads", "rule": "S4"}], "stopped_by": None,
}  # fmt: skip


def test_a_dry_run_prints_commands_prechecks_time_and_gates(daemon: FakeDaemon, bcm: Shell) -> None:
    daemon.control.answers["failover"] = PLAN
    said = bcm("failover", "orders", "--dry-run")
    assert said.code == 0
    assert daemon.control.calls[-1][1]["dry_run"] is True
    for line in (
        " 1. lock: Take the locks on pg2 (can be undone)",
        "      $ SELECT pg_try_advisory_lock(…)",
        " 2. promote: pg.promote (POINT OF NO RETURN)",
        "      settled by the step prove",
        "time expected: 0.300 s, 95 of 100 within 0.450 s; target (RTO) 30.0 s",
        "  pass leadership [S4]: leads",
        "nothing stands in its way",
    ):
        assert line in said.out.splitlines()
    assert "pg2 can be reached   SELECT 1   pass yes; w" in said.out


def test_a_plan_that_a_gate_holds_exits_with_3(daemon: FakeDaemon, bcm: Shell) -> None:
    daemon.control.answers["plan"] = {**PLAN, "stopped_by": "candidate"}
    said = bcm("runbook", "plan", "orders", "postgresql-failover", "--to", "pg2")
    assert said.code == 3
    assert "held by the gate `candidate`" in said.out
    assert daemon.control.calls[-1][1] == {
        "service": "orders",
        "runbook": "postgresql-failover",
        "to": "pg2",
        "given": {},
    }


def test_a_plan_with_a_failed_precheck_exits_with_1_and_says_what_to_do(
    daemon: FakeDaemon, bcm: Shell
) -> None:
    check = {
        "what": "pg2 has room",
        "how": "df",
        "ok": False,
        "result": "1 MB",
        "why": "w",
        "if_failed": "clean",
    }
    daemon.control.answers["switchover"] = {**PLAN, "steps": [{"step": "x", "prechecks": [check]}]}
    said = bcm("switchover", "orders", "--dry-run")
    assert said.code == 1
    assert any(line.rstrip().endswith("clean") for line in said.out.splitlines())


# --- what people tell the daemon


@pytest.mark.parametrize(
    ("arguments", "method", "heard", "words"),
    [
        (
            ("pause", "orders", "--for", "2h", "--reason", "firmware"),
            "pause", {"for_s": 7200.0, "reason": "firmware"}, "orders is paused",
        ),
        (("resume", "orders"), "resume", {"reason": ""}, "watched and acted on again"),
        (
            ("acknowledge", "orders", "--comment", "mended"),
            "acknowledge", {"comment": "mended"}, "no longer blocked",
        ),
        (("reload",), "reload", {}, "in force"),
        (
            ("incident", "acknowledge", "INC-9", "--comment", "on it"),
            "acknowledge_incident", {"incident": "INC-9", "comment": "on it"}, "acknowledged",
        ),
        (
            ("incident", "reported", "INC-9", "--to", "the deputy"),
            "incident_reported", {"incident": "INC-9", "to": "the deputy"}, "report noted",
        ),
        (
            ("incident", "close", "INC-9", "--reason", "pg1 is scrapped"),
            "close_incident", {"incident": "INC-9", "reason": "pg1 is scrapped"}, "closed",
        ),
    ],
)  # fmt: skip
def test_what_people_say_reaches_the_daemon(
    daemon: FakeDaemon,
    bcm: Shell,
    *,
    arguments: tuple[str, ...],
    method: str,
    heard: dict[str, Any],
    words: str,
) -> None:
    said = bcm(*arguments)
    assert said.code == 0
    assert words in said.out
    assert daemon.control.calls[-1][0] == method
    assert daemon.control.calls[-1][1].items() >= heard.items()
