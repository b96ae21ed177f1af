"""A real HAProxy on loopback, for tests: a backend whose servers start disabled, and its control sockets."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.pg_pair import free_port, wait_for

HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"
LOOPBACK = "127.0.0.1"
BACKEND = "shop"

_CONFIG = """
global
  stats socket {socket} level admin
  stats socket ipv4@{host}:{tcp} level admin
  stats socket {socket}.user level user
  hard-stop-after 1s
defaults
  mode {mode}
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  {more}
frontend in
  bind {host}:{port}
  default_backend {backend}
backend {backend}
  {servers}
"""


class Haproxy:
    """servers: name → port on loopback. checks: words behind each server, such as `check inter 50ms`."""

    def __init__(
        self,
        root: Path,
        servers: Mapping[str, int],
        *,
        mode: str = "tcp",
        behind: str = "disabled",
        more: Sequence[str] = (),
    ) -> None:
        if not Path(HAPROXY).exists():
            pytest.skip("HAProxy is not installed (Debian: apt-get install haproxy)")
        self.socket = str(root / "control")
        self.tcp_port, self.port = free_port(), free_port()
        self._config = root / "haproxy.cfg"
        self._log = root / "haproxy.log"
        lines = [f"server {name} {LOOPBACK}:{port} {behind}" for name, port in servers.items()]
        self._config.write_text(
            _CONFIG.format(
                socket=self.socket,
                host=LOOPBACK,
                tcp=self.tcp_port,
                mode=mode,
                port=self.port,
                backend=BACKEND,
                servers="\n  ".join(lines),
                more="\n  ".join(more),
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def tcp(self) -> str:
        return f"{LOOPBACK}:{self.tcp_port}"

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([HAPROXY, "-db", "-f", self._config], stdout=log, stderr=log)
        wait_for(self._answers, "HAProxy")

    def stop(self) -> None:
        """As a crash does it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Every one of its threads."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        threads = Path(f"/proc/{self._process.pid}/task")
        wait_for(
            lambda: all(") T " in (t / "stat").read_text() for t in threads.iterdir()), "HAProxy stands still"
        )

    def thaw(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def say(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(self.socket)
            sock.sendall(f"{command}\n".encode())
            told = b""
            while chunk := sock.recv(65536):
                told += chunk
        return told.decode()

    def state(self, server: str) -> str:
        """As `show stat` calls it: UP, DOWN, MAINT, DRAIN, no check."""
        for line in self.say(f"show stat {BACKEND} 4 -1").splitlines():
            fields = line.split(",")
            if fields[:2] == [BACKEND, server]:
                return fields[17]
        raise KeyError(server)

    def client(self) -> socket.socket:
        """A session through it."""
        return socket.create_connection((LOOPBACK, self.port), 5)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        try:
            return "# be_id" in self.say("show servers state")
        except OSError:
            return False


@contextmanager
def running_haproxy(root: Path, servers: Mapping[str, int], **options: object) -> Iterator[Haproxy]:
    """See `Haproxy`; killed at the end."""
    server = Haproxy(root, servers, **options)  # type: ignore[arg-type]
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Echo:
    """A TCP server that says its name to whoever connects, and keeps the connection."""

    def __init__(self, name: str) -> None:
        self._listener = socket.create_server((LOOPBACK, 0))
        self._name = name
        self._open: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]

    def serve_one(self) -> socket.socket:
        """Takes the next connection, greets it and keeps it open."""
        self._listener.settimeout(5)
        sock, _ = self._listener.accept()
        sock.sendall(self._name.encode())
        self._open.append(sock)
        return sock

    def keep(self, sock: socket.socket) -> None:
        """Closed with it: a client's."""
        self._open.append(sock)

    def hang_up(self) -> None:
        """On everybody."""
        while self._open:
            self._open.pop().close()

    def close(self) -> None:
        self.hang_up()
        self._listener.close()
