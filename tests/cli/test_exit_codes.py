"""What the shell gets back, from the real command."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from model.errors import BcmError, HeldError, JournalError, UsageError
from tests.cli.conftest import Shell
from tests.fake_daemon import FakeDaemon


def test_0_when_all_is_well(bcm: Shell) -> None:
    said = bcm.really("status")
    assert (said.code, said.err) == (0, "")


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (UsageError("no"), 2, "no"),
        (HeldError("1 of 2 readable", gate="rpo_provable", hint="wait"), 3, "gate `rpo_provable`"),
        (JournalError("the disk is full"), 1, "the disk is full"),
        (BcmError("it broke", where="pg2", hint="look there"), 1, "what to do: look there"),
        (RuntimeError("boom"), 1, "report"),
        ({"state": "waiting_for_approval", "approval": "APR-5"}, 6, "bcm-failover approve APR-5"),
    ],
)
def test_each_answer_of_the_daemon_has_its_exit_code(
    daemon: FakeDaemon, bcm: Shell, answer: Any, code: int, words: str
) -> None:
    daemon.control.answers["switchover"] = answer
    said = bcm("switchover", "orders")
    assert said.code == code
    assert words in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("status", "--nonsense"),
        ("switchover",),
        ("pause", "orders"),
        ("-o", "xml", "status"),
        ("switchover", "nope"),
        ("switchover", "orders", "--to", "pg9"),
        ("failover", "orders", "--override", "S2"),
        ("failover", "orders", "--take-over"),
        ("execution", "show", "EXE-9"),
    ],
    ids=" ".join,
)
def test_2_for_what_was_asked_wrongly(bcm: Shell, arguments: tuple[str, ...]) -> None:
    said = bcm(*arguments)
    assert said.code == 2
    assert said.err
    assert "Traceback" not in said.err


def test_3_from_the_real_command(daemon: FakeDaemon, bcm: Shell) -> None:
    daemon.control.answers["failover"] = HeldError("no", gate="candidate")
    assert bcm.really("failover", "orders").code == 3


def test_4_when_the_answer_to_a_change_is_lost(tmp_path: Any, capsys: Any) -> None:
    """It may have been done: that is not the same as nobody being there."""
    import socket
    import threading

    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        said = Shell(path, tmp_path / "state", capsys)("switchover", "orders")
        thread.join(10)
    assert said.code == 4
    assert "look before you ask again" in said.err


def test_5_without_a_daemon_from_the_real_command(alone: Shell) -> None:
    said = alone.really("status")
    assert said.code == 5
    assert "is it running" in said.err
    assert "Traceback" not in said.err


def test_5_when_something_else_answers(tmp_path: Any, capsys: Any) -> None:
    import http.server
    import socketserver
    import threading

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_: Any) -> None: ...
        def address_string(self) -> str:
            return "x"

    with socketserver.UnixStreamServer(str(tmp_path / "s"), Other) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        said = Shell(tmp_path / "s", tmp_path / "state", capsys)("status")
        server.shutdown()
        thread.join(10)
    assert said.code == 5
    assert "no daemon that speaks bcm-failover/v1" in said.err


@pytest.mark.skipif(os.getuid() == 0, reason="nothing is forbidden to root")
def test_5_when_the_account_may_not_connect(daemon: FakeDaemon, bcm: Shell) -> None:
    daemon.socket.chmod(0)
    said = bcm("status")
    assert said.code == 5
    assert "bcm-operators" in said.err


def test_130_after_ctrl_c_without_a_word_too_much(daemon: FakeDaemon, bcm: Shell) -> None:
    daemon.journal.open_execution("EXE-1", ["lock"])
    daemon.journal.begin_step("EXE-1", "lock")
    daemon.journal.end_step("EXE-1", "lock")
    with bcm.start("execution", "show", "EXE-1", "--wait") as process:
        assert process.stdout is not None
        assert "lock" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "EXE-1 goes on in the daemon" in err
    assert "Traceback" not in err


def test_141_and_silence_when_the_reader_goes_away(daemon: FakeDaemon, bcm: Shell) -> None:
    for number in range(3000):
        daemon.journal.open_execution(f"EXE-{number}", ["a", "b", "c"])
    for output in ("json", "table"):
        arguments = ("execution", "list", "--limit", "3000", "-o", output)
        with bcm.start(*arguments, PYTHONUNBUFFERED="") as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            err = process.stderr.read()
            process.wait(30)
        assert (process.returncode, err) == (141, "")


def test_an_error_of_the_program_itself_is_one_line(bcm: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.cli.status.render", lambda _body: 1 / 0)
    said = bcm("status")
    assert said.code == 1
    assert "ZeroDivisionError" in said.err
    assert "please report this" in said.err
    assert "Traceback" not in said.err


def test_bcm_debug_shows_the_traceback(bcm: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.cli.status.render", lambda _body: 1 / 0)
    monkeypatch.setenv("BCM_DEBUG", "1")
    assert "Traceback" in bcm("status").err


def test_an_error_is_data_too_for_who_reads_json(daemon: FakeDaemon, bcm: Shell) -> None:
    import json

    daemon.control.answers["switchover"] = HeldError("no", gate="candidate", hint="wait")
    said = bcm("switchover", "orders", "-o", "json")
    body = json.loads(said.out)
    assert body["apiVersion"] == "bcm-failover/v1"
    assert body["error"] == {
        "what": "no", "where": "", "hint": "wait", "gate": "candidate", "kind": "held",
    }  # fmt: skip
    assert said.err
