"""The floor: how fast can a failover be, if the script knows of the fault the moment it happens?

Kills the primary of a real three-node cluster and at once, without detection, proof or fence beyond the
standbys' own, detaches both standbys, promotes pg2 and re-points pg3. Prints the client's write gap.

    python bench/floor.py --runs 5

Most of it is the size of a WAL segment: promotion copies one and syncs it to disk, and a standby that
follows a new primary streams the current one again from its start. Compare `--wal-segment-mb 16`
(PostgreSQL's default) with 1.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time

import psycopg
from psycopg import sql

from controller.demo.client import ClientProcess
from controller.demo.cluster import Cluster, ClusterOptions
from controller.demo.guard import GuardWatch
from controller.demo.node import Node
from controller.demo.servers import Server, best_server
from controller.demo.settings import Sizing, conninfo
from controller.demo.verdict import judge, read_log

WRITES_BEFORE = 200
WRITES_AFTER = 100


def connect(node: Node) -> psycopg.Connection:
    return psycopg.connect(node.dsn(), autocommit=True)


def alter(connection: psycopg.Connection, name: str, value: str) -> None:
    connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
    connection.execute("SELECT pg_reload_conf()")


def wait_detached(connection: psycopg.Connection) -> None:
    """Until its receiver is gone: from then on it confirms nothing to the old primary (P5)."""
    while (
        connection.execute("SELECT FROM pg_stat_activity WHERE backend_type = 'walreceiver'").fetchone()
        is not None
    ):
        time.sleep(0.001)


def fail_over(cluster: Cluster, candidate: psycopg.Connection, other: psycopg.Connection) -> None:
    """pg2 becomes the primary, pg3 its only synchronous standby."""
    for standby in (candidate, other):
        alter(standby, "primary_conninfo", "")
    for standby in (candidate, other):
        wait_detached(standby)
    alter(candidate, "synchronous_standby_names", "ANY 1 (pg3)")
    # Not pg_promote(true): it looks only every 100 ms whether the promotion is done.
    candidate.execute("SELECT pg_promote(false)")
    pg2, pg3 = cluster.node("pg2"), cluster.node("pg3")
    alter(
        other,
        "primary_conninfo",
        conninfo(port=pg2.port, passfile=pg3.passfile, application_name=pg3.name),
    )


def one_run(server: Server, options: ClusterOptions) -> dict[str, float | int]:
    with Cluster(server, options) as cluster:
        client = ClientProcess(cluster, cluster.base / "client.log")
        watch = GuardWatch(cluster)
        with connect(cluster.node("pg2")) as candidate, connect(cluster.node("pg3")) as other:
            client.wait_writes(WRITES_BEFORE)
            watch.start()
            at_ns = time.monotonic_ns()
            cluster.node("pg1").kill_tree()
            fail_over(cluster, candidate, other)
            script_s = (time.monotonic_ns() - at_ns) / 1e9
            client.wait_writes(WRITES_AFTER)
        client.stop()
        watch.stop()
        seen = judge(client.log, cluster.node("pg2").dsn("app"), after_ns=at_ns)
        guard = watch.verdict(read_log(client.log).acks, since_ns=at_ns)
        return {
            "gap_s": round(seen.gap_s or 0.0, 3),
            "script_s": round(script_s, 3),
            "acknowledged": seen.acknowledged,
            "lost": seen.lost,
            "duplicated": seen.duplicated,
            "unguarded": guard.unguarded,
            "undecided": guard.undecided,
        }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--version", type=int, default=18, help="PostgreSQL's major")
    parser.add_argument("--wal-segment-mb", type=int, default=16)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    server = best_server(arguments.version, required=True)
    options = ClusterOptions(sizing=Sizing(wal_segment_mb=arguments.wal_segment_mb))
    runs = []
    for _ in range(arguments.runs):
        runs.append(one_run(server, options))
        if not arguments.json:
            print(runs[-1], flush=True)
    gaps = [run["gap_s"] for run in runs]
    result = {"median_gap_s": statistics.median(gaps), "worst_gap_s": max(gaps), "runs": runs}
    print(json.dumps(result) if arguments.json else f"client's gap: median {result['median_gap_s']:.3f} s")
    return 1 if any(run["lost"] for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
