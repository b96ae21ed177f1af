"""The demo's client of Redis: it writes all the time, in a process of its own, and logs what is acknowledged.

It behaves as an application that knows all servers and keeps to the one that takes writes: after any error,
READONLY and NOREPLICAS among them, it closes the session and tries the servers in order, at once. Each write
is a key of its own. The log is that of `controller.demo.client`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from controller.demo import processes
from controller.demo.redis.cluster import RedisCluster, RedisNode
from controller.demo.redis.resp import RedisWireError, Session
from controller.demo.verdict import ClientLog, ClientVerdict, longest_gap, read_log
from model.errors import BcmError

DEADLINE_S: Final = 1.0  # for a connect and for a command
PACE_S: Final = 0.002  # between two writes
ROUND_WAIT_S: Final = 0.01  # between two rounds through all servers
FIRST_WRITE_TIMEOUT_S: Final = 10.0
_BATCH: Final = 500


class RedisClient:
    """The handle of a running client. It ends when `stop` is called or this process dies."""

    def __init__(self, cluster: RedisCluster, log: Path) -> None:
        self.log = log
        log.touch()
        ports = ",".join(str(node.port) for node in cluster.nodes)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "controller.demo.redis.client", "--log", str(log), "--ports", ports],
            stdin=subprocess.PIPE,
            start_new_session=True,
            cwd=Path(__file__).resolve().parents[3],
            env={"PATH": os.defpath},
        )

    def acknowledged(self) -> int:
        return self.log.read_bytes().count(b"A ")

    def wait_writes(self, more: int, timeout_s: float = FIRST_WRITE_TIMEOUT_S) -> None:
        """Until `more` writes are acknowledged from now on. Raises BcmError."""
        target = self.acknowledged() + more
        if not processes.wait_until(lambda: self.acknowledged() >= target, timeout_s=timeout_s):
            last = "\n".join(self.log.read_text(encoding="ascii").splitlines()[-5:])
            raise BcmError(f"the client got no {more} writes acknowledged within {timeout_s:g} s:\n{last}")

    def stop(self) -> Path:
        """Idempotent."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        self._process.wait(timeout=10 + 2 * DEADLINE_S)
        return self.log


def judge(
    log_file: Path, survivor: RedisNode, *, since_ns: int, after_ns: int, until_ns: int
) -> ClientVerdict:
    """What the client was told is safe between two moments, counted on the primary. after_ns: when it
    happened; the gap is that which ended after it."""
    log = read_log(log_file)
    acks = tuple(a for a in log.acks if since_ns <= a.ns < until_ns)
    kinds = [kind for ns, kind, _port in log.errors if after_ns <= ns < until_ns]
    return ClientVerdict(
        acknowledged=len(acks),
        lost=len(_missing(survivor.port, [key(a.writer, a.n) for a in acks])),
        duplicated=0,
        gap=longest_gap(ClientLog(acks, (), until_ns), after_ns),
        errors={kind: kinds.count(kind) for kind in sorted(set(kinds))},
    )


def key(writer: int, n: int) -> str:
    return f"app:{writer}:{n}"


def _missing(port: int, keys: Sequence[str]) -> list[str]:
    session = Session(port, 10.0)
    try:
        found: list[str] = []
        for at in range(0, len(keys), _BATCH):
            batch = keys[at : at + _BATCH]
            replies = session.ask_all([("EXISTS", k) for k in batch])
            found += [k for k, there in zip(batch, replies, strict=True) if there != 1]
        return found
    finally:
        session.close()


class _Writer(threading.Thread):
    """One session at a time."""

    def __init__(self, ports: Sequence[int], log: Callable[[str], None], end: threading.Event) -> None:
        super().__init__(name="writer", daemon=True)
        self._ports = ports
        self._log = log
        self._end = end
        self._n = 0

    def run(self) -> None:
        while not self._end.is_set():
            if not any(self._use(port) for port in self._ports):
                self._end.wait(ROUND_WAIT_S)

    def _use(self, port: int) -> bool:
        """Write to this server for as long as it works. Was anything acknowledged?"""
        session, worked = None, False
        try:
            session = Session(port, DEADLINE_S)
            self._log(f"C {time.monotonic_ns()} 1 {port}")
            while not self._end.is_set():
                self._n += 1
                session.ask("SET", key(1, self._n), "1")
                worked = True
                self._log(f"A {time.monotonic_ns()} 1 {self._n} {port}")
                self._end.wait(PACE_S)
        except RedisWireError as error:
            self._log(f"E {time.monotonic_ns()} 1 {error.kind} {port}")
        finally:
            if session is not None:
                session.close()
        return worked


def main(argv: Sequence[str] | None = None) -> int:
    """Runs until standard input is closed."""
    parser = argparse.ArgumentParser(prog="controller.demo.redis.client")
    parser.add_argument("--log", required=True)
    parser.add_argument("--ports", required=True)
    arguments = parser.parse_args(argv)
    descriptor = os.open(arguments.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def log(line: str) -> None:
        os.write(descriptor, f"{line}\n".encode("ascii"))  # one call a line: whole lines, whenever we die

    end = threading.Event()
    writer = _Writer([int(p) for p in arguments.ports.split(",")], log, end)
    writer.start()
    sys.stdin.read()
    end.set()
    writer.join(2 * DEADLINE_S + 1)
    log(f"Q {time.monotonic_ns()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
