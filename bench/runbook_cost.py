"""What a long runbook costs before anything runs: read from its file, linted, planned and described.

Steps of a kind that people write: templates from variables and from the step before, a condition here and
there. The plan is made of past executions; prechecks, whose time is the world's, are left out. CPU time:
nothing here waits. `first` is with nothing warm: each template is compiled once in a process.

    python bench/runbook_cost.py --steps 500 --runs 5
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from config.positions import load_yaml
from config.schema import Estate
from controller.adapters.clock import SystemClock
from runbooks.actions.base import ActionPorts
from runbooks.lint import lint
from runbooks.planner import make_plan
from runbooks.schema import Runbook

HEAD = """apiVersion: 1
name: long
engine: generic
kind: other
vars:
  host: {type: string, default: db1}
steps:
"""


@dataclass(frozen=True)
class Took:
    p50_ms: int = 5
    p95_ms: int = 9
    samples: int = 20


def text_of(steps: int) -> str:
    """Every second step takes a value of the one before it."""
    lines = [HEAD]
    for number in range(steps):
        value = "{{ host }}" if number % 2 == 0 else f"{{{{ steps.s{number - 1}.said }}}} on {{{{ host }}}}"
        when = f'\n    when: steps.s{number - 1}.by != ""' if number % 10 == 1 else ""
        lines.append(
            f"  - id: s{number}\n    action: manual\n    description: Step {number} of many.\n"
            f'    with: {{do: "{value}"}}\n    timeout: 1h\n    budget: 10m{when}\n'
        )
    return "".join(lines)


def estate() -> Estate:
    return Estate.model_validate(
        {
            "configVersion": 1,
            "sites": {"s": {"role": "primary"}},
            "nodes": {"n": {"site": "s", "address": "127.0.0.1"}},
            "services": {
                "bench": {
                    "engine": "generic",
                    "objectives": {"rto": "30d"},
                    "members": {"a": {"node": "n", "role": "pool"}},
                }
            },
        }
    )


def median_ms(work: Callable[[], Any], runs: int) -> float:
    taken = []
    for _ in range(runs):
        began = time.process_time()
        work()
        taken.append((time.process_time() - began) * 1000)
    return round(statistics.median(taken), 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    text, where = text_of(arguments.steps), estate()
    past = {f"s{number}": Took() for number in range(arguments.steps)}
    none = cast("Any", None)
    ports = ActionPorts(SystemClock(), none, none, none, none, none)

    def read() -> Runbook:
        return Runbook.from_document(load_yaml(text, file="long.yaml"))

    def plan(runbook: Runbook) -> None:
        made = make_plan(runbook, estate=where, service="bench", vars={})
        asyncio.run(made.describe(ports, expected=past, with_prechecks=False))

    began = time.process_time()
    runbook = read()
    findings = lint(runbook, where, "bench", expected=past)
    plan(runbook)
    first_ms = (time.process_time() - began) * 1000
    assert not findings, findings[:3]
    print(
        json.dumps(
            {
                "steps": arguments.steps,
                "runs": arguments.runs,
                "median_ms_read": median_ms(read, arguments.runs),
                "median_ms_lint": median_ms(
                    lambda: lint(runbook, where, "bench", expected=past), arguments.runs
                ),
                "median_ms_plan": median_ms(lambda: plan(runbook), arguments.runs),
                "first_read_lint_and_plan_ms": round(first_ms, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
