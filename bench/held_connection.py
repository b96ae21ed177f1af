"""How long after the death of a TCP peer is it observed, and confirmed by fresh connections?

    python bench/held_connection.py [--runs 50] [--loop uvloop]

Each run starts a peer in a process of its own, holds a connection to it with the probe type `tcp`, kills it
with SIGKILL and waits for the observations. The probe's interval is 1 s, so that only the held connection can
tell in time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import statistics
import subprocess
import sys
import time
from typing import Any

import uvloop

from model.health import PROFILES
from model.observation import Failure, Observation
from model.ports import Secrets
from probes.base import ProbePorts
from probes.scheduler import Scheduler
from probes.tcp import TcpOptions, TcpProbe

PEER = """
import socket
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
kept = []
while True:
    kept.append(server.accept())
"""
PROFILE = PROFILES["balanced"]
INTERVAL_S = 1.0


class SystemClock:
    def monotonic_s(self) -> float:
        return time.monotonic()

    def wall_s(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class NoSecrets(Secrets):
    def get(self, reference: Any) -> str:
        raise LookupError(f"{reference}: a TCP probe has no secrets")


def start_peer() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", PEER], stdout=subprocess.PIPE, text=True)


async def one_run() -> tuple[float, float]:
    """Seconds from the kill to the observation, and to the refusal that confirms it."""
    peer = start_peer()
    seen: list[Observation] = []
    told = asyncio.Event()

    def on_observation(observation: Observation) -> None:
        seen.append(observation)
        told.set()

    async def until(failures: set[Failure | None]) -> float:
        while not any(observation.failure in failures for observation in seen):
            told.clear()
            await told.wait()
        return next(o.ended_s for o in seen if o.failure in failures)

    assert peer.stdout is not None
    port = int(peer.stdout.readline())
    clock = SystemClock()
    scheduler = Scheduler(clock, "bench", on_observation)
    options = TcpOptions(host="127.0.0.1", port=port, hold=True)
    probe = TcpProbe("bench/peer", options, ProbePorts(clock=clock, secrets=NoSecrets()))
    scheduler.add(probe.target, probe, PROFILE, INTERVAL_S)
    try:
        await until({None})
        await asyncio.sleep(0.1)  # the held connection is opened after the first success
        killed_s = time.monotonic()
        peer.send_signal(signal.SIGKILL)
        observed_s = await until({Failure.CLOSED})
        confirmed_s = await until({Failure.REFUSED})
    finally:
        await scheduler.aclose()
        peer.kill()
        peer.wait()
        peer.stdout.close()
    return observed_s - killed_s, confirmed_s - killed_s


async def all_runs(runs: int) -> list[tuple[float, float]]:
    return [await asyncio.wait_for(one_run(), 30) for _ in range(runs)]


def summary(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    shown = {"median_ms": statistics.median(ordered), "p95_ms": p95, "worst_ms": ordered[-1]}
    return {name: round(value * 1000, 2) for name, value in shown.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument(
        "--loop", choices=("asyncio", "uvloop"), default="uvloop", help="as the daemon, uvloop"
    )
    arguments = parser.parse_args()
    if arguments.loop == "uvloop":
        took = uvloop.run(all_runs(arguments.runs))
    else:
        took = asyncio.run(all_runs(arguments.runs))
    result = {
        "runs": arguments.runs,
        "loop": arguments.loop,
        "kill_to_observation": summary([observed for observed, _ in took]),
        "kill_to_refusal": summary([confirmed for _, confirmed in took]),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
