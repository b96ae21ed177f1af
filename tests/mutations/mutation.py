"""A mutation: one thing in the product made wrong, the rule that this breaks, and what must notice it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from unittest.mock import patch

from controller.simulate.scene import Scenario, Scene

_ROOMS = ("controller", "runbooks", "probes", "config", "model", "tests")


@dataclass(frozen=True)
class Swap:
    """where: `module:name` or `module:Class.name`. new: what stands there while the mutation is applied."""

    where: str
    new: Any


@dataclass(frozen=True)
class Told:
    """Noticed by recorded situations: each of them no longer gives what is written in it."""

    situations: tuple[str, ...]


@dataclass(frozen=True)
class Played:
    """Noticed by the simulator: in this scenario its audit says that one of `rules` is broken, and does not
    without the mutation. prepare: what the world is like before it begins."""

    rules: tuple[str, ...]
    scenario: Scenario
    prepare: Callable[[Scene], None] | None = None


@dataclass(frozen=True)
class Linted:
    """Noticed by a recorded runbook: the linter no longer refuses it. words: of its finding."""

    runbook: str
    words: str


@dataclass(frozen=True)
class Mutation:
    """rule: a gate (`gate mode`), or S1 to S14, or P1 to P15. what: what the product does wrong, in one line.
    swaps: all layers that keep the rule, where more than one does."""

    rule: str
    what: str
    swaps: Sequence[Swap]
    noticed: Told | Played | Linted = field(kw_only=True)

    @property
    def name(self) -> str:
        return f"{self.rule}: {self.what}"


@contextmanager
def applied(mutation: Mutation) -> Iterator[None]:
    """In this process, everywhere: modules that have imported a function by name have it swapped too."""
    with ExitStack() as stack:
        for swap in mutation.swaps:
            _swap(stack, swap)
        yield


def _swap(stack: ExitStack, swap: Swap) -> None:
    module_name, _, path = swap.where.partition(":")
    owner: Any = import_module(module_name)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    original = owner.__dict__[name]  # KeyError: the product has changed, and the catalogue has to follow
    if outer:
        stack.enter_context(patch.object(owner, name, swap.new))
        return
    for module in list(sys.modules.values()):
        room = getattr(module, "__name__", "").partition(".")[0]
        if room in _ROOMS and vars(module).get(name) is original:
            stack.enter_context(patch.object(module, name, swap.new))
