"""The command line against a daemon that decides nothing, in this process and as a real command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.cli.main import main
from tests.fake_daemon import FakeDaemon, running_daemon

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("BCM_") or name in ("NO_COLOR", "COLUMNS"):
            monkeypatch.delenv(name)


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDaemon]:
    """Where the tests do not run as root, their account is li.wei's."""
    if os.getuid() != 0:
        monkeypatch.setattr("controller.api.people.account_name", lambda _uid: "liwei")
    with running_daemon(tmp_path / "s") as running:
        yield running


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


class Shell:
    """`bcm(...)` runs a command in this process, as li.wei, against `socket` and `state_dir`."""

    def __init__(self, socket: Path, state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.options = ["--socket", str(socket), "--state-dir", str(state_dir), "--person", "li.wei"]
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Said:
        self._capsys.readouterr()
        code = main([*self.options, *arguments])
        said = self._capsys.readouterr()
        return Said(int(code), said.out, said.err)

    def command(self, *arguments: str) -> list[str]:
        """The same as a real command's argv."""
        return [sys.executable, "-m", "controller.cli.main", *self.options, *arguments]

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **environ},
        )

    def really(self, *arguments: str, **environ: str) -> Said:
        with self.start(*arguments, **environ) as process:
            out, err = process.communicate(timeout=60)
        return Said(process.returncode, out, err)


@pytest.fixture
def bcm(daemon: FakeDaemon, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    """With a daemon."""
    return Shell(daemon.socket, tmp_path / "state", capsys)


@pytest.fixture
def alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Without one."""
    return Shell(tmp_path / "nobody", tmp_path / "state", capsys)
