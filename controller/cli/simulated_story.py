"""Prints what happened in one simulated scenario, for people and for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from config.postgresql import of_postgresql
from controller.cli.exits import ExitCode
from controller.cli.explain import print_gate
from controller.cli.settings import Settings
from controller.cli.terminal import clean, console, structured
from controller.simulate.faults import KINDS
from controller.simulate.phrases import phrase
from controller.simulate.scene import Scenario
from controller.simulate.story import Line, Story

if TYPE_CHECKING:
    from config.schema import Service

_STYLES: Final = {
    "fault": "bold red", "violation": "bold red", "diagnosed": "yellow", "decided": "bold", "client": "cyan",
    "page": "magenta", "clock": "dim", "world": "dim",
}  # fmt: skip
Write = Callable[..., None]


def print_story(settings: Settings, story: Story, *, gates: bool) -> ExitCode:
    """gates: print all of each decision, not only the one that stopped it."""
    if settings.structured:
        click.echo(structured(settings, {"kind": "Simulation", **story.to_json()}))
    else:
        write = writer(settings)
        write_scenario(write, story.scenario)
        write_lines(write, story.lines, gates=gates)
        write_ending(write, story)
    return ExitCode.FAILED if story.played.rules else ExitCode.OK


def writer(settings: Settings) -> Write:
    from rich.text import Text

    out = console(settings)

    def write(text: str = "", style: str = "") -> None:
        out.print(Text(clean(text), style=style), soft_wrap=True)

    return write


def write_scenario(write: Write, scenario: Scenario) -> None:
    write(f"scenario {scenario.seed}: the ops host stands at {scenario.ops}", "bold")
    for service in scenario.estate.services.values():
        write("  " + _service(scenario, service))
    for event in scenario.events:
        write(f"  {phrase(event)}: {KINDS[event.fault].sentence}")
    write()


def _service(scenario: Scenario, service: Service) -> str:
    members = ", ".join(
        f"{m.name} on {m.node} at {scenario.estate.nodes[m.node].site}"
        + (" (excluded)" if m.excluded else "")
        for m in service.members.values()
    )
    names = of_postgresql(service).postgresql.synchronous_standby_names or "asynchronous"
    return f"{service.name} ({service.mode.value}, {service.profile}, {names}): {members}"


def write_lines(write: Write, lines: tuple[Line, ...], *, gates: bool) -> None:
    wide = max((len(line.place) for line in lines), default=0)
    for line in lines:
        write(
            f"{line.at_s:9.3f}  {line.place:<{wide}}  {line.kind:<9}  {line.text}", _STYLES.get(line.kind, "")
        )
        _write_gates(lambda text, style="": write(f"{'':>{wide + 22}}{text}", style), line, gates=gates)


def _write_gates(write: Write, line: Line, *, gates: bool) -> None:
    """Those that did not let it through with what they looked at; of the others the names."""
    passed = [str(g.get("name")) for g in line.gates if g.get("passed")]
    for gate in line.gates:
        if gates or not gate.get("passed"):
            print_gate(write, gate)
    if passed and not gates:
        write(f"  passed: {', '.join(passed)}", "dim")


def write_ending(write: Write, story: Story) -> None:
    played = story.played
    write()
    write_clocks(write, story.clocks)
    told = "everything works again" if played.recovered else "not everything works again"
    write(f"after {played.seconds:.1f} s: {told}", "green" if played.recovered else "yellow")
    if played.held:
        write(f"left to a person: {played.held}")
    if played.missed_failovers:
        write("a failover was provable, and did not come", "bold red")
    if played.false_failovers:
        write("a failover came, though no fault had taken the primary away", "bold red")
    if played.violations:
        write(f"{len(played.violations)} violations of {', '.join(sorted(played.rules))}", "bold red")
    write(f"journal: sha256 {story.journal_sha256}", "dim")


def write_clocks(write: Write, clocks: tuple[dict[str, Any], ...]) -> None:
    for clock in clocks:
        for text in _clock_lines(clock):
            write(text)


def _clock_lines(clock: dict[str, Any]) -> Iterator[str]:
    """The clock of one incident: its marks after T0, and the phases."""
    marks = ", ".join(
        f"{name} {'not observed' if at_s is None else f'+{at_s:.3f} s'}"
        for name, at_s in clock["marks_s"].items()
        if name != "T0"
    )
    yield f"{clock['incident']} of {clock['service']}: {marks}"
    phases = [
        f"{name.removesuffix('_s')} {value:.3f} s"
        for name, value in clock["phases"].items()
        if value is not None
    ]
    if clock["rto_s"] is not None:
        yield f"  RTO {clock['rto_s']:.3f} s ({', '.join(phases)})"
