"""Our probes beside Debian's prometheus-blackbox-exporter: the same targets, at the same rate, in one run.

    make bench-probes                       (about four minutes)
    python -m bench.probes_side_by_side [--quick] [--json] [--rate 1000]

TCP and HTTP open a new connection for each check; ICMP pings. All targets are addresses of 127/8, served by a
process of their own, whose CPU is not counted. What is counted is all of one process, from /proc/PID/stat:
on our side scheduler, probe, observation and detection's fold; on the exporter's side the probe and the
answer to the scrape, with GOMAXPROCS=1. The two take turns, and the median of the rounds counts.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench import probes_blackbox as blackbox
from bench.probes_report import Bar, print_report

TYPES = ("tcp", "http", "icmp")
AT_MOST_OF_BLACKBOX = {"tcp": 0.5, "http": 1.0, "icmp": 0.5}
TARGETS = 1000
DELAY_TARGETS = 2000
MOST_DELAY_MS = 50.0
MOST_BYTES_PER_TARGET = 20 * 1024
TEN_TIMES_COST = 11.0
SATURATED = {
    "targets": 250,
    "interval_s": 0.02,
}  # 12,500 checks a second are asked for: more than one core does
CALM_S = 5.0  # interval where one core cannot ask every target each second
CORE_SHARE = 0.6  # of a core that 1 s intervals may take, else the rest of the machine would be measured

Ports = tuple[int, int]
Result = dict[str, Any]


@contextmanager
def peers() -> Iterator[Ports]:
    """The ports of the target servers."""
    command = [sys.executable, "-m", "bench.probes_peers"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            first, second = json.loads(process.stdout.readline())
            yield first, second
        finally:
            process.kill()


def ours(type_: str, ports: Ports, *, seconds: float, **order: Any) -> Result:
    """One measurement in a fresh process of our own."""
    given = {"type": type_, "ports": ports, "seconds": seconds, **order}
    command = [sys.executable, "-m", "bench.probes_ours", json.dumps(given)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=120)
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def theirs(type_: str, ports: Ports, *, seconds: float, rate: float) -> Result:
    with blackbox.exporter() as (pid, port):
        return asyncio.run(
            blackbox.measure(pid, port, type_, targets=TARGETS, rate=rate, seconds=seconds, peers=ports)
        )


def median(results: list[Result]) -> Result:
    """The one in the middle by cost, so that its figures belong together."""
    return sorted(results, key=lambda result: result["cpu_us_per_check"])[len(results) // 2]


def side_by_side(ports: Ports, rate: float, rounds: int, seconds: float) -> dict[str, Result]:
    found: dict[str, Result] = {}
    for type_ in TYPES:
        pairs = [
            (
                ours(type_, ports, seconds=seconds, targets=TARGETS, interval_s=TARGETS / rate),
                theirs(type_, ports, seconds=seconds, rate=rate),
            )
            for _ in range(rounds)
        ]
        ratios = [mine["cpu_us_per_check"] / other["cpu_us_per_check"] for mine, other in pairs]
        found[type_] = {
            "ours": median([mine for mine, _other in pairs]),
            "blackbox": median([other for _mine, other in pairs]),
            "ratio": round(statistics.median(ratios), 3),
            "ratios": [round(ratio, 3) for ratio in ratios],
        }
    return found


def saturated(ports: Ports, seconds: float) -> dict[str, Result]:
    return {
        type_: {
            "ours": ours(type_, ports, seconds=seconds, **SATURATED),
            "blackbox": theirs(type_, ports, seconds=seconds, rate=0),
        }
        for type_ in TYPES
    }


def scaled(ports: Ports, us_per_check: float, seconds: float, *, quick: bool) -> list[Result]:
    """TCP at growing numbers of targets: every second where the machine allows it, else every five; and,
    unless it is to be quick, a thousand with the interval of ten thousand, for comparison."""
    found: list[Result] = []
    for targets in (100, 1000, 10_000):
        allowed = targets * us_per_check / 1e6 < CORE_SHARE
        calm = not quick and targets == 1000 and 10 * targets * us_per_check / 1e6 >= CORE_SHARE
        for interval_s in [1.0] * allowed + [CALM_S] * (calm or not allowed):
            length_s = seconds if quick else max(seconds, interval_s)
            result = ours("tcp", ports, seconds=length_s, targets=targets, interval_s=interval_s)
            found.append({"targets": targets, "interval_s": interval_s, **result})
    return found


def ten_times(scale: list[Result]) -> list[float]:
    """How much more CPU a second ten times the targets take, for each pair with the same interval."""

    def cores(result: Result) -> float:
        return float(result["cpu_s"]) / float(result["wall_s"])

    return [
        round(cores(many) / cores(few), 2)
        for few in scale
        for many in scale
        if many["targets"] == 10 * few["targets"] and many["interval_s"] == few["interval_s"]
    ]


def delayed(ports: Ports, rounds: int, seconds: float) -> Result:
    """By how much attempts begin late, and beside it the sleeps of another process: what the machine adds."""
    metronome = [sys.executable, "-m", "bench.probes_metronome"]
    found: list[Result] = []
    for _ in range(rounds):
        with subprocess.Popen(metronome, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            order = {"targets": DELAY_TARGETS, "interval_s": 1.0, "delays": True}
            delays = ours("tcp", ports, seconds=seconds, **order)["delay_ms"]
            machine = json.loads(process.communicate()[0])
        found.append({**delays, "machine": machine})
    return sorted(found, key=lambda delays: delays["p99"])[rounds // 2]


def bars(found: dict[str, Any]) -> list[Bar]:
    all_ = [
        Bar(f"{type_}: CPU per check, of blackbox_exporter's", found["same_rate"][type_]["ratio"], most)
        for type_, most in AT_MOST_OF_BLACKBOX.items()
    ]
    all_.append(
        Bar("p99 scheduling delay at 2,000 targets a second, ms", found["delay"]["p99"], MOST_DELAY_MS)
    )
    all_ += [Bar("CPU of ten times the targets", times, TEN_TIMES_COST) for times in found["ten_times"]]
    worst = max(result["bytes_per_target"] for result in found["scale"])
    all_.append(Bar("bytes a target", worst, MOST_BYTES_PER_TARGET))
    return all_


def run(*, quick: bool, rate: float) -> dict[str, Any]:
    rounds, seconds = (1, 1.5) if quick else (3, 5.0)
    found: dict[str, Any] = {"rate": rate, "rounds": rounds, "seconds": seconds, "cores": os.cpu_count()}
    with peers() as ports:
        found["same_rate"] = side_by_side(ports, rate, rounds, seconds)
        found["saturated"] = saturated(ports, 1.0 if quick else 5.0)
        us_per_check = found["same_rate"]["tcp"]["ours"]["cpu_us_per_check"]
        found["scale"] = scaled(ports, us_per_check, 2.0 if quick else 10.0, quick=quick)
        found["ten_times"] = ten_times(found["scale"])
        found["delay"] = delayed(ports, 1 if quick else 3, 2.0 if quick else 8.0)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one short round of each, under a minute")
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    parser.add_argument("--rate", type=float, default=1000.0, help="checks a second, for both")
    arguments = parser.parse_args()
    if shutil.which(blackbox.PROGRAM) is None:
        print(f"needs {blackbox.PROGRAM}: apt-get install {blackbox.PROGRAM}", file=sys.stderr)
        return 2
    with contextlib.suppress(KeyboardInterrupt):
        found = run(quick=arguments.quick, rate=arguments.rate)
        judged = bars(found)
        if arguments.json:
            print(json.dumps(found | {"bars": [bar.to_json() for bar in judged]}, indent=2))
        else:
            print_report(found, judged)
        return 0 if all(bar.held for bar in judged) else 1
    return 130


if __name__ == "__main__":
    sys.exit(main())
