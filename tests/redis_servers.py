"""Real Redis servers on free ports of loopback, for tests."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.pg_pair import free_port, wait_for

LOOPBACK = "127.0.0.1"
PASSWORD = "correct horse"


class RedisServer:
    """`settings` are lines of its configuration. `password`: what the default user needs, if anything."""

    def __init__(self, root: Path, name: str, *settings: str, password: str = "") -> None:
        if shutil.which("redis-server") is None:
            pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
        self.root = root / name
        self.root.mkdir()
        self.port = free_port()
        self.password = password
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> RedisServer:
        """Waits until it answers, be it that it is loading."""
        lines = [
            f"bind {LOOPBACK}",
            f"port {self.port}",
            f"dir {self.root}",
            "save 3600 1000000",
            "repl-diskless-sync-delay 0",
            "enable-debug-command yes",
            *([f'requirepass "{self.password}"'] if self.password else []),
            *self._settings,
            *more,
        ]
        (self.root / "redis.conf").write_text("\n".join(lines) + "\n")
        with (self.root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["redis-server", self.root / "redis.conf"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_for(lambda: self._process.poll() is not None or self.cli("INFO", "server"), "redis")  # type: ignore[union-attr]
        assert self._process.poll() is None, (self.root / "log").read_text()
        return self

    def cli(self, *words: str) -> str:
        """What it answers; "" if it can't be reached."""
        command = ["redis-cli", "-h", LOOPBACK, "-p", str(self.port), *words]
        environment = {"REDISCLI_AUTH": self.password} if self.password else {}
        done = subprocess.run(
            command,
            env={"PATH": "/usr/bin", **environment},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
