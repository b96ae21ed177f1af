"""The mailbox for heartbeats: the last push of each name that the estate declares.

Nothing is kept over a restart: a push that came to the process before says nothing of now, and `heartbeat`
probes wait their full `within` before they call silence a failure.
"""

from __future__ import annotations

from collections.abc import Iterable

from model.ports import Clock

MOST_STATUS = 64  # a status is a word or two; what is longer is cut


class HeartbeatBox:
    """model.ports.Heartbeats. Bounded: a name that was not declared is not taken. Used on the loop only."""

    def __init__(self, clock: Clock, names: Iterable[str]) -> None:
        self._clock = clock
        self._names = frozenset(names)
        self._last: dict[str, tuple[float, str]] = {}

    def declare(self, names: Iterable[str]) -> None:
        """Other names from now on; what came under those that stay is kept."""
        self._names = frozenset(names)
        self._last = {name: last for name, last in self._last.items() if name in self._names}

    @property
    def names(self) -> frozenset[str]:
        return self._names

    def push(self, name: str, status: str = "ok") -> bool:
        """Take a push of `name`, now. False: no such name is declared, and nothing was kept."""
        if name not in self._names:
            return False
        fit = " ".join("".join(c if c.isprintable() else " " for c in status[:MOST_STATUS]).split())
        self._last[name] = (self._clock.monotonic_s(), fit or "ok")
        return True

    def last(self, name: str) -> tuple[float, str] | None:
        return self._last.get(name)
