"""Does what is recorded, a situation or a runbook, or the simulator notice that something is wrong?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mutation import Linted, Played, Told

from controller.simulate import ending, quiet
from controller.simulate.scene import Scene
from runbooks.library import load_runbook_file
from runbooks.lint import lint
from tests.core.situation_check import failures
from tests.core.situation_player import load

SITUATIONS = Path(__file__).parents[1] / "situations"
RUNBOOKS = Path(__file__).parent / "runbooks"
_STEP_S = 0.5
# Rules that only the end of a scenario tells.
AT_THE_END = frozenset({"missed", "false", "recovery"})


def noticed(by: Told | Played | Linted) -> list[str]:
    """What is noticed, in words; empty: nothing, or not all that must notice did."""
    match by:
        case Told():
            found = {name: list(failures(load(SITUATIONS / f"{name}.yaml"))) for name in by.situations}
            return (
                [f"{name} {text}" for name, texts in found.items() for text in texts]
                if all(found.values())
                else []
            )
        case Played():
            return list(_played(by))
        case Linted():
            findings = lint(load_runbook_file(RUNBOOKS / by.runbook))
            return [] if any(by.words in f"{f}" for f in findings) else [f"{by.runbook} is accepted"]


def _told(name: str) -> list[str]:
    return [f"{name} {text}" for text in failures(load(SITUATIONS / f"{name}.yaml"))]


def _played(by: Played) -> Iterator[str]:
    scene = Scene(by.scenario)
    try:
        if by.prepare is not None:
            by.prepare(scene)
        if AT_THE_END.intersection(by.rules):
            yield from _ended(by, scene)
        else:
            yield from _underway(by, scene)
    finally:
        scene.close()


def _underway(by: Played, scene: Scene) -> Iterator[str]:
    """Until the first of them; what comes after it need not be played."""
    scene.plan(by.scenario.events)
    audit, now_s = scene.world.audit, 0.0
    while now_s < by.scenario.end_s:
        now_s += _STEP_S
        quiet.run_until(scene, now_s)
        broken = [v for v in audit.violations if v.rule in by.rules]
        if broken:
            yield from (f"{v.rule} at {v.at_s:.2f} s: {v.what}" for v in broken)
            return


def _ended(by: Played, scene: Scene) -> Iterator[str]:
    """Played to its end: also what only that tells."""
    end = ending.play_out(scene)
    yield from (f"{v.rule} at {v.at_s:.2f} s: {v.what}" for v in end.violations if v.rule in by.rules)
    if "missed" in by.rules and end.missed_failovers:
        yield f"a provable failover was missed: {end.held}"
    if "false" in by.rules and end.false_failovers:
        yield f"{end.false_failovers} failovers without a grave fault"
