"""Freezes the daemon at one record of a failover, lets a person take over by hand, thaws it, and looks.

    python tests/frozen_daemon_run.py --points 0-30

The frozen daemon stops between the record of an intent and its act (`after`), or between the act and its
record (`before`). What it does after it woke up must change nothing (S4, P7). One that stopped in the middle
of writing a record holds the journal's lock: then break-glass says so, and it is killed as the answer asks.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from crash_point_run import WRITES_AFTER, WRITES_BEFORE

from controller.cli.exits import ExitCode
from controller.demo import processes
from controller.demo.client import ClientProcess
from controller.demo.cluster import Cluster, ClusterOptions
from controller.demo.daemon import DaemonProcess
from controller.demo.estate import SERVICE, invoking_user
from controller.demo.faults import FAULTS
from controller.demo.servers import Server, best_server
from controller.demo.settings import Sizing
from controller.demo.verdict import judge
from controller.store.reader import read_events
from controller.store.verify import verify

KILLED_DAEMON = Path(__file__).with_name("killed_daemon.py")
# What a thawed daemon would do it does at once: its sessions, timers and open steps are all due.
AWAKE_S = 3.0
# A daemon may be frozen in the middle of a record: then its journal can't be had, and the answer says so.
HOLDS_LOCK = "resume it or `kill -9` it"


@dataclass(frozen=True, slots=True)
class FrozenResult:
    """settings: of every member, before and after the thawed daemon had its time."""

    when: str
    point: int | str
    froze: bool
    killed: bool
    record: str
    break_glass: int
    said: str
    unchanged: bool
    wrote: int
    lost: int
    verified: bool

    @property
    def good(self) -> bool:
        return self.unchanged and self.wrote == 0 and self.lost == 0 and self.verified

    def line(self) -> str:
        return (
            f"{'ok' if self.good else 'BAD':3} {self.when:6} {self.point!s:>3} {self.record:34} "
            f"break-glass {self.break_glass} unchanged {self.unchanged} records {self.wrote} lost {self.lost}"
            + (" (held the lock: killed)" if self.killed else "")
        )


def run_frozen(server: Server, when: str, point: int | str) -> FrozenResult:
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster(server, ClusterOptions(sizing=Sizing(fsync=False))))
        daemon = DaemonProcess(cluster)
        stack.callback(daemon.kill)
        daemon.program = [sys.executable, str(KILLED_DAEMON), f"freeze-{when}", str(point)]
        daemon.start()
        client = ClientProcess(cluster, cluster.base / "client.log")
        stack.callback(client.stop)
        client.wait_writes(WRITES_BEFORE)
        at_ns = time.monotonic_ns()
        FAULTS["crash"].inject(cluster)
        froze = processes.wait_until(
            lambda: processes.stopped_by_signal(daemon.pid), timeout_s=20, poll_s=0.02
        )
        record = read_events(daemon.state_dir)[-1]
        code, said = _break_glass(daemon) if froze else (0, "")
        killed = code == ExitCode.HELD and HOLDS_LOCK in said
        if killed:  # it stopped in the middle of a record; the answer says what to do: resume it or kill it
            daemon.kill()
            code, said = _break_glass(daemon)
        if code:
            print(said, file=sys.stderr, flush=True)
        client.wait_writes(WRITES_AFTER, timeout_s=30)
        before, seq = _settings(cluster), read_events(daemon.state_dir)[-1].seq
        epoch = read_events(daemon.state_dir)[-1].epoch
        if froze and not killed:
            os.kill(daemon.pid, signal.SIGCONT)
        time.sleep(AWAKE_S)
        later = [e for e in read_events(daemon.state_dir, since_seq=seq) if e.epoch < epoch]
        after = _settings(cluster)
        client.wait_writes(WRITES_AFTER)
        survivor = cluster.current_primary()
        verdict = judge(client.stop(), survivor.dsn("app"), after_ns=at_ns) if survivor else None
        return FrozenResult(
            when=when,
            point=point,
            froze=froze,
            killed=killed,
            record=f"{record.type} {record.data.get('step', '')}".strip(),
            break_glass=code,
            said=said,
            unchanged=before == after,
            wrote=len(later),
            lost=verdict.lost if verdict else -1,
            verified=verify(daemon.state_dir).ok,
        )


def _break_glass(daemon: DaemonProcess) -> tuple[int, str]:
    command = [
        *(sys.executable, "-m", "controller.cli.main", "failover", SERVICE, "--no-daemon", "--take-over"),
        *("-c", str(daemon.config), "--person", invoking_user(), "--reason", "the daemon is frozen"),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, cwd=KILLED_DAEMON.parents[1]
    )
    return done.returncode, done.stdout + done.stderr


def _settings(cluster: Cluster) -> dict[str, object]:
    """What a controller changes: whom a member follows, whom it waits for, and whether it is primary."""
    seen: dict[str, object] = {}
    for node in cluster.nodes:
        if node.ready():
            seen[node.name] = node.query(
                "SELECT pg_is_in_recovery(), current_setting('primary_conninfo'),"
                " current_setting('synchronous_standby_names'),"
                " current_setting('default_transaction_read_only')"
            )
    return seen


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", default="0-30")
    parser.add_argument("--when", choices=["before", "after", "both"], default="after")
    arguments = parser.parse_args()
    first, _, last = arguments.points.partition("-")
    server, bad, count = best_server(), 0, 0
    for when in ("after", "before") if arguments.when == "both" else (arguments.when,):
        for point in range(int(first), int(last or first) + 1):
            result = run_frozen(server, when, point)
            if not result.froze:
                break
            count += 1
            bad += not result.good
            print(result.line(), flush=True)
            if not result.good:
                print(result.said, flush=True)
    print(f"{count} instants, {bad} bad")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
