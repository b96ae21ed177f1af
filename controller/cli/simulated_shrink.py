"""After random faults that broke a rule: the smallest scenario that does, saved to be replayed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from controller.cli.terminal import say
from controller.simulate.fuzz import Failure, Figures
from controller.simulate.generator import scenario_of
from controller.simulate.scenario_file import scenario_yaml
from controller.simulate.scene import Scenario
from controller.simulate.shrink import Shrunk, shrink
from model.errors import UsageError

# For all that is shrunk together, and how many are: one of each kind of failure.
LIMIT_S: Final = 60.0
_AT_MOST: Final = 3


def shrink_failures(figures: Figures, directory: Path) -> list[Path]:
    """The files that were written. Raises UsageError if they can't be."""
    written = []
    kinds = {failure.rules: failure for failure in reversed(figures.failures)}
    chosen = list(reversed(kinds.values()))[:_AT_MOST]
    until_s = time.monotonic() + LIMIT_S
    for number, failure in enumerate(chosen):
        left_s = max(0.0, until_s - time.monotonic()) / (len(chosen) - number)
        say(f"shrinking seed {failure.seed} for at most {left_s:.0f} s (--no-shrink leaves it out)")
        whole = scenario_of(failure.seed)
        found = shrink(whole, limit_s=left_s)
        if found is None:
            say(f"seed {failure.seed} breaks nothing when it is played again: please report this")
            continue
        written.append(_save(directory / f"simulate-seed-{failure.seed}.yaml", failure, whole, found))
    return written


def _save(path: Path, failure: Failure, whole: Scenario, found: Shrunk) -> Path:
    why = next((v.what for v in found.played.violations if v.rule in found.rules), failure.what)
    text = scenario_yaml(found.scenario, f"breaks {', '.join(sorted(found.rules))}: {why}")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        what = f"the scenario can't be saved: {error.strerror}"
        raise UsageError(what, where=str(path), hint="name a directory: --save DIR") from error
    rest = "" if found.finished else ", and the time was over"
    say(f"from {_size(whole)} to {_size(found.scenario)} in {found.tries} tries{rest}")
    say(f"  replay: bcm-failover simulate --scenario {path}")
    return path


def _size(scenario: Scenario) -> str:
    members = sum(len(s.members) for s in scenario.estate.services.values())
    count = len(scenario.events)
    return f"{count} fault{'s' if count != 1 else ''} on {members} members"
