"""The clock marks of an execution: T4 at its first change, the others where the runbook sets them.

A mark is written after the result that it belongs to, never in the way of the act. If the process dies in
between, whoever resumes the execution writes it, with the time that the journal has.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from runbooks.logbook import Logbook

FIRST_CHANGE: Final = "T4"


class Marks:
    def __init__(self, log: Logbook, written: Iterable[str] = ()) -> None:
        self._log = log
        self._written = set(written)
        self._first_change_ns: int | None = None

    def changing(self, at_ns: int) -> None:
        """A step is about to change something; only the first one counts."""
        if self._first_change_ns is None:
            self._first_change_ns = at_ns

    def missing(self, mark: str | None) -> bool:
        return mark is not None and mark not in self._written

    async def write_first_change(self, note: str = "") -> None:
        if self._first_change_ns is not None:
            await self.write(FIRST_CHANGE, self._first_change_ns, note)

    async def write(self, mark: str, at_ns: int, note: str = "") -> None:
        """Once for each mark of an execution."""
        if mark not in self._written:
            self._written.add(mark)
            await self._log.mark(mark, at_ns, note)
