"""`simulate --what` and `--scenario`: what would happen, told for people and for programs."""

from __future__ import annotations

from pathlib import Path

import click

from controller import estate_file
from controller.cli.exits import ExitCode
from controller.cli.explain import advice_of
from controller.cli.settings import Settings
from controller.cli.simulated_story import (
    Write,
    print_story,
    write_clocks,
    write_lines,
    write_scenario,
    writer,
)
from controller.cli.terminal import structured
from controller.simulate.network import Delays
from controller.simulate.own_estate import OwnEstate, own_estate
from controller.simulate.phrases import parse
from controller.simulate.scenario_file import ScenarioFile, read_scenario
from controller.simulate.scene import Scenario
from controller.simulate.story import tell
from controller.simulate.what_if import Standing, WhatIf, what_if
from controller.simulate.world import Traits
from model.errors import UsageError


def run_scenario(
    settings: Settings, path: Path, *, ops: str | None, mode: str | None, gates: bool
) -> ExitCode:
    """A scenario with an estate of its own is replayed and judged; one without is for the user's own."""
    found = read_scenario(path)
    if found.estate is None:
        return _own(settings, found, [], ops=ops or found.ops or None, mode=mode, gates=gates)
    if ops is not None or mode is not None:
        raise UsageError(
            "the scenario has an estate of its own: --ops and --mode are for yours",
            where=str(path),
            hint="leave them out, or take `estate` out of the file",
        )
    place = found.ops or next(iter(found.estate.sites))
    if place not in found.estate.sites:
        raise UsageError(
            f"ops: there is no site {place!r}",
            where=str(path),
            hint=f"allowed: {', '.join(found.estate.sites)}",
        )
    return print_story(settings, tell(found.scenario(found.estate, place)), gates=gates)


def run_what(
    settings: Settings, faults: tuple[str, ...], *, ops: str | None, mode: str | None, gates: bool
) -> ExitCode:
    return _own(settings, None, list(faults), ops=ops, mode=mode, gates=gates)


def _own(
    settings: Settings,
    file: ScenarioFile | None,
    faults: list[str],
    *,
    ops: str | None,
    mode: str | None,
    gates: bool,
) -> ExitCode:
    if settings.config is None and not settings.config_path.exists():
        raise UsageError("whose estate it is about is not said", hint="name it: -c estate.yaml")
    own = own_estate(estate_file.load(settings.config_path).estate, ops=ops, mode=mode)
    scenario = file.scenario(own.estate, own.ops) if file is not None else _scenario(own, faults)
    found = what_if(scenario)
    if settings.structured:
        body = {"kind": "WhatIf", "estate": str(settings.config_path), "notes": list(own.notes)}
        click.echo(structured(settings, {**body, **found.to_json()}))
    else:
        _print(settings, own, found, gates=gates)
    return ExitCode.FAILED if found.story.played.violations else ExitCode.OK


def _scenario(own: OwnEstate, faults: list[str]) -> Scenario:
    access = all(n.access != "none" for n in own.estate.nodes.values())
    try:
        events = tuple(parse(text, own.estate) for text in faults)
    except UsageError as error:
        hint = "; ".join([error.hint, *own.left_out])
        raise UsageError(error.what, where=error.where, hint=hint) from error
    return Scenario(
        seed="what-if",
        estate=own.estate,
        events=events,
        traits=Traits(delays=Delays(), access=access),
        ops=own.ops,
    )


def _print(settings: Settings, own: OwnEstate, found: WhatIf, *, gates: bool) -> None:
    write = writer(settings)
    write_scenario(write, found.story.scenario)
    lines = tuple(line for line in found.story.lines if line.kind != "clock")
    write_lines(write, lines, gates=gates)
    write()
    for standing in found.standings:
        _write_standing(write, standing)
    write_clocks(write, found.story.clocks)
    if not found.story.clocks:
        write("no incident: no clock is started")
    for violation in found.story.played.violations:
        write(f"rule {violation.rule} was broken: {violation.what}: please report this", "bold red")
    write()
    write("nothing was touched; how it was simulated:", "dim")
    for note in own.notes:
        write(f"  {note}", "dim")


def _write_standing(write: Write, standing: Standing) -> None:
    if standing.writes:
        write(f"{standing.service}: {standing.primary} accepts writes in the end", "green")
    else:
        write(f"{standing.service}: nobody can write in the end", "bold red")
    write(f"  {standing.code}: {standing.sentence}")
    for text in standing.approvals:
        write(f"  a person is asked: {text}", "yellow")
    stopped = next((g for g in standing.decision.get("gates", []) if not g["passed"]), None)
    if standing.writes or stopped is None:
        return
    write(f"  held by the gate {stopped['name']}: {stopped['reason']}", "yellow")
    todo = advice_of(stopped, standing.code)
    if todo:
        write(f"    what to do: {todo}")
