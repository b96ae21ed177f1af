"""Runs random scenarios, and says what came of them: progress, Ctrl-C, figures, how to replay a failure."""

from __future__ import annotations

import json
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final, Self

import click

from controller.cli.exits import ExitCode
from controller.cli.settings import Settings
from controller.cli.simulated_shrink import shrink_failures
from controller.cli.terminal import print_rows, say, seconds, structured
from controller.simulate.fuzz import Figures, fuzz

_QUIET_S: Final = 1.0
_LOOK_S: Final = 0.25
_SHOWN: Final = 5


def run_fuzz(
    settings: Settings,
    *,
    seed: int | None,
    faults: int | None,
    seconds: float | None,
    jobs: int,
    save: Path | None,
) -> ExitCode:
    """save: where the smallest failing scenarios are saved; None: they are not looked for."""
    fresh = seed is None
    first = secrets.randbelow(10**9) if seed is None else seed
    if fresh:
        say(f"seed {first}")
    with _Watch(faults, seconds) as watch:
        figures = fuzz(first, faults=faults, seconds=seconds, jobs=jobs, watch=watch)
    print_figures(settings, figures)
    if not figures.clean:
        if save is not None and not figures.interrupted:
            sys.stdout.flush()
            shrink_failures(figures, save)
        return ExitCode.FAILED
    return ExitCode.INTERRUPTED if figures.interrupted else ExitCode.OK


class _Watch:
    """Shows how far it is, after a second, on a terminal; the first Ctrl-C ends it after the scenario that is
    being played, a second one at once."""

    def __init__(self, faults: int | None, seconds: float | None) -> None:
        self._faults = faults
        self._seconds = seconds
        self._began_s = time.monotonic()
        self._next_s = self._began_s + _QUIET_S
        self._shown = False
        self._enough = False
        self._before: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *_error: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        if self._shown:
            click.echo("\r\x1b[K", err=True, nl=False)

    def __call__(self, figures: Figures) -> bool:
        now_s = time.monotonic()
        if now_s >= self._next_s and sys.stderr.isatty():
            self._next_s = now_s + _LOOK_S
            self._shown = True
            click.echo(f"\r\x1b[K{self._line(figures, now_s - self._began_s)} ", err=True, nl=False)
        return self._enough

    def _line(self, figures: Figures, elapsed_s: float) -> str:
        of = f" of {self._faults}" if self._faults is not None else ""
        limit = f" of {seconds(self._seconds)}" if self._seconds is not None else ""
        failing = f", {len(figures.seeds_failing)} seeds failing" if figures.seeds_failing else ""
        return f"simulating: {figures.faults}{of} faults, {seconds(elapsed_s)}{limit}{failing}"

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if self._enough:
            raise KeyboardInterrupt
        self._enough = True


def print_figures(settings: Settings, figures: Figures) -> None:
    """JSON is exactly the figures: other programs compare it over versions."""
    if settings.output == "json":
        click.echo(json.dumps(figures.to_json(), indent=2))
    elif settings.structured:
        click.echo(structured(settings, figures.to_json()))
    else:
        print_rows(settings, _rows(figures))
    for failure in figures.failures[:_SHOWN]:
        say(f"seed {failure.seed} breaks {', '.join(failure.rules)}: {failure.what}")
        say(f"  replay: bcm-failover simulate --seed {failure.seed} --trace")
    left = len(figures.seeds_failing) - min(len(figures.failures), _SHOWN)
    if left > 0:
        say(f"and {left} more seeds; --json names them all")


def _rows(figures: Figures) -> Iterator[tuple[str, str, bool | None]]:
    body = figures.to_json()
    per_s = figures.faults / figures.wall_s if figures.wall_s > 0 else 0.0
    broken = ", ".join(f"{rule} {n}" for rule, n in body["violations"].items())
    parts = (("p50", "p50_s"), ("p99", "p99_s"), ("max", "max_s"))
    rto = ", ".join(f"{label} {seconds(body['rto'][key])}" for label, key in parts)
    yield "seed", str(figures.seed), None
    yield "faults", f"{figures.faults} in {figures.scenarios} scenarios ({per_s:.0f} a second)", None
    yield "simulated", f"{seconds(figures.seconds)} in {seconds(figures.wall_s)}", None
    yield "rules broken", broken or "none", not broken
    yield "false failovers", str(figures.false_failovers), figures.false_failovers == 0
    yield "missed failovers", str(figures.missed_failovers), figures.missed_failovers == 0
    yield "acknowledged writes lost", str(figures.lost), figures.lost == 0
    yield "recovered", f"{figures.recovered} of {figures.scenarios} scenarios", None
    yield "failovers by itself", str(len(figures.rtos_s)), None
    yield "RTO, T0 to T8", rto, None
    yield "seeds failing", ", ".join(body["seeds_failing"][: 4 * _SHOWN]) or "none", figures.clean
