"""The demo's tours, by engine: several runs, their table, and whether all went as it must."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, Protocol

import click

from controller.demo.mariadb.scenario import MARIADB
from controller.demo.primary_tour import PrimaryTour
from controller.demo.redis.scenario import REDIS
from controller.demo.scenario import Tell
from controller.demo.tour import HappeningResult, figures, table


class Tour(Protocol):
    """One run through what happens. Raises BcmError if the product did not do what it must."""

    def run(self, *, keep: bool = False) -> list[HappeningResult]: ...

    @property
    def allows_loss(self) -> frozenset[str]:
        """What may lose acknowledged writes, since the engine can't prevent it."""
        ...


# By engine: profile and whom to tell, to a tour.
TOURS: Final[Mapping[str, Callable[[str, Tell], Tour]]] = {
    "mariadb": partial(PrimaryTour, MARIADB),
    "redis": partial(PrimaryTour, REDIS),
}


def run_tours(engine: str, profile: str, runs: int, tell: Tell, *, keep: bool, as_json: bool) -> int:
    """Exit code: 1 if anything acknowledged was lost that need not be, or said to be proven and was lost."""
    results: list[HappeningResult] = []
    allowed: frozenset[str] = frozenset()
    for number in range(1, runs + 1):
        if runs > 1:
            tell(f"run {number} of {runs}")
        tour = TOURS[engine](profile, tell)
        allowed = tour.allows_loss
        results += tour.run(keep=keep)
    if as_json:
        told = {"engine": engine, "figures": figures(results), "runs": [r.to_json() for r in results]}
        click.echo(json.dumps(told, ensure_ascii=False))
    else:
        click.echo("\n" + "\n".join(table(results)))
    return 0 if all(good(r, allowed) for r in results) else 1


def good(result: HappeningResult, allows_loss: Sequence[str] | frozenset[str]) -> bool:
    """A verdict fits what the client counted: no proof of nothing where something was lost."""
    if result.client.lost == 0:
        return result.verdict in ("ZERO_PROVEN", "UNPROVEN")
    return result.name in allows_loss and result.verdict in ("LOSS", "UNPROVEN")
