"""Who is asking: the kernel says it, and a request can't claim to be somebody else."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from controller.api.people import NotAllowedError, resolve_caller
from tests.fake_daemon import estate, running_daemon

_ASK = """
import encodings.idna, http.client, json, os, socket, sys
path, person, uid = *sys.argv[1:3], int(sys.argv[3])
os.setgroups([])
os.setgid(uid)
os.setuid(uid)
connection = http.client.HTTPConnection("x")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect(path)
headers = {"BCM-Person": person} if person else {}
connection.request("POST", "/v1/services/orders/resume", "{}", headers)
answer = connection.getresponse()
print(json.dumps([answer.status, json.loads(answer.read())]))
"""

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def uid_of_nobody() -> int:
    return pwd.getpwnam("nobody").pw_uid


def ask_as(uid: int, socket: Path, person: str = "") -> tuple[int, dict[str, object]]:
    """A request by a process of another account (it changes after it has started: another account may not be
    allowed to read this Python)."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", _ASK, str(socket), person, str(uid)],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    code, body = json.loads(done.stdout)
    return code, body


def open_to_all(socket: Path) -> None:
    """Past the file's own rights, so that the API's answer is what is tested."""
    for directory in (socket.parent, *socket.parent.parents):
        if directory != Path("/") and directory.stat().st_uid == os.getuid() and str(directory) != "/tmp":
            directory.chmod(directory.stat().st_mode | 0o011)
    socket.chmod(0o666)


@as_root
def test_an_account_is_the_person_that_the_estate_says(tmp_path: Path, uid_of_nobody: int) -> None:
    with running_daemon(tmp_path / "s") as daemon:
        open_to_all(daemon.socket)
        code, _ = ask_as(uid_of_nobody, daemon.socket)
        assert code == 200
        caller = daemon.control.calls[-1][1]["caller"]
        assert (caller.person, caller.os_user) == ("li.wei", "nobody")


@as_root
def test_an_account_can_not_act_as_another_person(tmp_path: Path, uid_of_nobody: int) -> None:
    with running_daemon(tmp_path / "s") as daemon:
        open_to_all(daemon.socket)
        code, body = ask_as(uid_of_nobody, daemon.socket, person="anna")
        assert code == 403
        assert "anna" in str(body["error"])
        assert daemon.control.calls == []


@as_root
@pytest.mark.parametrize("uid", [1, 54321])
def test_an_account_that_is_nobodys_is_refused_with_what_to_do(tmp_path: Path, uid: int) -> None:
    with running_daemon(tmp_path / "s") as daemon:
        open_to_all(daemon.socket)
        code, body = ask_as(uid, daemon.socket, person="li.wei")
        assert code == 403
        assert "os_users" in str(body["error"])
        assert daemon.control.calls == []


@as_root
def test_the_sockets_own_rights_keep_strangers_out(tmp_path: Path, uid_of_nobody: int) -> None:
    with running_daemon(tmp_path / "s") as daemon:
        open_to_all(daemon.socket)
        daemon.socket.chmod(0o660)
        with pytest.raises(subprocess.CalledProcessError) as refused:
            ask_as(uid_of_nobody, daemon.socket)
        assert "PermissionError" in refused.value.stderr


@as_root
def test_root_acts_in_the_name_of_the_person_it_names(tmp_path: Path) -> None:
    with running_daemon(tmp_path / "s") as daemon:
        assert ask_as(0, daemon.socket, person="anna")[0] == 200
        assert daemon.control.calls[-1][1]["caller"].person == "anna"


@pytest.mark.parametrize("named", [None, "", "mallory"])
def test_root_must_name_a_person_of_the_estate(named: str | None) -> None:
    with pytest.raises(NotAllowedError) as refused:
        resolve_caller(estate(), 0, named)
    assert "anna, li.wei" in refused.value.hint


def test_an_account_may_name_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.api.people.account_name", lambda _uid: "anna")
    assert resolve_caller(estate(), 1000, "anna").person == "anna"


def test_an_account_that_the_host_has_no_name_for_is_told_by_its_number() -> None:
    with pytest.raises(NotAllowedError, match="uid 54321"):
        resolve_caller(estate(), 54321, None)
