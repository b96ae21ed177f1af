"""One node of the demo's cluster: a data directory, its server process and what may be done to it."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from controller.demo import processes
from controller.demo.servers import SERVER_ENVIRONMENT, Account
from controller.demo.settings import LOOPBACK, SUPERUSER
from model.errors import BcmError

START_TIMEOUT_S = 20.0  # crash recovery of a few hundred MB on a slow disk
STOP_TIMEOUT_S = 10.0
LOG_TAIL_LINES = 8
_STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


@dataclass(slots=True)
class Node:
    """`home` holds the data directory, node.conf, the socket, the passfile and the log.

    note_segment: told of shared memory that a kill leaves behind.
    """

    name: str
    site: str
    role: str  # as declared: primary, standby or dr
    port: int
    home: Path
    bin_dir: Path
    account: Account
    note_segment: Callable[[int], None]

    @property
    def data_dir(self) -> Path:
        return self.home / "data"

    @property
    def log_file(self) -> Path:
        return self.home / "server.log"

    @property
    def passfile(self) -> Path:
        return self.home / "replication.pass"

    def run(self, program: str, *arguments: str | Path, timeout_s: float = 60.0) -> str:
        """One of the server's programs, as the server's account. Raises BcmError with what it said."""
        argv = [str(self.bin_dir / program), *map(str, arguments)]
        answer = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            cwd="/",
            env=SERVER_ENVIRONMENT,
            **self.account.popen_options(),  # type: ignore[call-overload]
        )
        if answer.returncode != 0:
            raise BcmError(f"{program} failed: {answer.stderr.strip()[-800:]}", where=self.name)
        return str(answer.stdout)

    def spawn(self) -> None:
        """Start the server and return at once. It is in a session of its own: Ctrl-C does not reach it."""
        before = processes.postmaster_pid(self.data_dir)
        if before is not None and not self.running():
            processes.wait_reaped(before)
        with self.log_file.open("ab") as log:
            process = subprocess.Popen(
                [self.bin_dir / "postgres", "-D", self.data_dir],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=SERVER_ENVIRONMENT,
                start_new_session=True,
                **self.account.popen_options(),  # type: ignore[call-overload]
            )
        # A zombie keeps its pid, and the next server would take that for a living one.
        threading.Thread(target=process.wait, name=f"reap-{self.name}", daemon=True).start()

    def start(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Start and wait until it accepts connections. Raises BcmError with the end of its log."""
        self.spawn()
        self.wait_ready(timeout_s)

    def wait_ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Until postmaster.pid says `ready` (as pg_ctl does). Raises BcmError."""
        started = processes.wait_until(self.running, timeout_s=2.0)
        if started and processes.wait_until(lambda: self.ready() or not self.running(), timeout_s=timeout_s):
            started = self.ready()
        if not started:
            raise BcmError(f"the server did not start:\n{self.log_tail()}", where=self.name)

    def ready(self) -> bool:
        """Does it accept connections, by its own word? A dead server's postmaster.pid does not count."""
        return processes.postmaster_ready(self.data_dir)

    def running(self) -> bool:
        return processes.running(self.data_dir)

    def frozen(self) -> bool:
        """Does its postmaster stand still (SIGSTOP)?"""
        pid = processes.postmaster_pid(self.data_dir)
        return pid is not None and processes.stopped_by_signal(pid)

    def pids(self) -> list[int]:
        """Every process of the server, the postmaster first."""
        return processes.tree(self.data_dir)

    def stop(self, mode: str = "fast", timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Stop and wait until the last process is gone. Raises BcmError if it does not stop in time."""
        pid = processes.postmaster_pid(self.data_dir)
        if pid is None or not self.running():
            return
        processes.cont_tree(self.data_dir)
        processes.send([pid], _STOP_SIGNALS[mode])
        if not processes.wait_until(lambda: not self.running(), timeout_s=timeout_s):
            raise BcmError(f"the server did not stop ({mode}) within {timeout_s:g} s", where=self.name)

    def restart(self, mode: str = "fast") -> None:
        """As an operator does it: `pg_ctl restart`. Raises BcmError."""
        self.run("pg_ctl", "restart", "-w", "-s", "-m", mode, "-D", self.data_dir, "-l", self.log_file)

    def reload(self) -> None:
        pid = processes.postmaster_pid(self.data_dir)
        if pid is not None and self.running():
            processes.send([pid], signal.SIGHUP)

    def kill_tree(self) -> list[int]:
        """kill -9 of every process at once. Returns the pids."""
        segment = processes.shared_memory_id(self.data_dir)
        if segment is not None:
            self.note_segment(segment)
        return processes.kill_tree(self.data_dir)

    def stop_tree(self) -> list[int]:
        """SIGSTOP to every process: a hang. Returns the pids."""
        return processes.stop_tree(self.data_dir)

    def cont_tree(self) -> list[int]:
        return processes.cont_tree(self.data_dir)

    def dsn(self, database: str = "postgres") -> str:
        """For the superuser, through the socket; without a password."""
        return f"host={self.home} port={self.port} user={SUPERUSER} dbname={database}"

    def query(
        self,
        statement: str,
        params: Sequence[Any] | None = None,
        *,
        database: str = "postgres",
        timeout_s: float = 5.0,
    ) -> list[tuple[Any, ...]]:
        """Rows of a statement as superuser, autocommit; [] if it gives none. Raises psycopg.Error.

        Its commits do not wait for standbys: no statement time-out ends such a wait (P8).
        """
        options = f"-c synchronous_commit=local -c statement_timeout={int(timeout_s * 1000)}"
        with (
            psycopg.connect(
                self.dsn(database), options=options, connect_timeout=max(2, int(timeout_s)), autocommit=True
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement, params)
            return cursor.fetchall() if cursor.description else []

    def in_recovery(self) -> bool | None:
        """None where no answer can be had: it is down, frozen or starting."""
        if self.frozen() or not self.ready():
            return None
        with suppress(psycopg.Error):
            return bool(self.query("SELECT pg_is_in_recovery()", timeout_s=2.0)[0][0])
        return None

    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def log_tail(self) -> str:
        try:
            text = self.log_file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(text.splitlines()[-LOG_TAIL_LINES:])
