"""What the core costs: one observation comes in, and all that depends on it is judged again.

An estate of N services × 3 members in memory, warm: every member and canary is seen for ten seconds. Then one
observation at a time: detection folds it, the view is made, `diagnose` and `decide` run. `refresh` changes
nothing that matters, `change` is the refusal that makes a primary `down`. `everything` judges every service
of the estate once. The bar: a change ≤ 1 ms in the median with 1,000 services.

    python bench/core_cost.py --services 1000
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.big_estate import declared
from config.schema import Estate, Service
from controller.supervisor.judgement import Case, Judged, Surroundings, judge
from controller.supervisor.knowledge import Knowledge
from controller.supervisor.ledger import Ledger
from controller.views import CANARY, PG
from model.observation import Failure, Observation, Outcome

BAR_MS = 1.0
SYSTEM = "7000000000000000001"
AT = 16 << 20
NAMES = "ANY 1 (pg1, pg2, pg3)"
_WARM_S = 10
_AROUND = Surroundings(leader=True, epoch=1, budget_left=3, wall_ns=0)


def facts(member: str, number: int) -> dict[str, Any]:
    """What the probe reads of a member of a service that is well."""
    primary = member == "pg1"
    known: dict[str, Any] = {
        "in_recovery": not primary,
        "system_identifier": SYSTEM,
        "timeline": 1,
        "position": AT + number,
        "walreceiver": not primary,
        "sync_names": NAMES,
        "canary_n": number,
        "data_free_bytes": 1 << 36,
        "data_size_bytes": 1 << 38,
    }
    return {**known, "current_lsn": AT + number} if primary else known


class Core:
    """One service as the core has it."""

    def __init__(self, estate: Estate, service: Service) -> None:
        self.knowledge = Knowledge(estate, service)
        self.knowledge.observer_sane = True
        ledger = Ledger(service.name, primary="pg1", timeline=1, system_identifier=SYSTEM)
        self.case = Case(estate, service, self.knowledge, ledger)

    def see(self, member: str, probe: str, at_s: float, known: dict[str, Any]) -> None:
        target = f"{self.case.service.name}/{member}"
        seen = Observation(target, probe, "bench", Outcome.SUCCEEDED, at_s, at_s + 0.002, at_s, facts=known)
        self.knowledge.observe(seen, "pg1")

    def fail(self, member: str, at_s: float, failure: Failure) -> None:
        target = f"{self.case.service.name}/{member}"
        seen = Observation(target, PG, "bench", Outcome.FAILED, at_s, at_s + 0.001, at_s, failure)
        self.knowledge.observe(seen, "pg1")

    def look(self, at_s: float, number: int) -> None:
        """Every member and the canary once."""
        for member in self.case.service.members:
            self.see(member, PG, at_s, facts(member, number))
        told = {"canary_n": number, "sync_names": NAMES, "synchronous_commit": "on"}
        self.see("pg1", CANARY, at_s, told)

    def judge(self, at_s: float) -> Judged:
        return judge(self.case, _AROUND, at_s)


class Fleet:
    def __init__(self, services: int) -> None:
        estate = Estate.model_validate(declared(services))
        self.cores = [Core(estate, service) for service in estate.services.values()]
        self.now_s = 1000.0
        self.number = 0
        for _ in range(_WARM_S * 2):
            self.look()

    def look(self) -> None:
        self.now_s += 0.5
        self.number += 1
        for core in self.cores:
            core.look(self.now_s, self.number)

    def everything(self) -> None:
        for core in self.cores:
            core.judge(self.now_s + 0.01)

    def refresh(self, core: Core) -> None:
        core.see("pg2", PG, self.now_s + 0.003, facts("pg2", self.number))
        core.judge(self.now_s + 0.006)

    def about_to_fall(self, core: Core) -> None:
        core.fail("pg1", self.now_s + 0.003, Failure.CLOSED)
        core.fail("pg1", self.now_s + 0.005, Failure.REFUSED)
        core.fail("pg1", self.now_s + 0.030, Failure.REFUSED)
        core.judge(self.now_s + 0.04)

    def change(self, core: Core) -> None:
        core.fail("pg1", self.now_s + 0.055, Failure.REFUSED)
        judged = core.judge(self.now_s + 0.06)
        assert judged.diagnosis.code == "PrimaryProcessDown", judged.diagnosis.code


def taken_ms(what: Callable[[Core], None], cores: list[Core]) -> list[float]:
    times = []
    for core in cores:
        began = time.perf_counter()
        what(core)
        times.append((time.perf_counter() - began) * 1000)
    return times


def row(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return {"median_ms": round(statistics.median(ordered), 4), "p99_ms": round(p99, 4)}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--times", type=int, default=500, help="observations of each kind that are measured")
    arguments = parser.parse_args()
    fleet = Fleet(arguments.services)
    fleet.everything()
    began = time.perf_counter()
    fleet.everything()
    everything_ms = (time.perf_counter() - began) * 1000
    measured = [fleet.cores[n % len(fleet.cores)] for n in range(arguments.times)]
    refresh = row(taken_ms(fleet.refresh, measured))
    falling = fleet.cores[: arguments.times]
    for core in falling:
        fleet.about_to_fall(core)
    change = row(taken_ms(fleet.change, falling))
    holds = change["median_ms"] <= BAR_MS
    result = {
        "services": arguments.services,
        "refresh": refresh,
        "change": change,
        "everything_ms": round(everything_ms, 1),
        "everything_to_one_change": round(everything_ms / change["median_ms"]),
        "bar_ms": BAR_MS,
        "holds": holds,
    }
    print(json.dumps(result, indent=2))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
