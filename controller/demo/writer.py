"""A client that writes all the time, in a process of its own: its handle, its loop, and what is made of its
log.

It behaves as an application that knows all servers and keeps to the one that takes writes: after any error it
closes the session and tries the servers in order, at once. The log is that of `controller.demo.client`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from controller.demo import processes
from controller.demo.verdict import Ack, ClientLog, ClientVerdict, longest_gap, read_log
from model.errors import BcmError

DEADLINE_S: Final = 1.0  # for a connect and for a write
PACE_S: Final = 0.002  # between two writes
ROUND_WAIT_S: Final = 0.01  # between two rounds through all servers
FIRST_WRITE_TIMEOUT_S: Final = 10.0

Log = Callable[[str], None]


class WriterProcess:
    """The handle of a running client. It ends when `stop` is called or this process dies. module: what runs
    `main` below."""

    def __init__(
        self, module: str, ports: Sequence[int], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.log = log
        log.touch()
        listed = ",".join(str(port) for port in ports)
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, "--log", str(log), "--ports", listed],
            stdin=subprocess.PIPE,
            start_new_session=True,
            cwd=Path(__file__).resolve().parents[2],
            env={"PATH": os.defpath, **(environment or {})},
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
    log_file: Path, missing: Callable[[Sequence[Ack]], int], *, since_ns: int, after_ns: int, until_ns: int
) -> ClientVerdict:
    """What the client was told is safe between two moments. missing: how many of them the primary lacks.
    after_ns: when it happened; the gap is that which ended after it."""
    log = read_log(log_file)
    acks = tuple(a for a in log.acks if since_ns <= a.ns < until_ns)
    kinds = [kind for ns, kind, _port in log.errors if after_ns <= ns < until_ns]
    return ClientVerdict(
        acknowledged=len(acks),
        lost=missing(acks),
        duplicated=0,
        gap=longest_gap(ClientLog(acks, (), until_ns), after_ns),
        errors={kind: kinds.count(kind) for kind in sorted(set(kinds))},
    )


def arguments_of(argv: Sequence[str] | None) -> tuple[list[int], Log]:
    """(ports of the servers, how a line is logged)."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--log", required=True)
    parser.add_argument("--ports", required=True)
    arguments = parser.parse_args(argv)
    descriptor = os.open(arguments.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def log(line: str) -> None:
        os.write(descriptor, f"{line}\n".encode("ascii"))  # one call a line: whole lines, whenever we die

    return [int(p) for p in arguments.ports.split(",")], log
