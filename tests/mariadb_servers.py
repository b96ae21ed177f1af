"""Real MariaDB servers on loopback, for tests: a primary and a replica that follows it by GTID."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.pg_pair import free_port, wait_for

SERVER = Path("/usr/sbin/mariadbd")
INSTALL = "mariadb-install-db"
PASSWORD = "correct horse"

_SETTINGS = [
    "--bind-address=127.0.0.1", "--skip-name-resolve", "--log-bin=binlog", "--innodb-buffer-pool-size=16M",
    "--innodb-log-file-size=8M", "--innodb-flush-log-at-trx-commit=0", "--sync-binlog=0",
    "--max-connections=20", "--innodb-use-native-aio=0", "--plugin-load-add=auth_ed25519",
    "--plugin-maturity=alpha",
]  # fmt: skip

_USERS = f"""
create user monitor@'%' identified by '{PASSWORD}';
grant slave monitor on *.* to monitor@'%';
create user plain@'%' identified by '{PASSWORD}';
grant all on bcm_canary.* to plain@'%';
create user crowded@'%' identified by '{PASSWORD}' with max_user_connections 1;
create user edward@'%' identified via ed25519 using password('{PASSWORD}');
create database bcm_canary;
create table bcm_canary.probe (id int primary key, n bigint not null, written_us bigint not null);
grant select, insert, update on bcm_canary.probe to monitor@'%';
create user repl@'%' identified by '{PASSWORD}';
grant replication slave on *.* to repl@'%';
"""


class MariadbServer:
    """One server. `sql` runs statements as root, with the client program, over the socket file."""

    def __init__(self, root: Path, server_id: int, *options: str) -> None:
        self.root = root
        self.data = root / "data"
        self.socket = root / "socket"
        self.log = root / "log"
        self.port = free_port()
        self._options = [f"--server-id={server_id}", *options]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *options: str) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [SERVER, "--no-defaults", f"--datadir={self.data}", f"--socket={self.socket}",
                 f"--port={self.port}", f"--pid-file={self.root}/pid", *_SETTINGS, *self._options, *options],
                cwd=self.root, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                **_as_account(),
            )  # fmt: skip
        wait_for(self._answers, f"an answer of MariaDB: {self.log.read_text()[-2000:]}")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()[-4000:]
        return self._client("select 1").returncode == 0

    def sql(self, statements: str) -> str:
        done = self._client(statements)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _client(self, statements: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["mariadb", "--no-defaults", f"--socket={self.socket}", "-uroot", "-N", "-B"],
            input=statements, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self) -> None:
        assert self._process is not None
        self._process.wait(30)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def _as_account() -> dict[str, Any]:
    """The server refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    account = pwd.getpwnam("nobody")
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


@contextmanager
def root_of_servers() -> Iterator[Path]:
    """A directory of the account that the servers run as; pytest's own are closed to it."""
    if not SERVER.exists() or shutil.which(INSTALL) is None:
        pytest.skip("MariaDB is not installed (Debian: apt-get install mariadb-server)")
    with tempfile.TemporaryDirectory(prefix="bcm-mariadb-") as name:
        root = Path(name)
        root.chmod(0o755)
        yield root


@contextmanager
def server_on_small_disk() -> Iterator[tuple[MariadbServer, Path]]:
    """A server without a replica on a file system of its own, and where that is mounted."""
    with root_of_servers() as root:
        disk = _directory(root / "disk")
        mount: list[str | Path] = ["mount", "-t", "tmpfs", "-o", "size=120m,mode=755", "tmpfs", disk]
        if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            pytest.skip("a small file system can't be mounted: only root can, and not everywhere")
        server = MariadbServer(_directory(disk / "server"), 1)
        try:
            _install(server.data)
            server.start()
            server.sql(_USERS)
            yield server, disk
        finally:
            server.stop()
            subprocess.run(["umount", disk], check=True)


@contextmanager
def running_pair(*, primary_options: tuple[str, ...] = ()) -> Iterator[tuple[MariadbServer, MariadbServer]]:
    with root_of_servers() as root:
        primary = MariadbServer(_directory(root / "primary"), 1, *primary_options)
        replica = MariadbServer(_directory(root / "replica"), 2)
        _install(primary.data)
        subprocess.run(["cp", "-a", primary.data, replica.data], check=True)
        try:
            primary.start()
            replica.start()
            primary.sql(_USERS)
            replica.sql(
                f"change master to master_host='127.0.0.1', master_port={primary.port}, master_user='repl', "
                f"master_password='{PASSWORD}', master_use_gtid=slave_pos, master_connect_retry=1;"
                "start slave; set global read_only=1;"
            )
            wait_for(lambda: position(replica) == position(primary), "the replica has everything")
            yield primary, replica
        finally:
            for server in (primary, replica):
                server.stop()


def position(server: MariadbServer) -> str:
    return server.sql("select @@gtid_current_pos").strip()


def _install(data: Path) -> None:
    subprocess.run(
        [INSTALL, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal",
         "--skip-test-db", "--innodb-log-file-size=8M"],
        check=True, capture_output=True, timeout=60, cwd=data.parent, **_as_account(),
    )  # fmt: skip


def _directory(path: Path) -> Path:
    path.mkdir()
    if os.geteuid() == 0:
        account = pwd.getpwnam("nobody")
        os.chown(path, account.pw_uid, account.pw_gid)
    return path


def certificate(directory: Path) -> Path:
    """A certificate of db.example that is its own authority, and its key, in one file."""
    file = directory / "tls.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=db.example",
         "-addext", "subjectAltName=DNS:db.example", "-keyout", file, "-out", f"{file}.crt"],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    file.write_bytes(file.read_bytes() + Path(f"{file}.crt").read_bytes())
    file.chmod(0o644)
    return file
