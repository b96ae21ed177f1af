"""What is no failure must not be failed over: N of each, on a real cluster under a writing client.

    python bench/false_alarms.py --times 20

One line a kind: how often it was made, how many failovers it caused, which diagnoses named it, and the
longest pause that the client felt. The exit code is 1 if there was a failover.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import ExitStack

from controller.demo.client import ClientOptions, ClientProcess
from controller.demo.cluster import Cluster
from controller.demo.daemon import DaemonProcess
from controller.demo.faults import FAULTS
from controller.demo.servers import best_server
from controller.demo.verdict import judge
from controller.store.reader import read_events
from model import events as ev

KINDS = ("restart", "backend-kill", "saturate", "hba-reject", "idle-kill", "idle-kill-tcp", "silence")
# A fault that only its healing ends lasts this long: past the silence that the profile bears.
LASTS_S = 3.0
HEALTHY_TIMEOUT_S = 30.0
# A whole round of the probes, so that what is seen is seen after the fault.
ROUND_S = 0.7


def healthy(status: dict[str, object]) -> bool:
    return status.get("code") == "Healthy" and status.get("health") == "up"


def one_kind(kind: str, times: int, profile: str) -> dict[str, object]:
    fault = FAULTS[kind]
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster(best_server()))
        daemon = DaemonProcess(cluster, profile=profile)
        stack.callback(daemon.stop)
        daemon.start()
        client = ClientProcess(cluster, cluster.base / "client.log", ClientOptions(writers=4))
        stack.callback(client.stop)
        client.wait_writes(100)
        began_seq, began_ns = read_events(daemon.state_dir)[-1].seq, time.monotonic_ns()
        for _ in range(times):
            injected = fault.inject(cluster)
            injected.finish()
            if kind in ("saturate", "hba-reject"):
                time.sleep(LASTS_S)
            injected.heal()
            client.wait_writes(50)
            time.sleep(ROUND_S)
            daemon.wait(healthy, HEALTHY_TIMEOUT_S, "see it healthy again")
        client.wait_writes(10)
        events = read_events(daemon.state_dir, since_seq=began_seq)
        primary = cluster.current_primary()
        verdict = judge(client.stop(), cluster.node("pg1").dsn("app"), after_ns=began_ns)
        codes: dict[str, int] = {}
        for event in events:
            if event.type == ev.DIAGNOSIS_CHANGED and event.data["code"] != "Healthy":
                codes[str(event.data["code"])] = codes.get(str(event.data["code"]), 0) + 1
        healths = [e.data["why"] for e in events if e.type == ev.HEALTH_CHANGED and e.data["to"] != "up"]
        return {
            "kind": kind,
            "times": times,
            "failovers": sum(e.type == ev.EXECUTION_OPENED for e in events),
            "still_primary": primary is not None and primary.name == "pg1",
            "diagnoses": codes,
            "health_changes": len(healths),
            "lost": verdict.lost,
            "longest_gap_s": None if verdict.gap_s is None else round(verdict.gap_s, 3),
        }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--profile", default="balanced")
    parser.add_argument("--kinds", default=",".join(KINDS))
    arguments = parser.parse_args()
    results = []
    for kind in arguments.kinds.split(","):
        unsupported = FAULTS[kind].unsupported()
        if unsupported:
            print(f"{kind}: left out: {unsupported}", flush=True)
            continue
        results.append(one_kind(kind, arguments.times, arguments.profile))
        print(json.dumps(results[-1]), flush=True)
    bad = sum(int(str(r["failovers"])) for r in results)
    print(f"{sum(int(str(r['times'])) for r in results)} times no failure, {bad} failovers")
    return 1 if bad or any(r["lost"] for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
