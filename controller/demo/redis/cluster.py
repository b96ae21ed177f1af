"""A real Redis service of three servers on loopback: r1 primary, r2 and r3 its replicas.

Everything lies below one temporary directory and is gone with it, whatever ends the program (see janitor).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from controller.demo import processes
from controller.demo.cluster import free_ports
from controller.demo.janitor import Janitor
from controller.demo.redis.resp import RedisWireError, Session, Value
from controller.demo.settings import LOOPBACK
from model.errors import BcmError

NAMES: Final = ("r1", "r2", "r3")
START_TIMEOUT_S: Final = 10.0
_ASK_S: Final = 1.0
PROGRAM: Final = "redis-server"


class RedisNode:
    """One server. `start` may follow `kill`: what it had on disk it has again."""

    def __init__(self, name: str, port: int, home: Path) -> None:
        self.name = name
        self.port = port
        self.home = home
        self.pidfile = home / "pid"
        self.log_file = home / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, upstream: int | None = None) -> None:
        """upstream: port of the server that it follows from the beginning."""
        self.home.mkdir(exist_ok=True)
        lines = [
            f"bind {LOOPBACK}",
            f"port {self.port}",
            f"dir {self.home}",
            f"pidfile {self.pidfile}",
            "appendonly yes",
            "appendfsync everysec",
            "repl-diskless-sync-delay 0",
            "set-proc-title no",  # by its command line it is found and ended
            *([f"replicaof {LOOPBACK} {upstream}"] if upstream is not None else []),
        ]
        config = self.home / "redis.conf"
        config.write_text("\n".join(lines) + "\n", encoding="ascii")
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [PROGRAM, str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={"PATH": os.defpath},
            )
        threading.Thread(target=self._process.wait, name=f"reap-{self.name}", daemon=True).start()
        if not processes.wait_until(lambda: self.role() is not None, timeout_s=START_TIMEOUT_S):
            raise BcmError(f"{self.name} did not start:\n{self.log_tail()}")

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def ask(self, *words: str) -> Value:
        """None while it does not answer."""
        with suppress(RedisWireError):
            session = Session(self.port, _ASK_S)
            try:
                return session.ask(*words)
            finally:
                session.close()
        return None

    def role(self) -> str | None:
        """`master` or `slave`; None while it does not answer."""
        found = self.ask("ROLE")
        return str(found[0]) if isinstance(found, list) else None

    def streams(self) -> bool:
        """As a replica that is in step with its primary."""
        found = self.ask("ROLE")
        return isinstance(found, list) and found[0] == "slave" and found[3] == "connected"

    def log_tail(self) -> str:
        with suppress(OSError):
            return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-10:])
        return "(no log)"


class RedisCluster:
    """Use as a context manager: entering starts it, leaving stops everything and removes it."""

    def __init__(self, parent: Path | None = None) -> None:
        if shutil.which(PROGRAM) is None:
            raise BcmError(f"{PROGRAM} is not installed", hint="Debian: apt-get install redis-server")
        self.base = Path(tempfile.mkdtemp(prefix="bcm-demo-redis-", dir=parent))
        self._janitor = Janitor(self.base, os.geteuid())
        self.nodes = tuple(
            RedisNode(name, port, self.base / name)
            for name, port in zip(NAMES, free_ports(len(NAMES)), strict=True)
        )
        self.kept = False

    def __enter__(self) -> Self:
        try:
            first, *others = self.nodes
            first.start()
            for node in others:
                node.start(first.port)
            self.wait_replicas(first.name)
        except BaseException:
            self.stop_all()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.kept:
            self.stop_all()

    def node(self, name: str) -> RedisNode:
        return next(n for n in self.nodes if n.name == name)

    def primary(self) -> RedisNode | None:
        """The only one that says so; None while there is none, or two."""
        found = [n for n in self.nodes if n.role() == "master"]
        return found[0] if len(found) == 1 else None

    def wait_replicas(self, primary: str, timeout_s: float = START_TIMEOUT_S) -> None:
        """Until all others are in step with somebody. Raises BcmError."""
        others = [n for n in self.nodes if n.name != primary]
        if not processes.wait_until(lambda: all(n.streams() for n in others), timeout_s=timeout_s):
            raise BcmError("\n".join(f"{n.name} follows nobody:\n{n.log_tail()}" for n in others))

    def keep(self) -> None:
        """Leave everything as it is when this program ends."""
        self.kept = True
        self._janitor.keep()

    def stop_all(self) -> None:
        """Kill every server and remove everything. Raises BcmError."""
        for node in self.nodes:
            node.kill()
        if not self._janitor.clean():
            raise BcmError(f"could not remove {self.base}", hint=f"rm -rf {self.base}")
