"""A process of this product that probes and judges, and says what it cost.

    python -m bench.probes_ours '{"type": "icmp", "targets": 100, "interval_s": 1, "seconds": 5, "ports": []}'

Scheduler, probe type, observation and detection's fold, on the loop of the daemon. Prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import uvloop

from bench.probes_cpu import TICK_S, cpu_s, loopback, resident_bytes
from controller.collector import calm_collector
from controller.detect import fold
from model.health import PROFILES, ProbeState
from model.observation import Observation, Outcome
from model.ports import Secrets
from probes.base import Probe, ProbePorts, Reading
from probes.registry import load_probe_type
from probes.scheduler import Scheduler
from probes.scheduler_timing import next_slot_s

PROFILE = PROFILES["balanced"]


class SystemClock:
    def monotonic_s(self) -> float:
        return time.monotonic()

    def wall_s(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class NoSecrets(Secrets):
    def get(self, reference: Any) -> str:
        raise LookupError(f"{reference}: these probes have no secrets")


@dataclass
class Judge:
    """What detection makes of all that is seen, and how much of it was a success."""

    states: dict[str, ProbeState] = field(default_factory=dict)
    succeeded: int = 0
    failed: int = 0
    others: dict[str, int] = field(default_factory=dict)

    def __call__(self, seen: Observation) -> None:
        state = self.states.get(seen.target) or ProbeState(seen.target, seen.probe)
        self.states[seen.target] = fold(state, seen, PROFILE)
        if seen.outcome is Outcome.SUCCEEDED:
            self.succeeded += 1
        else:
            self.failed += 1
            kind = f"{seen.failure}: {seen.detail}"[:60]
            self.others[kind] = self.others.get(kind, 0) + 1


def options(type_: str, number: int, ports: tuple[int, int]) -> dict[str, Any]:
    host = loopback(number)
    match type_:
        case "tcp":
            return {"host": host, "port": ports[0]}
        case "http":
            return {"url": f"http://{host}:{ports[1]}/"}
        case _:
            return {"host": host}


def timed(kind: type[Probe], interval_s: float, delays_s: list[float]) -> type[Probe]:
    """The same type; the start of each attempt is compared with the time that its series gives."""

    class Timed(kind):  # type: ignore[valid-type,misc]
        last_s = 0.0

        async def check(self) -> Reading:
            now_s = time.monotonic()
            if self.last_s:
                due_s = next_slot_s(f"{self.target}/{self.type}", self.last_s, interval_s)
                delays_s.append(max(0.0, now_s - due_s))
            self.last_s = now_s
            return await super().check()  # type: ignore[no-any-return]

    return Timed


async def measure(order: dict[str, Any]) -> dict[str, Any]:
    pid, judge, clock = os.getpid(), Judge(), SystemClock()
    interval_s = float(order["interval_s"])
    kind = load_probe_type(order["type"])
    delays_s: list[float] = []
    if order.get("delays"):
        kind = timed(kind, interval_s, delays_s)
    scheduler = Scheduler(clock, "bench", judge)
    before = resident_bytes(pid)
    ports = ProbePorts(clock=clock, secrets=NoSecrets())
    for number in range(order["targets"]):
        given = kind.Options(**options(order["type"], number, tuple(order["ports"])))
        scheduler.add(f"probe/{number}", kind(f"probe/{number}", given, ports), PROFILE, interval_s)
    await asyncio.sleep(interval_s + 0.5)  # each was asked once
    delays_s.clear()
    judge.others.clear()
    judge.succeeded = judge.failed = 0
    began_s, began_cpu_s = time.monotonic(), cpu_s(pid)
    await asyncio.sleep(order["seconds"])
    wall_s, used_s = time.monotonic() - began_s, max(TICK_S, cpu_s(pid) - began_cpu_s)
    checks, succeeded = judge.succeeded + judge.failed, judge.succeeded
    memory = resident_bytes(pid) - before
    await scheduler.aclose()
    return {
        "checks": checks,
        "wall_s": wall_s,
        "cpu_s": used_s,
        "cpu_us_per_check": 1e6 * used_s / max(1, checks),
        "checks_per_core_s": succeeded / used_s,
        "bytes_per_target": memory // order["targets"],
        "not_succeeded": judge.others,
        "delay_ms": _percentiles(delays_s),
    }


def _percentiles(delays_s: list[float]) -> dict[str, float]:
    if not delays_s:
        return {}
    ordered = sorted(delays_s)
    return {f"p{p}": round(1000 * ordered[len(ordered) * p // 100], 3) for p in (50, 99)}


if __name__ == "__main__":
    calm_collector()  # as the daemon does
    print(json.dumps(uvloop.run(measure(json.loads(sys.argv[1])))))
