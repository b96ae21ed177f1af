"""Finds action types by name, through the entry points of every installed package.

Nothing is imported until it is asked for: the client commands stay quick, and a broken add-on breaks only the
runbooks that use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from model.errors import RunbookError
from runbooks.actions.base import API_VERSION, Action

GROUP = "bcm_failover.actions"


class UnknownActionError(RunbookError):
    """No installed package brings an action of this name."""


def action_names() -> tuple[str, ...]:
    return tuple(sorted(_points()))


@cache
def action_type(name: str) -> type[Action]:
    """The class of an action. Raises RunbookError."""
    point = _points().get(name)
    if point is None:
        near = get_close_matches(name, action_names(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(action_names())}"
        raise UnknownActionError(f"there is no action {name!r}", hint=hint)
    try:
        found = point.load()
    except Exception as error:
        raise RunbookError(
            f"the action {name!r} can't be loaded from {point.value}: {error}",
            hint="install the package that brings it again, in the version that fits this one",
        ) from error
    return checked(name, point.value, found)


def checked(name: str, origin: str, found: object) -> type[Action]:
    """The class, if it is an action that this version can run. Raises RunbookError."""
    if not (isinstance(found, type) and issubclass(found, Action)):
        raise RunbookError(f"{origin}, registered as the action {name!r}, is no subclass of Action")
    if found.API_VERSION != API_VERSION:
        raise RunbookError(
            f"the action {name!r} ({origin}) is written for version {found.API_VERSION} of the interface, "
            f"this is version {API_VERSION}",
            hint="install the version of its package that fits this one",
        )
    if found.name != name:
        raise RunbookError(f"{origin} is registered as {name!r} but calls itself {found.name!r}")
    return found


@cache
def _points() -> Mapping[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
