"""The demo's load balancer: a real HAProxy. Where its servers start disabled, the daemon enables one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from controller.demo import processes
from controller.demo.settings import LOOPBACK
from model.errors import BcmError

START_TIMEOUT_S = 10.0
BACKEND = "service"
# Longest that a session may be silent: a client's own deadlines are shorter.
_IDLE = "1h"

# No retries: a server that refuses was killed, and a client that tries again is answered sooner than HAProxy,
# which waits a second between two tries of one server.
_CONFIG = """global
  stats socket {socket} mode 600 level admin
  hard-stop-after 1s
  maxconn 1000
defaults
  mode {mode}
  retries 0
  timeout connect 1s
  timeout client {idle}
  timeout server {idle}
  {more}
listen {backend}
  bind {host}:{port}
  {servers}
"""


def haproxy_program() -> str:
    """Raises BcmError where it is not installed."""
    found = shutil.which("haproxy", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if found is None:
        raise BcmError("HAProxy is not installed", hint="on Debian: apt-get install haproxy")
    return found


class DemoHaproxy:
    """servers: name → port on loopback. behind: words behind each of them. Killed by `stop`."""

    def __init__(
        self,
        base: Path,
        port: int,
        servers: Mapping[str, int],
        *,
        mode: str = "tcp",
        behind: str = "disabled",
        more: Sequence[str] = (),
    ) -> None:
        self._base = base / "haproxy"
        self._base.mkdir(mode=0o700)
        self.port = port
        self.socket = self._base / "control"
        self._config = self._base / "haproxy.cfg"
        lines = [f"server {name} {LOOPBACK}:{number} {behind}" for name, number in servers.items()]
        text = _CONFIG.format(
            socket=self.socket, mode=mode, idle=_IDLE, more="\n  ".join(more), backend=BACKEND, host=LOOPBACK,
            port=port, servers="\n  ".join(lines),
        )  # fmt: skip
        self._config.write_text(text, encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Raises BcmError."""
        log_file = self._base / "haproxy.log"
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [haproxy_program(), "-db", "-f", str(self._config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._base, start_new_session=True,
            )  # fmt: skip
        process = self._process
        ready = processes.wait_until(
            lambda: process.poll() is not None or self._answers(), timeout_s=START_TIMEOUT_S
        )
        if not ready or process.poll() is not None:
            raise BcmError(f"HAProxy did not start: {log_file.read_text(encoding='utf-8')[-500:]}")

    def stop(self) -> None:
        """As a crash does it. Idempotent."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def endpoint(self) -> dict[str, object]:
        """As the estate declares it."""
        return {
            "type": "haproxy", "host": LOOPBACK, "port": self.port, "sockets": [str(self.socket)],
            "backend": BACKEND,
        }  # fmt: skip

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as sock:
            try:
                sock.connect(str(self.socket))
            except OSError:
                return False
        return True
