"""A real sshd on a free port of loopback, for tests. Anybody may start one, for logins as himself."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from config.schema import SshAccess as SshSettings
from config.secrets import SecretRef
from tests.pg_pair import free_port

SSHD = Path("/usr/sbin/sshd")
LOOPBACK = "127.0.0.1"
START_S = 10.0


class SshServer:
    """`key` opens it, `other_key` does not. `known_hosts` knows it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = free_port()
        self.log_file = root / "sshd.log"
        self.key, self.other_key, self.host_key = (root / name for name in ("key", "other_key", "host_key"))
        self.known_hosts = root / "known_hosts"
        self.login = pwd.getpwuid(os.geteuid()).pw_name
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        for key in (self.key, self.other_key, self.host_key):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        shutil.copy(self.key.with_suffix(".pub"), self.root / "authorized_keys")
        self.known_hosts.write_text(self.known_host_line(self.host_key))
        (self.root / "config").write_text(
            f"Port {self.port}\nListenAddress {LOOPBACK}\nHostKey {self.host_key}\nPidFile none\n"
            f"AuthorizedKeysFile {self.root}/authorized_keys\nStrictModes no\nUsePAM no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n"
            "MaxStartups 100\nLogLevel VERBOSE\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)

    def known_host_line(self, key: Path) -> str:
        return f"[{LOOPBACK}]:{self.port} {key.with_suffix('.pub').read_text()}"

    def start(self) -> None:
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [SSHD, "-D", "-e", "-f", self.root / "config"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline_s = time.monotonic() + START_S
        while time.monotonic() < deadline_s:
            with suppress(OSError), socket.create_connection((LOOPBACK, self.port), 1):
                return
            assert self._process.poll() is None, self.log_file.read_text()
            time.sleep(0.01)
        raise AssertionError(f"sshd does not answer: {self.log_file.read_text()}")

    def stop(self) -> None:
        if self._process is not None:
            self.signal_sessions(signal.SIGKILL)
            self._process.kill()
            self._process.wait()

    def signal_sessions(self, number: int) -> None:
        """To the processes that serve connections, and their children."""
        assert self._process is not None
        pids = _children(self._process.pid)
        for pid in pids:
            pids += _children(pid)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def logins(self) -> int:
        return self.log_file.read_text().count("Accepted publickey")

    def settings(self, **changes: object) -> SshSettings:
        given = {
            "user": self.login,
            "port": self.port,
            "key": SecretRef(file=self.key),
            "known_hosts": self.known_hosts,
            **changes,
        }
        return SshSettings.model_validate(given)


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


@contextmanager
def running_sshd(root: Path) -> Iterator[SshServer]:
    if not SSHD.exists() or shutil.which("ssh-keygen") is None:
        pytest.skip("sshd is not installed (Debian: apt-get install openssh-server)")
    server = SshServer(root)
    server.prepare()
    server.start()
    try:
        yield server
    finally:
        server.stop()
