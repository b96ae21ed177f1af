"""Runs the noise model, and says what it cost: failovers for nothing, pages, stalls that are ridden out."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Iterator
from typing import Final

import click

from controller.cli.exits import ExitCode
from controller.cli.settings import Settings
from controller.cli.terminal import print_rows, say, seconds, structured
from controller.simulate.noise import DAY_S
from controller.simulate.noise_figures import Figures, measure
from controller.simulate.noise_run import DAYS_A_YEAR, Tally
from controller.simulate.noise_stalls import KINDS

_DEFAULT_DAYS: Final = 100.0


def run_noise(
    settings: Settings,
    *,
    profile: str | None,
    seed: int | None,
    years: float | None,
    hours: float | None,
    jobs: int,
) -> ExitCode:
    """Exit code 1 if a profile that promises it did not ride out what it promises."""
    first = secrets.randbelow(10**9) if seed is None else seed
    if seed is None:
        say(f"seed {first}")
    days = _days(years, hours)
    figures = measure(profile or "balanced", first, days, jobs=jobs, watch=_Progress(days))
    if settings.output == "json":
        click.echo(json.dumps(figures.to_json(), indent=2))
    elif settings.structured:
        click.echo(structured(settings, figures.to_json()))
    else:
        print_rows(settings, _rows(figures))
    if not figures.kept:
        return ExitCode.FAILED
    return ExitCode.INTERRUPTED if figures.interrupted else ExitCode.OK


def _days(years: float | None, hours: float | None) -> float:
    if years is None and hours is None:
        return _DEFAULT_DAYS
    return (years or 0.0) * DAYS_A_YEAR + (hours or 0.0) / 24


class _Progress:
    """On a terminal: how far it is."""

    def __init__(self, days: float) -> None:
        self._days = days

    def __call__(self, tally: Tally) -> bool:
        if sys.stderr.isatty():
            done = tally.seconds / DAY_S
            end = "\n" if done >= self._days else ""
            text = f"simulating: {done:.0f} of {self._days:.0f} days, {len(tally.failovers)} failovers"
            click.echo(f"\r\x1b[K{text}{end}", err=True, nl=False)
        return False


def _rows(figures: Figures) -> Iterator[tuple[str, str, bool | None]]:
    body = figures.to_json()
    yield "profile, seed", f"{body['profile']}, {body['seed']}", None
    yield "simulated", f"{body['years']:g} years, {body['disturbances']} disturbances", None
    per_year = "{} ({:g} a year; below {:g} with 95 %)"
    said = per_year.format(
        body["false_failovers"], body["false_failovers_a_year"], body["upper_bound_95_a_year"]
    )
    yield "false failovers", said, figures.kept
    said = per_year.format(
        body["stall_failovers"], body["stall_failovers_a_year"], body["stall_upper_bound_95_a_year"]
    )
    yield f"after more than {body['rides_out_s']:g} s", said, None
    by_noise = ", ".join(f"{name} {count}" for name, count in body["by_noise"].items())
    yield "failed over after", by_noise or "nothing", None
    yield "pages", f"{body['pages']} ({body['pages_a_year']:g} a year)", None
    for kind, count in body["pages_by_kind"].items():
        yield "", f"{count} × {kind}", None
    yield "a person was needed", str(body["person_needed"]), None
    for kind, longest_s in figures.stalls.items():
        yield f"rides out {kind}", f"{seconds(longest_s)}: {KINDS[kind][1]}", None
