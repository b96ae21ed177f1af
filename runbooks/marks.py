"""The clock marks of an execution: T4 at its first change, the others where the runbook sets them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from runbooks.logbook import Logbook

FIRST_CHANGE: Final = "T4"


class Marks:
    """Each mark is written once in an execution. written: those that the journal has already."""

    def __init__(self, log: Logbook, written: Iterable[str] = ()) -> None:
        self._log = log
        self._written = set(written)

    def missing(self, mark: str) -> bool:
        return mark not in self._written

    def write(self, mark: str, at_ns: int, note: str = "") -> None:
        if mark not in self._written:
            self._written.add(mark)
            self._log.mark(mark, at_ns, note)
