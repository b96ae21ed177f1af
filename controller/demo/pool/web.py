"""A web server of the demo's pool: a real nginx on a free port of loopback, that says its name."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

from controller.demo import processes
from controller.demo.cluster import free_ports
from controller.demo.settings import LOOPBACK
from model.errors import BcmError

START_TIMEOUT_S = 10.0
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin") or "/usr/sbin/nginx"

# `/slow` sends its answer at some bytes a second: a request that is under way for as long as somebody looks.
# One process: whoever kills it has killed the server.
_CONFIG = """daemon off;
master_process off;
pid {root}/nginx.pid;
error_log {root}/error.log warn;
{user}
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {root}/body;
  proxy_temp_path {root}/proxy;
  fastcgi_temp_path {root}/fastcgi;
  uwsgi_temp_path {root}/uwsgi;
  scgi_temp_path {root}/scgi;
  server {{
    listen {host}:{port};
    location = / {{ return 200 "{name}"; }}
    location = /slow {{ alias {root}/slow.txt; limit_rate {rate}; default_type text/plain; }}
  }}
}}
"""
# A second and a half for one slow answer.
_SLOW_BYTES = 30_000
_SLOW_RATE = 20_000


class Web:
    """One server, below `root`."""

    def __init__(self, root: Path, name: str) -> None:
        self.name = name
        self.root = root / name
        self.root.mkdir(mode=0o755)
        [self.port] = free_ports(1)
        user = "user root;" if os.geteuid() == 0 else ""
        text = _CONFIG.format(
            root=self.root, user=user, host=LOOPBACK, port=self.port, name=name, rate=_SLOW_RATE
        )
        (self.root / "nginx.conf").write_text(text, encoding="utf-8")
        (self.root / "slow.txt").write_text("x" * _SLOW_BYTES, encoding="ascii")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Raises BcmError."""
        command = [NGINX, "-c", str(self.root / "nginx.conf"), "-e", str(self.root / "error.log")]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, cwd=self.root, start_new_session=True
            )
        except OSError as exc:
            raise BcmError(
                f"nginx can't be started: {exc}", hint="on Debian: apt-get install nginx-light"
            ) from exc
        process = self._process
        ready = processes.wait_until(
            lambda: process.poll() is not None or self._answers(), timeout_s=START_TIMEOUT_S
        )
        if not ready or process.poll() is not None:
            said = (self.root / "error.log").read_text(encoding="utf-8")[-500:]
            raise BcmError(f"nginx did not start: {said}")

    def kill(self) -> None:
        """As a crash does it. Idempotent."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    stop = kill

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection((LOOPBACK, self.port), 1):
            return True
        return False
