"""`simulate`: faults in a virtual world, against the same judgement and runbooks as in the real one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from controller.cli import completing
from controller.cli.base import command
from controller.cli.exits import ExitCode
from controller.cli.settings import Settings, current_settings
from model.errors import UsageError

# What says which of the four things is wanted: a question, a file, one seed, many.
_ONLY: Final = {
    "what": ("ops", "mode", "gates"),
    "scenario": ("ops", "mode", "gates"),
    "trace": ("seed", "gates"),
    "noise": ("years", "hours", "profile", "seed", "jobs"),
    "fuzz": ("faults", "seconds", "seed", "jobs", "save", "no_shrink"),
}


@command(
    "simulate",
    examples=(
        'bcm-failover simulate -c estate.yaml --what "site:dc1 down"',
        'bcm-failover simulate -c estate.yaml --what "node:db1 hang for 8s" --what "orders/pg2 crash at 5s"',
        "bcm-failover simulate -c estate.yaml --scenario power-cut.yaml --mode act",
        "bcm-failover simulate --faults 2000 --seed 7 --jobs 2",
        "bcm-failover simulate --seconds 600 --json",
        "bcm-failover simulate --seed 42 --trace  # the story of one scenario",
        "bcm-failover simulate --noise --years 1 --profile balanced --seed 1 --jobs 2",
    ),
)
@click.option(
    "--what",
    multiple=True,
    metavar="FAULT",
    shell_complete=completing.fault_targets,
    help="What goes wrong; more than once.",
)
@click.option("--scenario", type=click.Path(path_type=Path), metavar="FILE", help="The same from a file.")
@click.option(
    "--ops",
    metavar="SITE",
    shell_complete=completing.sites,
    help="Where the ops host stands, if the estate does not say it.",
)
@click.option("--mode", type=click.Choice(["observe", "ask", "act"]), help="As if every service were in it.")
@click.option("--gates", is_flag=True, help="Print every gate of every decision.")
@click.option("--faults", type=click.IntRange(min=1), metavar="N", help="Until N random faults were struck.")
@click.option("--seconds", type=click.FloatRange(min=0.1), metavar="N", help="Or until the time is over.")
@click.option("--seed", type=click.IntRange(min=0), metavar="S", help="First seed; else a fresh one.")
@click.option("--jobs", type=click.IntRange(1, 64), metavar="J", help="Processes. Default: 1.")
@click.option("--no-shrink", is_flag=True, help="Do not look for the smallest scenario that fails.")
@click.option("--save", type=click.Path(path_type=Path), metavar="DIR", help="Where it is saved.")
@click.option("--trace", is_flag=True, help="Tell what happens in the one scenario of --seed.")
@click.option("--noise", is_flag=True, help="Disturbances that are no faults: what is done for nothing.")
@click.option("--years", type=click.FloatRange(min=0, min_open=True), metavar="N", help="Of noise.")
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), metavar="N", help="The same in hours.")
@click.option("--profile", type=click.Choice(["fast", "balanced", "careful"]), help="Default: balanced.")
@click.option("--json", "as_json", is_flag=True, help="The same as -o json.")
def simulate(as_json: bool, **given: Any) -> int:
    """Break things in a virtual world, and see what is done.

    \b
    With --what or --scenario: in your own estate. What would be seen, diagnosed,
    decided and done, and the expected T0 to T9. Nothing of it is touched.
    FAULT: TARGET WORD [by VALUE] [at TIME] [for TIME]
      site:NAME        down, cut
      node:NAME        down, hang, cut, deaf, mute, slow, lossy, …
      SERVICE/MEMBER   crash, down, hang, restart, stop, disk-full, slow-disk, …
      service:NAME     the same, of its primary
      link:A,B         cut; A and B: a node, a site, ops or clients
      controller       killed, hang, isolated, journal-full, …

    With --faults or --seconds: random scenarios, of seed S, S+1, …, each audited. The same seed and number
    give the same figures, whatever the number of processes. Of what fails, the smallest scenario that still
    does is saved (by default in this directory) for --scenario. With --trace: one scenario as a story.

    With --noise: what a service goes through without anything being lost (docs/noise-model.md). How many
    false failovers a year, with the 95 % upper bound, how many pages, and the longest stalls ridden out.

    Exit code 1 if a rule was broken, a failover was missed or one was false.
    """
    settings = current_settings()
    if as_json:
        settings.output = "json"
    wanted = _wanted(given)
    match wanted:
        case "what":
            return _what(settings, given)
        case "scenario":
            return _scenario(settings, given)
        case "trace":
            return _trace(settings, given)
        case "noise":
            return _noise(settings, given)
        case _:
            return _fuzz(settings, given)


def _wanted(given: dict[str, Any]) -> str:
    """Raises UsageError for options that do not go together, and where nothing is wanted."""
    said = {name for name, value in given.items() if value not in (None, False, ())}
    if not said & {"what", "scenario", "trace", "noise", "faults", "seconds"}:
        raise UsageError(
            "what to simulate is not said",
            hint='--what "site:dc1 down" or --scenario FILE; --faults N or --seconds N; --seed S --trace; '
            "--noise --years N",
        )
    wanted = next((name for name in ("what", "scenario", "trace", "noise") if name in said), "fuzz")
    stray = sorted(said - {wanted, *_ONLY[wanted]})
    if stray:
        shown = "--faults or --seconds" if wanted == "fuzz" else f"--{wanted}"
        raise UsageError(
            f"{_option(stray[0])} does not go with {shown}",
            hint=f"allowed with it: {', '.join(map(_option, _ONLY[wanted]))}",
        )
    return wanted


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _what(settings: Settings, given: dict[str, Any]) -> ExitCode:
    from controller.cli.simulated_estate import run_what

    return run_what(settings, given["what"], ops=given["ops"], mode=given["mode"], gates=given["gates"])


def _scenario(settings: Settings, given: dict[str, Any]) -> ExitCode:
    from controller.cli.simulated_estate import run_scenario

    return run_scenario(
        settings, given["scenario"], ops=given["ops"], mode=given["mode"], gates=given["gates"]
    )


def _trace(settings: Settings, given: dict[str, Any]) -> ExitCode:
    if given["seed"] is None:
        raise UsageError("which scenario to tell is not said", hint="name it: --seed S --trace")
    from controller.cli.simulated_story import print_story
    from controller.simulate.generator import scenario_of
    from controller.simulate.story import tell

    return print_story(settings, tell(scenario_of(str(given["seed"]))), gates=given["gates"])


def _noise(settings: Settings, given: dict[str, Any]) -> ExitCode:
    from controller.cli.simulated_noise import run_noise

    return run_noise(
        settings,
        profile=given["profile"],
        seed=given["seed"],
        years=given["years"],
        hours=given["hours"],
        jobs=given["jobs"] or 1,
    )


def _fuzz(settings: Settings, given: dict[str, Any]) -> ExitCode:
    from controller.cli.simulated_faults import run_fuzz

    return run_fuzz(
        settings,
        seed=given["seed"],
        faults=given["faults"],
        seconds=given["seconds"],
        jobs=given["jobs"] or 1,
        save=None if given["no_shrink"] else given["save"] or Path(),
    )
