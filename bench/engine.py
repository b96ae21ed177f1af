"""What the engine itself costs per step: intent, result and lease check against a real store on disk.

The actions do nothing, so what is left is the engine and the disk. `changing` steps wait for the disk before
they act; readings do not. Side by side: what the disk takes to keep the bytes of one record, once for the
journal and once for its anchor, with nothing else around it. That is the physical floor of a changing step.

    python bench/engine.py --steps 50 --runs 5
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar, cast

from config.schema import Estate
from controller.adapters.clock import SystemClock
from controller.store.sqlite import SqliteStore
from model.execution import Reconciled, StepResult
from runbooks import registry
from runbooks.actions.base import Action, ActionPorts, StepContext
from runbooks.engine import Engine
from runbooks.planner import make_plan
from runbooks.schema import Runbook

RECORD_BYTES = 900  # an intent, as it stands in the store
ANCHOR_BYTES = 120


class Nothing(Action):
    name = "bench.change"

    def describe(self, ctx: StepContext) -> list[str]:  # noqa: ARG002
        return ["nothing"]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:  # noqa: ARG002
        return StepResult.ok()

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:  # noqa: ARG002
        return Reconciled.done("nothing to see")


class Reading(Nothing):
    name = "bench.read"
    changing: ClassVar[bool] = False


def estate() -> Estate:
    member = {"data_dir": "/d", "bin_dir": "/b", "control": "pg_ctl", "node": "n"}
    roles = {role: {"user": role} for role in ("monitor", "control", "replication")}
    return Estate.model_validate(
        {
            "configVersion": 1,
            "sites": {"s": {"role": "primary"}},
            "nodes": {"n": {"site": "s", "address": "127.0.0.1"}},
            "services": {
                "bench": {
                    "engine": "postgresql",
                    "postgresql": {"roles": roles},
                    "members": {"a": {**member, "role": "primary"}, "b": {**member, "role": "standby"}},
                }
            },
        }
    )


async def per_step_ms(store: SqliteStore, action: str, steps: int, runs: int) -> list[float]:
    runbook = Runbook.model_validate(
        {
            "apiVersion": 1,
            "name": "bench",
            "engine": "generic",
            "kind": "other",
            "steps": [{"id": f"s{n}", "action": action, "timeout": "5s"} for n in range(steps)],
        }
    )
    none = cast("Any", None)
    ports = ActionPorts(SystemClock(), store, store, none, none, lambda _name: none)
    engine = Engine(ports, estate())
    plan = make_plan(runbook, estate=engine.estate, service="bench", vars={})
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        result = await engine.run(plan, incident=None, actor="bench", trigger="manual")
        taken.append((time.perf_counter() - began) * 1000 / steps)
        assert result.state == "succeeded", result
    return taken


def floor_ms(directory: Path, rounds: int) -> float:
    """Median of two appends with fdatasync, of a record's size and of an anchor's."""
    taken = []
    with (directory / "a").open("ab", buffering=0) as one, (directory / "b").open("ab", buffering=0) as two:
        for _ in range(rounds):
            began = time.perf_counter()
            for file, size in ((one, RECORD_BYTES), (two, ANCHOR_BYTES)):
                file.write(b"x" * size)
                os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--dir", type=Path, default=None, help="where the store lies: its disk is measured")
    arguments = parser.parse_args()
    points = {
        k.name: EntryPoint(k.name, f"{__name__}:{k.__name__}", registry.GROUP) for k in (Nothing, Reading)
    }
    registry._points = lambda: points  # noqa: SLF001
    sys.modules.setdefault(__name__, sys.modules["__main__"])
    with tempfile.TemporaryDirectory(dir=arguments.dir) as directory:
        before_ms = floor_ms(Path(directory), arguments.steps)
        store = SqliteStore.open(Path(directory) / "state", owner="bench", clock=SystemClock())
        measured = {
            action: statistics.median(
                asyncio.run(per_step_ms(store, action, arguments.steps, arguments.runs))
            )
            for action in ("bench.change", "bench.read")
        }
        store.close()
        after_ms = floor_ms(Path(directory), arguments.steps)
    print(
        json.dumps(
            {
                "steps": arguments.steps,
                "runs": arguments.runs,
                "median_ms_per_changing_step": round(measured["bench.change"], 3),
                "median_ms_per_reading_step": round(measured["bench.read"], 3),
                "floor_ms_two_syncs_before_and_after": [round(before_ms, 3), round(after_ms, 3)],
            }
        )
    )


if __name__ == "__main__":
    main()
