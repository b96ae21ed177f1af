"""One MariaDB server of the demo, on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path
from typing import Final

from controller.demo import processes
from controller.demo.settings import LOOPBACK
from model.errors import BcmError

PROGRAM: Final = "/usr/sbin/mariadbd"
INSTALL: Final = "mariadb-install-db"
CLIENT: Final = "mariadb"
START_TIMEOUT_S: Final = 30.0
# The server refuses to run as root by accident; here it is meant.
_AS_ROOT: Final = ["--user=root"] if os.geteuid() == 0 else []
# As docs/mariadb.md asks for, and small. A server that was killed comes back as a replica would: read-only,
# and without what no replica had acknowledged.
_SETTINGS: Final = (
    "--skip-name-resolve", "--log-bin=binlog", "--log-slave-updates", "--gtid-strict-mode=1",
    "--sync-binlog=1", "--read-only=1", "--rpl-semi-sync-slave-enabled=1", "--init-rpl-role=SLAVE",
    "--relay-log=relay", "--innodb-buffer-pool-size=24M", "--innodb-log-file-size=16M",
    "--innodb-use-native-aio=0", "--max-connections=60", "--slave-net-timeout=10",
)  # fmt: skip


class MariadbNode:
    """`start` may follow `kill`: what it had on disk it has again."""

    def __init__(self, name: str, port: int, home: Path) -> None:
        self.name = name
        self.port = port
        self.home = home
        self.data = home / "data"
        self.socket = home / "s"
        self.pidfile = home / "pid"
        self.log_file = home / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> None:
        """more: options after the usual ones."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [PROGRAM, "--no-defaults", *_AS_ROOT, f"--datadir={self.data}", f"--socket={self.socket}",
                 f"--port={self.port}", f"--pid-file={self.pidfile}", f"--bind-address={LOOPBACK}",
                 f"--server-id={self.name[1:]}", *_SETTINGS, *more],
                cwd=self.home, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={"PATH": os.defpath},
            )  # fmt: skip
        threading.Thread(target=self._process.wait, name=f"reap-{self.name}", daemon=True).start()
        if not processes.wait_until(lambda: self.ask("SELECT 1") is not None, timeout_s=START_TIMEOUT_S):
            raise BcmError(f"{self.name} did not start:\n{self.log_tail()}")

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def sql(self, statements: str) -> str:
        """As the server's root, with its own client program. Raises BcmError."""
        done = self._client(statements)
        if done.returncode != 0:
            raise BcmError(f"{self.name}: {done.stderr.strip()}")
        return done.stdout.strip("\n")

    def ask(self, statements: str) -> str | None:
        """None while it does not answer."""
        done = self._client(statements)
        return done.stdout.strip("\n") if done.returncode == 0 else None

    def leads(self) -> bool:
        return self.ask("SELECT @@read_only") == "0" and self.ask("SHOW SLAVE STATUS") == ""

    def log_tail(self) -> str:
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-12:])

    def _client(self, statements: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [CLIENT, "--no-defaults", f"--socket={self.socket}", "-uroot", "-N", "-B", "--connect-timeout=2"],
            input=statements, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip


def install(data: Path) -> None:
    """An empty server's directory. Raises BcmError."""
    if not Path(PROGRAM).exists() or shutil.which(INSTALL) is None:
        raise BcmError("MariaDB is not installed", hint="Debian: apt-get install mariadb-server")
    done = subprocess.run(
        [INSTALL, "--no-defaults", *_AS_ROOT, f"--datadir={data}", "--auth-root-authentication-method=normal",
         "--skip-test-db", "--innodb-log-file-size=16M"],
        capture_output=True, text=True, timeout=120, check=False, cwd=data.parent,
    )  # fmt: skip
    if done.returncode != 0:
        raise BcmError(f"{INSTALL}: {done.stderr[-500:]}")
