"""`simulate`: faults in a virtual world, against the same judgement and runbooks as in the real one."""

from __future__ import annotations

import click

from controller.cli.base import command
from controller.cli.exits import ExitCode
from controller.cli.settings import Settings, current_settings
from model.errors import UsageError


@command(
    "simulate",
    examples=(
        "bcm-failover simulate --faults 2000 --seed 7 --jobs 2",
        "bcm-failover simulate --seconds 600 --json",
        "bcm-failover simulate --seed 42 --trace  # the story of one scenario",
    ),
)
@click.option("--faults", type=click.IntRange(min=1), metavar="N", help="Until N faults were struck.")
@click.option("--seconds", type=click.FloatRange(min=0.1), metavar="N", help="Or until the time is over.")
@click.option("--seed", type=click.IntRange(min=0), metavar="S", help="First seed; else a fresh one.")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, metavar="J", help="Processes. Default: 1.")
@click.option("--trace", is_flag=True, help="Tell what happens in the one scenario of --seed.")
@click.option("--json", "as_json", is_flag=True, help="The same as -o json.")
def simulate(
    faults: int | None, seconds: float | None, seed: int | None, jobs: int, trace: bool, as_json: bool
) -> int:
    """Break things in a virtual world, and see what is done.

    Plays random scenarios, of seed S, S+1, …, in virtual time, with the real judgement, engine and actions on
    simulated hosts, and audits each. The same seed and number of faults give the same figures, whatever the
    number of processes.

    Exit code 1 if a rule was broken, a failover was missed or one was false.
    """
    settings = current_settings()
    if as_json:
        settings.output = "json"
    if trace:
        return _trace(settings, seed)
    if faults is None and seconds is None:
        raise UsageError("how long to simulate is not said", hint="say --faults N, --seconds N or both")
    from controller.cli.simulated_faults import run_fuzz

    return ExitCode(run_fuzz(settings, seed=seed, faults=faults, seconds=seconds, jobs=jobs))


def _trace(settings: Settings, seed: int | None) -> int:
    if seed is None:
        raise UsageError("which scenario to tell is not said", hint="name it: --seed S --trace")
    from controller.cli.simulated_story import print_story
    from controller.simulate.generator import scenario_of
    from controller.simulate.story import tell

    return print_story(settings, tell(scenario_of(str(seed))), gates=False)
