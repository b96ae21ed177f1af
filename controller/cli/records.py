"""Reads the store itself where no daemon answers: what has happened is never out of reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from controller.cli.exits import UnreachableError
from controller.cli.settings import Settings
from controller.cli.terminal import say
from model.errors import BcmError
from model.events import Event

T = TypeVar("T")


def daemon_or_store(settings: Settings, ask: Callable[[], T], read: Callable[[Sequence[Event]], T]) -> T:
    """What the daemon answers or, where none answers, what `read` makes of the journal's events."""
    try:
        return ask()
    except UnreachableError as unreachable:
        try:
            events = stored_events(settings.state_path)
        except BcmError as error:
            # Both ways are closed: the daemon's is the one that most people can open.
            raise UnreachableError(
                f"{unreachable.what}, and the store can't be read: {error.what}",
                where=unreachable.where,
                hint=f"{unreachable.hint}; the store: {error.hint or '--state-dir DIR'}",
            ) from error
        say(f"no daemon answers; read from the store in {settings.state_path}")
        return read(events)


def stored_events(state_dir: Path) -> Sequence[Event]:
    """All of them. Raises JournalError."""
    from controller.store.reader import read_events

    return read_events(state_dir)


def as_list(kind: str, items: Sequence[Any]) -> dict[str, Any]:
    """The shape of the API's lists."""
    return {"kind": kind, "items": list(items)}
