"""The figures of `bench.probes_side_by_side` for a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Bar:
    """A figure, and the most that it may be."""

    name: str
    value: float
    most: float

    @property
    def held(self) -> bool:
        return self.value <= self.most

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "value": self.value, "most": self.most, "held": self.held}


def print_report(found: dict[str, Any], bars: list[Bar]) -> None:
    print(f"{found['rate']:g} checks a second, {found['rounds']} round(s) of {found['seconds']:g} s")
    print(f"\n{'':6}{'CPU per check, µs':>27}{'':14}{'checks/s per core, saturated':>32}")
    print(f"{'':6}{'ours':>13}{'blackbox':>14}{'ratio':>8}{'(rounds)':>14}{'ours':>12}{'blackbox':>12}")
    for type_, pair in found["same_rate"].items():
        full = found["saturated"][type_]
        spread = f"{min(pair['ratios']):.2f}-{max(pair['ratios']):.2f}"
        print(
            f"{type_:6}{pair['ours']['cpu_us_per_check']:13.0f}{pair['blackbox']['cpu_us_per_check']:14.0f}"
            f"{pair['ratio']:8.2f}{spread:>14}"
            f"{full['ours']['checks_per_core_s']:12.0f}{full['blackbox']['checks_per_core_s']:12.0f}"
        )
        for name in ("ours", "blackbox"):
            if pair[name]["not_succeeded"]:
                print(f"      {name}, not succeeded: {pair[name]['not_succeeded']}")
    print(f"\n{'targets':>8}{'interval':>10}{'checks/s':>10}{'µs/check':>10}{'cores':>8}{'bytes/target':>14}")
    for result in found["scale"]:
        rate, cores = (result[key] / result["wall_s"] for key in ("checks", "cpu_s"))
        print(
            f"{result['targets']:8}{result['interval_s']:9g}s{rate:10.0f}{result['cpu_us_per_check']:10.0f}"
            f"{cores:8.2f}{result['bytes_per_target']:14}"
        )
    delay = found["delay"]
    print(
        f"\nscheduling delay at 2,000 targets a second: p50 {delay['p50']} ms, p99 {delay['p99']} ms"
        f" (sleeps of another process meanwhile: p50 {delay['machine']['p50']} ms,"
        f" p99 {delay['machine']['p99']} ms)\n"
    )
    for bar in bars:
        print(f"{'held' if bar.held else 'NOT HELD':9}{bar.name}: {bar.value:g} (at most {bar.most:g})")
