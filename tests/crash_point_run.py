"""Kills the daemon at one record of a failover, starts it again, and says how it ended.

    python tests/crash_point_run.py --all          every record, after and before it is on disk
    python tests/crash_point_run.py --points 0-5   some of them

One line a point; the exit code is 1 if any of them lost a write, did a step twice or ended in no named state.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from controller.demo import processes
from controller.demo.client import ClientProcess
from controller.demo.cluster import Cluster, ClusterOptions
from controller.demo.daemon import DaemonProcess
from controller.demo.faults import FAULTS
from controller.demo.servers import Server, best_server
from controller.demo.settings import Sizing
from controller.demo.verdict import judge
from controller.executions import fold_executions
from controller.store.reader import read_events
from controller.store.verify import verify
from model import events as ev
from model.events import Event

KILLED_DAEMON = Path(__file__).with_name("killed_daemon.py")
WRITES_BEFORE = 50
SETTLE_TIMEOUT_S = 40.0
# Restarted without having seen how the primary went, the daemon waits for the grace of a restart.
WRITES_AFTER = 50


@dataclass(frozen=True, slots=True)
class PointResult:
    """died: the daemon reached the point. gap_s: the client's. states: of every execution, in order."""

    when: str
    point: int | str
    died: bool
    record: str
    states: tuple[str, ...]
    closed: bool
    twice: tuple[str, ...]
    lost: int
    verified: bool
    gap_s: float | None

    @property
    def good(self) -> bool:
        named = self.closed or (bool(self.states) and self.states[-1] in ("undone", "failed", "unknown"))
        return named and not self.twice and self.lost == 0 and self.verified

    def line(self) -> str:
        gap = "-" if self.gap_s is None else f"{self.gap_s:.2f} s"
        return (
            f"{'ok' if self.good else 'BAD':3} {self.when:6} {self.point!s:>3} {self.record:34} "
            f"{' → '.join(self.states) or 'none':28} closed {self.closed} lost {self.lost} gap {gap}"
            + (f" TWICE {self.twice}" if self.twice else "")
        )


def run_point(server: Server, when: str, point: int | str, *, fault: str = "crash") -> PointResult:
    """One failover, killed at `point`: a number (0 is the opening of the incident) or a record's name."""
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster(server, ClusterOptions(sizing=Sizing(fsync=False))))
        daemon = DaemonProcess(cluster)
        stack.callback(daemon.stop)
        whole = list(daemon.program)
        daemon.program = [sys.executable, str(KILLED_DAEMON), when, str(point)]
        daemon.start()
        client = ClientProcess(cluster, cluster.base / "client.log")
        stack.callback(client.stop)
        client.wait_writes(WRITES_BEFORE)
        at_ns = time.monotonic_ns()
        FAULTS[fault].inject(cluster)
        died = _wait_death(daemon)
        last = read_events(daemon.state_dir)[-1]
        if died:
            daemon.program = whole
            daemon.start(wait=False)
        closed = processes.wait_until(
            lambda: _settled(read_events(daemon.state_dir)), timeout_s=SETTLE_TIMEOUT_S, poll_s=0.1
        )
        if closed:
            client.wait_writes(WRITES_AFTER, timeout_s=20)
        events = read_events(daemon.state_dir)
        survivor = cluster.current_primary()
        verdict = judge(client.stop(), survivor.dsn("app"), after_ns=at_ns) if survivor else None
        daemon.stop()
        return PointResult(
            when=when,
            point=point,
            died=died,
            record=f"{last.type} {last.data.get('step', '')}".strip(),
            states=tuple(e.state for e in fold_executions(events).values()),
            closed=closed,
            twice=tuple(done_twice(events)),
            lost=verdict.lost if verdict else -1,
            verified=verify(daemon.state_dir).ok,
            gap_s=verdict.gap_s if verdict else None,
        )


def done_twice(events: Sequence[Event]) -> list[str]:
    """Steps that were begun again after their success was on record. Sessions and locks (`lock`) die with the
    process and are taken again: they are no effect."""
    succeeded: set[tuple[str | None, str]] = set()
    twice = []
    for event in events:
        key = (event.execution, str(event.data.get("step")))
        if event.type == ev.STEP_RESULT and event.data.get("outcome") == "succeeded":
            succeeded.add(key)
        elif event.type == ev.STEP_INTENT and key in succeeded and key[1] != "lock":
            twice.append("/".join(map(str, key)))
    return twice


def _wait_death(daemon: DaemonProcess) -> bool:
    """True when it died; False when the incident was closed first: there is no such point."""
    processes.wait_until(
        lambda: daemon.ended() is not None or _settled(read_events(daemon.state_dir)),
        timeout_s=SETTLE_TIMEOUT_S,
        poll_s=0.05,
    )
    return daemon.ended() is not None


def _settled(events: Iterable[Event]) -> bool:
    return any(e.type == ev.INCIDENT_CLOSED for e in events)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--points", default="0-5")
    parser.add_argument("--when", choices=["before", "after", "both"], default="both")
    arguments = parser.parse_args()
    first, _, last = arguments.points.partition("-")
    points = range(1000) if arguments.all else range(int(first), int(last or first) + 1)
    server, bad, count = best_server(), 0, 0
    for when in ("after", "before") if arguments.when == "both" else (arguments.when,):
        for point in points:
            result = run_point(server, when, point)
            if not result.died:
                break
            count += 1
            bad += not result.good
            print(result.line(), flush=True)
    print(f"{count} crash points, {bad} bad")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
