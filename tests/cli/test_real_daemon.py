"""The command line and the service manager, with the real daemon on real servers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from controller.demo.cluster import Cluster
from controller.demo.estate import SERVICE, demo_estate, invoking_user
from tests.cli.conftest import ROOT, Said, Shell

pytestmark = pytest.mark.postgres


@dataclass
class Daemon:
    process: subprocess.Popen[bytes]
    manager: socket.socket
    estate: Path
    shell: Shell

    def __call__(self, *arguments: str) -> Said:
        return self.shell(*arguments)

    def heard(self, message: str) -> str:
        """What the daemon told the service manager, up to the first message that begins with `message`."""
        while True:
            text = self.manager.recv(4096).decode()
            if text.startswith(message):
                return text

    def until_healthy(self) -> None:
        """A member's port answers before its server was read: the diagnosis says when all is known."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            said = self("explain", SERVICE).out
            if "Healthy" in said:
                return
        raise AssertionError(f"not healthy: {said}")


@pytest.fixture
def real(shared_cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Daemon]:
    estate, admin, state_dir = tmp_path / "estate.yaml", tmp_path / "s", tmp_path / "state"
    estate.write_text(demo_estate(shared_cluster, state_dir=state_dir, socket=admin, mode="observe"))
    shell = Shell(admin, state_dir, capsys)
    shell.options[-1] = invoking_user()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, (tmp_path / "log").open("wb") as log:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        process = subprocess.Popen(
            [sys.executable, "-m", "controller.cli.main", "run", "-c", str(estate)],
            cwd=ROOT, stdout=log, stderr=log,
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1500000"},
        )  # fmt: skip
        daemon = Daemon(process, manager, estate, shell)
        try:
            daemon.heard("READY=1")
            yield daemon
        finally:
            process.terminate()
            process.wait(40)


def answers(url: str) -> bool:
    """200 within a while: right after a reload nothing has been read yet."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            with urlopen(url, timeout=10) as answer:
                return bool(answer.status == 200)
        except HTTPError as refused:
            refused.close()
    return False


def test_people_see_steer_and_reload_the_real_daemon(real: Daemon) -> None:
    real.until_healthy()
    table = real("status").out
    assert SERVICE in table
    assert all(member in table for member in ("pg1", "pg2", "pg3"))
    assert "observe" in table

    assert real("pause", SERVICE, "--for", "1h", "--reason", "a look").code == 0
    assert "a look" in real("status").out
    assert real("resume", SERVICE).code == 0
    assert real("resume", SERVICE).code == 2
    held = real("failover", SERVICE)
    assert (held.code, "held by the gate `diagnosis`" in held.err) == (3, True)

    # The demo's estate names no pager: a finding, told with what to do; the second look finds nothing new.
    inspected = real("inspect")
    assert inspected.code == 1
    assert "names no pager" in inspected.out
    assert "what to do" in inspected.out
    assert "nothing has changed" in real("inspect", "--since").out

    assert real("reload").code == 0
    good = real.estate.read_text()
    real.estate.write_text(good.replace("role: dr", "role: moon"))
    refused = real("reload")
    assert refused.code == 1
    assert f"{real.estate}:" in refused.err
    assert "the old one is in force" in real("status").out

    port = json.loads(real("status", "-o", "json").out)["daemon"]["http_port"]
    assert answers(f"http://127.0.0.1:{port}/primary/{SERVICE}/pg1")
    assert real("journal", "verify").code == 0


def test_the_service_manager_is_kept_informed(real: Daemon) -> None:
    real.heard("WATCHDOG=1")
    real.process.send_signal(signal.SIGHUP)
    assert "MONOTONIC_USEC=" in real.heard("RELOADING=1")
    real.heard("READY=1")
    real.process.terminate()
    real.heard("STOPPING=1")
    assert real.process.wait(30) == 0
    assert real("status").code == 5


def test_break_glass_plans_for_a_person_and_for_a_program(real: Daemon) -> None:
    real.until_healthy()
    real.process.terminate()
    assert real.process.wait(30) == 0
    alone = ("failover", SERVICE, "--no-daemon", "--dry-run", "-c", str(real.estate), "--reason", "a look")
    printed = real(*alone)
    assert "dry run: nothing is changed" in printed.out
    assert "it would be held by the gate `diagnosis`" in printed.out
    plan = json.loads(real(*alone, "-o", "json").out)
    assert (printed.code, plan["stopped_by"]) == (3, "diagnosis")
