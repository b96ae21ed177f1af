"""What a person sees of the services."""

from __future__ import annotations

import json
import os
import pty
import re
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Shell
from tests.fake_daemon import FakeDaemon, status_body


def test_the_table_says_who_is_primary_and_how_far_the_others_are(bcm: Shell) -> None:
    out = bcm("status").out
    assert re.search(
        r"^orders\s+up\s+pg1\s+act\s+-\s+pg1\s+primary\s+dc1\s+● up\s+-\s+-\s+0\.120 s$", out, re.MULTILINE
    )
    assert re.search(r"^\s+pg2\s+standby\s+dc2\s+● up\s+2\.0 kB\s+quorum\s+0\.120 s$", out, re.MULTILINE)
    assert "leader · epoch 3 · journal ok · up 1 min 05 s" in out


def test_what_a_person_should_do_is_said_below_the_table(daemon: FakeDaemon, bcm: Shell) -> None:
    body = status_body()
    body["daemon"] |= {"leader": False, "estate_error": "e.yaml:3:1: broken", "why_not_leader": "held by 7"}
    service = body["services"][0]
    service |= {
        "health": "down", "code": "PrimaryProcessDown", "sentence": "The server is gone.",
        "incident": "INC-4", "paused": "paused for 60 s more: firmware",
        "blocked": "failed over at noon", "execution": "EXE-5",
    }  # fmt: skip
    service["members"][0] |= {"health": "down", "why": "refused 3 times"}
    body["approvals"] = [
        {"id": "APR-6", "service": "orders", "what": "failover", "requester": "anna", "expires_in_s": 90}
    ]
    body["incidents_open"] = [
        {"id": "INC-4", "service": "orders", "code": "PrimaryProcessDown", "level": "II", "recovered": False,
         "elapsed_s": 7300, "commander": "deputy", "acknowledged": None, "missed": ["report"]}
    ]  # fmt: skip
    body["probes"] = [
        {"name": "shop", "type": "http", "about": "service/orders", "health": "down", "detail": "status 502"},
        {"name": "dns", "type": "dns", "about": "estate", "health": "up", "detail": ""},
    ]
    daemon.control.answers["status"] = body
    out = bcm("status").out
    assert "probe dns" not in out
    for words in (
        "INC-4 (orders): level II · 2 h 01 min since the outage · commander: deputy · not acknowledged",
        "report is OVERDUE",
        "probe shop (service/orders): down: status 502",
        "NOT leading", "held by 7", "e.yaml:3:1: broken",
        "orders: PrimaryProcessDown: The server is gone.",
        "orders/pg1: refused 3 times",
        "paused for 60 s more: firmware (end it: bcm-failover resume orders)",
        "blocked: failed over at noon",
        "bcm-failover execution show EXE-5",
        "bcm-failover approve APR-6",
        "INC-4",
    ):  # fmt: skip
        assert words in out


def test_roles_are_those_of_now_and_a_second_primary_is_told_loudly(daemon: FakeDaemon, bcm: Shell) -> None:
    body = status_body()
    service = body["services"][0]
    service |= {"primary": "pg2", "tolerance": "would not survive the primary with proof: 1 of 2 readable"}
    service["members"][0] |= {"in_recovery": True, "retired": True}
    service["members"][1] |= {"in_recovery": False}
    daemon.control.answers["status"] = body
    out = bcm("status").out
    assert re.search(r"pg1\s+standby", out)
    assert re.search(r"pg2\s+primary", out)
    assert "orders/pg1: was primary, has to be rejoined" in out
    assert "orders: would not survive the primary with proof" in out
    service["members"][0] |= {"in_recovery": False}
    assert re.search(r"pg1\s+NOT A STANDBY", bcm("status").out)


def test_what_a_service_is_built_to_survive_and_would_not_now_is_told(daemon: FakeDaemon, bcm: Shell) -> None:
    body = status_body()
    why = "survives the loss of pg1, but not of site dc1: pg4 does not answer"
    body["services"][0]["readiness"] = {"verdict": "partial", "why": why}
    daemon.control.answers["status"] = body
    assert f"orders: partly ready: {why}" in bcm("status").out
    body["services"][0]["readiness"] = {"verdict": "ready", "why": "survives the loss of pg1"}
    assert "survives" not in bcm("status").out


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_for_programs_it_is_the_daemons_answer_with_its_version(bcm: Shell, output: str) -> None:
    out = bcm("status", "-o", output).out
    body = json.loads(out) if output == "json" else yaml.safe_load(out)
    assert body["apiVersion"] == "bcm-failover/v1"
    assert body["services"] == status_body()["services"]


def test_global_options_may_stand_before_or_after_the_command(bcm: Shell) -> None:
    assert bcm("-o", "json", "status").out == bcm("status", "-o", "json").out != ""


def test_the_command_line_beats_the_environment(
    daemon: FakeDaemon, alone: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BCM_SOCKET", "/nonexistent")
    alone.options = []
    assert alone("status").code == 5
    assert alone("status", "--socket", str(daemon.socket)).code == 0
    monkeypatch.setenv("BCM_SOCKET", str(daemon.socket))
    assert alone("status").code == 0
    assert alone("--socket", "/nonexistent", "status").code == 5


def test_an_estate_says_where_its_daemon_is(daemon: FakeDaemon, alone: Shell, tmp_path: Path) -> None:
    estate = tmp_path / "estate.yaml"
    estate.write_text(f"daemon: {{socket: {daemon.socket}}}\n")
    alone.options = []
    assert alone("status", "-c", str(estate)).code == 0
    estate.write_text("daemon: [")
    said = alone("status", "-c", str(estate))
    assert said.code == 2
    assert "bcm-failover check" in said.err


def test_no_colours_where_no_terminal_is(bcm: Shell) -> None:
    assert "\x1b" not in bcm.really("status").out


@pytest.mark.parametrize(
    ("environ", "arguments", "coloured"),
    [({}, (), True), ({"NO_COLOR": "1"}, (), False), ({}, ("--no-color",), False)],
)
def test_colours_on_a_terminal_unless_they_are_not_wanted(
    bcm: Shell, environ: dict[str, str], arguments: tuple[str, ...], coloured: bool
) -> None:
    out = on_terminal(
        bcm.command(*arguments, "status"), {"TERM": "xterm-256color", "COLUMNS": "150", **environ}
    )
    assert "orders" in out
    assert ("\x1b[32m" in out) is coloured


def test_text_from_elsewhere_can_not_drive_the_terminal(daemon: FakeDaemon, bcm: Shell) -> None:
    body = status_body()
    body["services"][0]["members"][1] |= {"health": "down", "why": "\x1b]0;owned\x07\x1b[2J[bold]x[/bold]"}
    daemon.control.answers["status"] = body
    out = bcm("status").out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "[bold]x[/bold]" in out


def test_watch_shows_that_the_daemon_went_away_and_goes_on(daemon: FakeDaemon, bcm: Shell) -> None:
    with bcm.start("status", "--watch", "-o", "json", PYTHONUNBUFFERED="1") as process:
        assert process.stdout is not None
        seen = ""
        while "unreachable" not in seen:
            line = process.stdout.readline()
            assert line, "it ended"
            seen += line
            if '"services"' in line:
                daemon.socket.unlink(missing_ok=True)
        process.terminate()
        process.communicate(timeout=30)


def test_explain_prints_every_gate_and_the_evidence_on_both_sides(daemon: FakeDaemon, bcm: Shell) -> None:
    daemon.control.answers["explain"] = {
        "service": "orders",
        "diagnosis": {
            "code": "PrimaryHung", "cause": "server", "sentence": "It answers nobody.", "confirmed": True,
            "evidence_for": ["pg1 silent for 2.1 s"], "evidence_against": ["pg2 still receives"],
        },
        "decision": {
            "verb": "hold", "reason": "the RPO can't be proven",
            "gates": [
                {"name": "mode", "passed": True, "reason": "act", "rule": "S7"},
                {
                    "name": "leadership", "passed": False, "reason": "held by 7", "rule": "S4",
                    "inputs": {"leader": False, "epoch": 6, "readable": ["pg2"], "why": "held by 7"},
                },
                {"name": "rpo_provable", "passed": False, "reason": "1 of 2 readable", "rule": "S3"},
                {
                    "name": "candidate", "passed": True, "reason": "pg2: preferred", "rule": "P4",
                    "inputs": {
                        "candidate": "pg2",
                        "ranking": [
                            {"member": "pg2", "place": 1, "why": "preferred"},
                            {"member": "pg3", "place": None, "why": "the estate excludes it"},
                        ],
                    },
                },
                {"name": "approval", "passed": None, "reason": "not judged", "rule": ""},
            ],
        },
        "would": "holds: the RPO can't be proven",
    }  # fmt: skip
    out = bcm("explain", "orders").out
    for line in (
        "orders: PrimaryHung",
        "  + pg1 silent for 2.1 s",
        "  - pg2 still receives",
        "decision: hold: the RPO can't be proven",
        "  pass mode [S7]: act",
        "  FAIL leadership [S4]: held by 7",
        '      leader = false, epoch = 6, readable = ["pg2"], why = held by 7',
        "  FAIL rpo_provable [S3]: 1 of 2 readable",
        "      candidate = pg2",
        "      1. pg2: preferred",
        "      not pg3: the estate excludes it",
        "  unknown approval: not judged",
    ):
        assert line in out.splitlines()
    assert "      what to do: `bcm-failover status` says why." in out
    assert ".md" not in out


def on_terminal(command: list[str], environ: dict[str, str]) -> str:
    """The output of a command on a terminal of its own."""
    from tests.cli.conftest import ROOT

    pid, descriptor = pty.fork()
    if pid == 0:  # pragma: no cover - the child
        os.chdir(ROOT)
        os.execvpe(command[0], command, {**os.environ, **environ})
    out = b""
    try:
        while chunk := os.read(descriptor, 65536):
            out += chunk
    except OSError:  # the terminal is gone with the command
        pass
    finally:
        os.close(descriptor)
        os.waitpid(pid, 0)
    return out.decode()
