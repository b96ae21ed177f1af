"""What an attempt saw on its way, step by step, for a person: `bcm-failover probe run NAME --debug`.

Costs one look at a context variable where nobody listens. Secrets are never noted (S12).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_listener: ContextVar[Callable[[str], None] | None] = ContextVar("probe_trace", default=None)


def note(text: str, *values: object) -> None:
    """One step, as `logging` words it: `note("connected to %s", address)`. Formatted only if it is heard."""
    listener = _listener.get()
    if listener is not None:
        listener(text % values if values else text)


@contextmanager
def listening(listener: Callable[[str], None]) -> Iterator[None]:
    """Everything that is noted in this context, and in the tasks that it starts, goes to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
