"""What each step of a failover costs: the shipped runbook's actions, one after the other, on real servers.

Kills the primary and runs the actions at once, without detection and without the engine's journal.

    python bench/failover_steps.py --runs 5

Compare with bench/floor.py, which does the same without locks, looks, proof and fence.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from controller.demo.client import ClientProcess
from controller.demo.cluster import Cluster, ClusterOptions
from controller.demo.servers import best_server
from controller.demo.settings import Sizing
from controller.demo.verdict import judge
from runbooks.actions.base import Action, ActionOptions
from runbooks.actions.postgresql.catch_up import CatchUp
from runbooks.actions.postgresql.detach import Detach
from runbooks.actions.postgresql.last_look import LastLook, LastLookOptions
from runbooks.actions.postgresql.lock import Lock, LockOptions
from runbooks.actions.postgresql.promote import Promote
from runbooks.actions.postgresql.prove import Prove, ProveOptions
from runbooks.actions.postgresql.repoint import Repoint
from runbooks.actions.postgresql.set_names import SetNames
from tests.action_bench import ActionBench

NONE = ActionOptions()
# Steps of one tuple run at the same time, as in runbooks/library/postgresql-failover.yaml.
STEPS: tuple[tuple[tuple[str, Action], ...], ...] = (
    (("lock", Lock(LockOptions())), ("last_look", LastLook(LastLookOptions(patience_ms=150)))),
    (("detach", Detach(NONE)),),
    (("prove", Prove(ProveOptions())),),
    (("catch_up", CatchUp(NONE)),),
    (
        ("names", SetNames(NONE)),
        ("final_look", LastLook(LastLookOptions(patience_ms=100, still_detached=True))),
    ),
    (("promote", Promote(NONE)), ("repoint", Repoint(NONE))),
)


async def one_run(cluster: Cluster) -> dict[str, float]:
    client = ClientProcess(cluster, cluster.base / "client.log")
    client.wait_writes(200)
    async with ActionBench(cluster) as bench:
        at_ns = time.monotonic_ns()
        cluster.node("pg1").kill_tree()
        for group in STEPS:
            await asyncio.gather(*(bench.ok(step, action) for step, action in group))
        took = dict(bench.took_ms)
    client.wait_writes(50)
    verdict = judge(client.stop(), cluster.node("pg2").dsn("app"), after_ns=at_ns)
    took["gap"] = (verdict.gap_s or 0.0) * 1000
    took["lost"] = verdict.lost
    return took


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--version", type=int, default=18, help="PostgreSQL's major")
    parser.add_argument("--wal-segment-mb", type=int, default=16)
    arguments = parser.parse_args()
    server = best_server(arguments.version, required=True)
    options = ClusterOptions(sizing=Sizing(wal_segment_mb=arguments.wal_segment_mb))
    runs: list[dict[str, float]] = []
    for _ in range(arguments.runs):
        with Cluster(server, options) as cluster:
            runs.append(asyncio.run(one_run(cluster)))
        print("  ".join(f"{step} {ms:.0f}" for step, ms in runs[-1].items()), flush=True)
    print("median ms")
    for step in runs[0]:
        values = [run[step] for run in runs]
        print(f"  {step:<12} {statistics.median(values):7.1f}   worst {max(values):7.1f}")
    return 1 if any(run["lost"] for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
