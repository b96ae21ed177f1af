"""The journal's cost: append latency beside the bare floor of the disk, measured in the same run.

    python bench/journal.py --runs 2000 --dir /var/tmp

`floor`: 4 KiB written in place and synced, which no journal on this disk can beat. `append`: one record at
a time; `anchored`: with its anchor synced too, as before each changing step; `group`: 64 appends at once,
the time until all are on disk.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from controller.store.sqlite import SqliteStore
from controller.store.verify import verify

DATA = {
    "step": "promote",
    "action": "pg.promote",
    "attempt": 1,
    "changing": True,
    "inputs": {"text": "x" * 200},
}


class Clock:
    def monotonic_s(self) -> float:
        return time.monotonic()

    def wall_s(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def summary(taken_ns: list[int]) -> dict[str, int]:
    """Microseconds."""
    ordered = sorted(taken_ns)

    def rank(share: float) -> int:
        return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)] / 1000)

    return {"median_us": round(statistics.median(ordered) / 1000), "p95_us": rank(0.95), "p99_us": rank(0.99)}


def floor(directory: Path, runs: int) -> list[int]:
    path = directory / "floor"
    block = b"x" * 4096
    path.write_bytes(block * 400)
    descriptor = os.open(path, os.O_RDWR)
    os.fsync(descriptor)
    taken = []
    for run in range(runs):
        began = time.perf_counter_ns()
        os.pwrite(descriptor, block, run % 400 * 4096)
        os.fdatasync(descriptor)
        taken.append(time.perf_counter_ns() - began)
    os.close(descriptor)
    return taken


async def timed(runs: int, work: Callable[[], Awaitable[object]]) -> list[int]:
    taken = []
    for _ in range(runs):
        began = time.perf_counter_ns()
        await work()
        taken.append(time.perf_counter_ns() - began)
    return taken


async def measure(directory: Path, runs: int) -> dict[str, object]:
    state = directory / "state"
    store = SqliteStore.open(state, owner="bench", clock=Clock())

    async def append(*, anchor: bool = False) -> None:
        await store.append("step.intent", DATA, service="orders", execution="EXE-1", anchor=anchor)

    async def group() -> None:
        await asyncio.gather(*(append() for _ in range(64)))

    result: dict[str, object] = {
        "floor": summary(floor(directory, runs)),
        "append": summary(await timed(runs, append)),
        "anchored": summary(await timed(runs, lambda: append(anchor=True))),
        "group_of_64": summary(await timed(max(runs // 64, 10), group)),
    }

    async def held() -> None:
        store.held()

    async def ask() -> None:
        store.events(since_seq=store.head.seq - 10, types=["step.intent"], service="orders")

    result["held"] = summary(await timed(runs, held))
    result["events_of_last_10"] = summary(await timed(runs, ask))
    records = store.head.seq
    store.close()
    began = time.perf_counter()
    SqliteStore.open(state, owner="bench", clock=Clock()).close()
    result["restart"] = {"records": records, "ms": round((time.perf_counter() - began) * 1000)}
    began = time.perf_counter()
    report = verify(state)
    result["verify"] = {"ok": report.ok, "ms": round((time.perf_counter() - began) * 1000)}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument(
        "--dir", type=Path, default=Path(tempfile.gettempdir()), help="on the disk to be measured"
    )
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="bcm-bench-", dir=options.dir))
    try:
        print(json.dumps(asyncio.run(measure(directory, options.runs)), indent=2))
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
