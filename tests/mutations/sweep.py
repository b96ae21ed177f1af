"""Every mutation against all recorded situations and some random scenarios: how many of each notice.

The first row is without any mutation: whatever it counts is no merit of the others.

python tests/mutations/sweep.py [--seeds 20] [--only WORDS]
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path

import structlog

sys.path.insert(0, str(Path(__file__).parents[2]))

from gates_broken import GATES_BROKEN
from mutation import Mutation, applied
from noticing import SITUATIONS, noticed
from postgresql_broken import POSTGRESQL_BROKEN
from rules_broken import RULES_BROKEN

from controller.simulate.ending import play
from controller.simulate.generator import scenario_of
from tests.core.situation_check import failures
from tests.core.situation_player import load


def _situations(files: list[Path]) -> int:
    return sum(1 for path in files if _fails(path))


def _fails(path: Path) -> bool:
    try:
        return any(True for _ in failures(load(path)))
    except Exception:  # it can't be judged at all: that is noticed too
        return True


def _seeds(count: int) -> int:
    return sum(1 for seed in range(count) if _breaks(str(seed)))


def _breaks(seed: str) -> bool:
    ending, scene = play(scenario_of(seed))
    scene.close()
    return bool(ending.violations or ending.missed_failovers or ending.false_failovers)


def _row(mutation: Mutation, files: list[Path], seeds: int) -> str:
    with applied(mutation):
        named = "yes" if noticed(mutation.noticed) else "NO"
        return f"{named:>5} {_counts(files, seeds)}  {mutation.name}"


def _counts(files: list[Path], seeds: int) -> str:
    began_s = time.perf_counter()
    told, played = _situations(files), _seeds(seeds)
    return f"{told:>10} {played:>6} {time.perf_counter() - began_s:>6.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10, help="random scenarios for each (default: 10)")
    parser.add_argument("--only", default="", help="only mutations with these words in their names")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    files = sorted(SITUATIONS.glob("*.yaml"))
    print(f"named situations seeds      s  mutation (of {len(files)} situations, {given.seeds} seeds)")
    print(f"{'':>5} {_counts(files, given.seeds)}  none", flush=True)
    rows = []
    for mutation in (*GATES_BROKEN, *RULES_BROKEN, *POSTGRESQL_BROKEN):
        if given.only in mutation.name:
            rows.append(_row(mutation, files, given.seeds))
            print(rows[-1], flush=True)
    return int(any(row.split()[0] == "NO" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
