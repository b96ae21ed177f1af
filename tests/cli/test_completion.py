"""What the shell offers when somebody presses TAB."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.cli.conftest import ROOT, Shell
from tests.fake_daemon import FakeDaemon


def offered(shell: Shell, line: str) -> list[str]:
    """As bash asks: the words so far, the last one is being written."""
    words = f"bcm-failover {' '.join(shell.options[:2])} {line}"
    done = subprocess.run(
        [sys.executable, "-m", "controller.cli.main"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={
            "_BCM_FAILOVER_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        },
        check=False,
    )
    assert done.stderr == ""
    return [entry.partition(",")[2] for entry in done.stdout.splitlines() if entry]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("swit", ["switchover"]),
        ("switchover ", ["orders"]),
        ("switchover o", ["orders"]),
        ("switchover x", []),
        ("switchover orders --to ", ["pg1", "pg2"]),
        ("switchover other --to ", []),
        ("failover orders --to pg2", ["pg2"]),
        ("explain ", ["orders"]),
        ("execution show ", ["EXE-1", "EXE-2"]),
        (
            "execution ",
            [
                "abort",
                "approve",
                "confirm",
                "deny",
                "list",
                "log",
                "pause",
                "reconcile",
                "resume",
                "retry",
                "show",
                "skip",
            ],
        ),
        ("-o y", ["yaml"]),
    ],
)
def test_names_come_from_the_daemon(daemon: FakeDaemon, bcm: Shell, line: str, names: list[str]) -> None:
    daemon.journal.open_execution("EXE-1", [])
    daemon.journal.open_execution("EXE-2", [])
    assert offered(bcm, line) == names


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("simulate --what site:", ["site:dc1", "site:dc2", "site:dr"]),
        ("simulate --what orders", ["orders/pg1", "orders/pg2", "orders/pg3"]),
        ("simulate --what s", ["service:orders", "site:dc1", "site:dc2", "site:dr"]),
        ("simulate --ops d", ["dc1", "dc2", "dr"]),
        ("simulate --mode a", ["act", "ask"]),
    ],
)
def test_what_can_be_struck_is_read_in_the_estate(alone: Shell, line: str, names: list[str]) -> None:
    estate = "config/examples/three-node-postgresql.yaml"
    assert sorted(offered(alone, f"-c {estate} {line}")) == names
    assert offered(alone, "-c /nowhere.yaml simulate --what site:") == []


def test_without_a_daemon_it_is_silent(alone: Shell) -> None:
    assert offered(alone, "switchover ") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_understands_its_script(alone: Shell, shell: str) -> None:
    script = alone("completion", shell).out
    assert "_BCM_FAILOVER_COMPLETE" in script
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([program, "-n"], input=script, text=True, check=True, timeout=30)
