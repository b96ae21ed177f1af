"""The demo's client: it commits all the time, in a process of its own, and logs what was acknowledged.

It behaves as an application with a multi-host DSN and `target_session_attrs=read-write`: after any error it
closes the session and tries the hosts in order, at once. Deadlines are its own; it never cancels.

Log, one line an event, times in ns of CLOCK_MONOTONIC (the same for every process of the host):
`C ns writer port` session opened, `A ns writer n port` row n acknowledged, `E ns writer kind port` error (see
wire.WireError), `Q ns` the end. A row whose outcome is not known is not sent again: the next has a new n.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from controller.demo import processes
from controller.demo.cluster import Cluster
from controller.demo.settings import APP_DATABASE, APP_ROLE, APP_TABLE, LOOPBACK
from controller.demo.wire import Host, Wire, WireError
from model.errors import BcmError

DEADLINE_S = 1.0  # for a connect and for a statement, as the bars of the project are stated
PACE_S = 0.002  # between two commits: leaves a two-core machine to the servers
ROUND_WAIT_S = 0.01  # between two rounds through all hosts
FIRST_WRITE_TIMEOUT_S = 10.0
_INSERT = f"INSERT INTO {APP_TABLE} (writer, n, written) VALUES ($1, $2, clock_timestamp())".encode()


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """pace_s: pause between two commits; deadline_s: of a connect and of a statement. through: port of a load
    balancer, which is the only host that it knows then."""

    writers: int = 1
    pace_s: float = PACE_S
    deadline_s: float = DEADLINE_S
    through: int | None = None


class ClientProcess:
    """The handle of a running client. It ends when `stop` is called or this process dies."""

    def __init__(self, cluster: Cluster, log: Path, options: ClientOptions | None = None) -> None:
        options = options or ClientOptions()
        self.log = log
        log.touch()
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "controller.demo.client"),
                *("--log", str(log), "--passfile", str(cluster.app_passfile)),
                *("--ports", ",".join(str(p) for p in _ports(cluster, options))),
                *(("--balanced",) if options.through is not None else ()),
                *("--writers", str(options.writers), "--pace-s", str(options.pace_s)),
                *("--deadline-s", str(options.deadline_s)),
            ],
            stdin=subprocess.PIPE,
            start_new_session=True,
            cwd=Path(__file__).resolve().parents[2],
            env={"PATH": os.defpath},
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def acknowledged(self) -> int:
        """So far."""
        return self.log.read_bytes().count(b"A ")

    def wait_writes(self, more: int = 1, timeout_s: float = FIRST_WRITE_TIMEOUT_S) -> None:
        """Until `more` writes are acknowledged from now on. Raises BcmError if they are not in time."""
        target = self.acknowledged() + more
        if not processes.wait_until(lambda: self.acknowledged() >= target, timeout_s=timeout_s):
            raise BcmError(
                f"the client got {more} writes not acknowledged within {timeout_s:g} s; its last lines:\n"
                + "\n".join(self.log.read_text(encoding="ascii").splitlines()[-5:])
            )

    def stop(self) -> Path:
        """End it, after at most its deadline. Returns the log. Idempotent."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        self._process.wait(timeout=10 + 2 * DEADLINE_S)
        return self.log


def _ports(cluster: Cluster, options: ClientOptions) -> list[int]:
    return [node.port for node in cluster.nodes] if options.through is None else [options.through]


class _Writer(threading.Thread):
    """One session at a time, one row a transaction."""

    def __init__(
        self,
        number: int,
        hosts: Sequence[Host],
        options: ClientOptions,
        log: Callable[[str], None],
        end: threading.Event,
        *,
        balanced: bool,
    ) -> None:
        super().__init__(name=f"writer-{number}", daemon=True)
        self._number = number
        self._hosts = hosts
        self._options = options
        self._log = log
        self._end = end
        self._balanced = balanced
        self._n = 0

    def run(self) -> None:
        """After a session that worked the hosts are tried from the first again, at once."""
        while not self._end.is_set():
            if not any(self._use(host) for host in self._hosts):
                self._end.wait(ROUND_WAIT_S)

    def _use(self, host: Host) -> bool:
        """Write to this host for as long as it works. Was anything acknowledged?"""
        wire: Wire | None = None
        worked = False
        try:
            wire = Wire.connect(host, time.monotonic() + self._options.deadline_s)
            port = host.port if not self._balanced else _server_port(wire, self._options)
            self._log(f"C {time.monotonic_ns()} {self._number} {port}")
            while not self._end.is_set():
                self._n += 1
                params = (b"%d" % self._number, b"%d" % self._n)
                wire.execute(_INSERT, params, time.monotonic() + self._options.deadline_s)
                worked = True
                self._log(f"A {time.monotonic_ns()} {self._number} {self._n} {port}")
                self._end.wait(self._options.pace_s)
        except WireError as error:
            self._log(f"E {time.monotonic_ns()} {self._number} {error.kind} {host.port}")
        finally:
            if wire is not None:
                wire.close()
        return worked


def _server_port(wire: Wire, options: ClientOptions) -> int:
    """Of the server behind the load balancer. Raises WireError."""
    result = wire.execute(b"SELECT inet_server_port()", (), time.monotonic() + options.deadline_s)
    return int(result.get_value(0, 0) or b"0")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs until standard input is closed."""
    parser = argparse.ArgumentParser(prog="controller.demo.client")
    parser.add_argument("--log", required=True)
    parser.add_argument("--passfile", required=True)
    parser.add_argument("--ports", required=True)
    parser.add_argument("--balanced", action="store_true")
    parser.add_argument("--writers", type=int, default=1)
    parser.add_argument("--pace-s", type=float, default=PACE_S)
    parser.add_argument("--deadline-s", type=float, default=DEADLINE_S)
    arguments = parser.parse_args(argv)
    descriptor = os.open(arguments.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def log(line: str) -> None:
        os.write(descriptor, f"{line}\n".encode("ascii"))  # one call a line: whole lines, whenever we die

    common = (
        f"host={LOOPBACK} dbname={APP_DATABASE} user={APP_ROLE} passfile={arguments.passfile} "
        "sslmode=disable gssencmode=disable target_session_attrs=read-write application_name=demo-client"
    )
    hosts = [Host(int(port), f"{common} port={port}") for port in arguments.ports.split(",")]
    options = ClientOptions(arguments.writers, arguments.pace_s, arguments.deadline_s)
    end = threading.Event()
    writers = [
        _Writer(number, hosts, options, log, end, balanced=arguments.balanced)
        for number in range(options.writers)
    ]
    for writer in writers:
        writer.start()
    sys.stdin.read()
    end.set()
    for writer in writers:
        writer.join(2 * options.deadline_s + 1)
    log(f"Q {time.monotonic_ns()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
