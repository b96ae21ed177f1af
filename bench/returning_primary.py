"""For how long does a primary that crashed and was restarted in place take read-write sessions?

    python bench/returning_primary.py --runs 5

It is asked for a session all the time, as by a client that knows only its address. Prints per run, in seconds
after the crash: `reachable` (it first answered in any way), `refuses` (from then on no read-write session)
and the difference, which is what a client could be misled for.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from controller.demo.cluster import Cluster
from controller.demo.scenario import RunOptions, RunResult, Scenario
from controller.demo.servers import best_server
from controller.demo.wire import Host, Wire, WireError

ASK_S = 0.01
DEADLINE_S = 0.5


@dataclass
class Watcher:
    """Asks one node. `answers`: (seconds after the first failure, took a read-write session)."""

    answers: list[tuple[float, bool]] = field(default_factory=list)
    crashed_s: float | None = None
    end: threading.Event = field(default_factory=threading.Event)

    def watch(self, host: Host) -> None:
        while not self.end.wait(ASK_S):
            now_s = time.monotonic()
            try:
                Wire.connect(host, now_s + DEADLINE_S).close()
            except WireError as error:
                if error.kind in ("refused", "closed", "timeout"):
                    self.crashed_s = self.crashed_s or now_s
                elif self.crashed_s is not None:
                    self.answers.append((now_s - self.crashed_s, False))
            else:
                if self.crashed_s is not None:
                    self.answers.append((now_s - self.crashed_s, True))


class WatchedScenario(Scenario):
    """The demo's run, with a watcher on the old primary."""

    watcher: Watcher

    def _incident(self, cluster: Cluster, *rest: object) -> RunResult:
        self.watcher = Watcher()
        port = cluster.node("pg1").port
        host = Host(port, f"{cluster.app_dsn('pg1')} sslmode=disable gssencmode=disable")
        thread = threading.Thread(target=self.watcher.watch, args=(host,), daemon=True)
        thread.start()
        try:
            return super()._incident(cluster, *rest)  # type: ignore[arg-type]
        finally:
            self.watcher.end.set()
            thread.join(2)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    misled = []
    for number in range(arguments.runs):
        with tempfile.TemporaryDirectory() as reports:
            scenario = WatchedScenario(
                best_server(), RunOptions(fault="crash-restart"), lambda _line: None, Path(reports)
            )
            result = scenario.run()
        answers = scenario.watcher.answers
        reachable = answers[0][0] if answers else None
        took = [at for at, read_write in answers if read_write]
        if not result.failover:
            print(f"run {number + 1}: not failed over, it recovered by itself; lost {result.client.lost}")
            continue
        span = 0.0 if reachable is None or not took else took[-1] - reachable
        misled.append(span)
        last = f"{took[-1]:.3f}" if took else "at once"
        print(
            f"run {number + 1}: reachable {reachable if reachable is None else round(reachable, 3)} s, "
            f"refuses {last}, misled {span:.3f} s, lost {result.client.lost}",
            flush=True,
        )
    if misled:
        print(f"misled: median {statistics.median(misled):.3f} s, worst {max(misled):.3f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
