"""Several runs of the demo of a pool: their table, and whether all went as it must."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from typing import Any

import click

from controller.demo.pool.scenario import PoolResult, PoolTour
from controller.demo.scenario import Tell

_HEAD = (
    "what happened",
    "runs",
    "requests",
    "failed",
    "failed intervals, worst",
    "done after s: median, worst",
)


def run_pool(profile: str, runs: int, tell: Tell, *, keep: bool, as_json: bool) -> int:
    """Exit code: 1 if anything failed that need not."""
    results: list[PoolResult] = []
    for number in range(1, runs + 1):
        if runs > 1:
            tell(f"run {number} of {runs}")
        results += PoolTour(profile, tell).run(keep=keep)
    if as_json:
        told = {"engine": "pool", "figures": figures(results), "runs": [r.to_json() for r in results]}
        click.echo(json.dumps(told, ensure_ascii=False))
    else:
        click.echo("\n" + "\n".join(table(results)))
    return 0 if all(r.good for r in results) else 1


def table(results: Sequence[PoolResult]) -> list[str]:
    """One row for what is called alike, in the order of the first run."""
    rows = [_HEAD]
    for name, found in figures(results).items():
        done = found["done_s"]
        rows.append(
            (
                name, str(found["runs"]), str(found["requests"]), str(found["failed"]),
                str(found["failed_intervals_worst"]), f"{done['median']:.3f}, {done['worst']:.3f}",
            )
        )  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def figures(results: Sequence[PoolResult]) -> dict[str, Any]:
    """By what happened."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(r.name for r in results):
        of_it = [r for r in results if r.name == name]
        done = [r.done_s for r in of_it]
        found[name] = {
            "runs": len(of_it),
            "requests": sum(r.client.requests for r in of_it),
            "failed": sum(r.client.failed for r in of_it),
            "failed_intervals_worst": max(r.client.failed_intervals for r in of_it),
            "done_s": {"median": round(statistics.median(done), 3), "worst": round(max(done), 3)},
        }
    return found
