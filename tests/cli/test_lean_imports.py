"""Client commands answer at once because they import next to nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT
from tests.fake_daemon import FakeDaemon, running_daemon

HEAVY = {
    "psycopg", "pydantic", "pydantic_core", "aiohttp", "paramiko", "yaml", "structlog", "uvloop", "asyncio",
    "requests", "prometheus_client", "tenacity", "jinja2", "cryptography", "importlib.metadata",
}  # fmt: skip
_PROBE = """
import json, sys
from controller.cli.main import main
code = main(json.loads(sys.argv[1]))
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


def modules_after(daemon: FakeDaemon, *arguments: str) -> tuple[int, set[str]]:
    line = json.dumps(["--socket", str(daemon.socket), "--person", "li.wei", *arguments])
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, line], capture_output=True, text=True, timeout=60, cwd=ROOT, check=True
    )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    return code, set(modules)


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("status", "-o", "json"),
        ("explain", "orders"),
        ("switchover", "orders", "--no-wait"),
        ("failover", "orders", "--no-wait"),
        ("pause", "orders", "--for", "1h", "--reason", "x"),
        ("execution", "list"),
        ("execution", "show", "EXE-1"),
        ("runbook", "plan", "orders", "postgresql-failover"),
        ("--help",),
        ("completion", "zsh"),
    ],
    ids=" ".join,
)
def test_client_commands_import_nothing_heavy(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with running_daemon(tmp_path / "s") as daemon:
        daemon.journal.open_execution("EXE-1", ["lock"])
        code, modules = modules_after(daemon, *arguments)
    assert code == 0
    assert modules & HEAVY == set()


def test_json_for_programs_does_not_even_need_rich(tmp_path: Path) -> None:
    with running_daemon(tmp_path / "s") as daemon:
        assert "rich" not in modules_after(daemon, "status", "-o", "json")[1]
