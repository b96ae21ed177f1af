"""What an inspection says. Values only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from controller.inspection.ground import Ground


class Result(StrEnum):
    """failed: a failover would fail, or lose something. warning: not yet, or it would be slower. unknown: it
    could not be found out. skipped: there is nothing to look at."""

    FAILED = "failed"
    WARNING = "warning"
    UNKNOWN = "unknown"
    OK = "ok"
    SKIPPED = "skipped"


FINDINGS = (Result.FAILED, Result.WARNING, Result.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Line:
    """One result of one check. about: `service/orders/pg1`, `node/db1` or `estate`. todo: where it is another
    than the check's own."""

    about: str
    result: Result
    text: str
    todo: str = ""


# Lines of one check: all that it covers, one after the other as they are known.
Run = Callable[["Ground"], AsyncIterator[Line]]


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the catalogue: in words for an operator. of_service: also made where only one service is
    inspected."""

    name: str
    what: str
    how: str
    why: str
    todo: str
    run: Run
    of_service: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """A line with the words of its check."""

    check: Check
    line: Line

    def to_json(self) -> dict[str, Any]:
        finding = self.line.result in FINDINGS
        return {
            "check": self.check.name,
            "about": self.line.about,
            "what": self.check.what,
            "how": self.check.how,
            "result": self.line.result.value,
            "text": self.line.text,
            "why": self.check.why,
            "todo": (self.line.todo or self.check.todo) if finding else "",
        }


@dataclass(frozen=True, slots=True)
class Inspection:
    """rows: the worst first, then in the order of the catalogue. scope: the one service, or None."""

    scope: str | None
    rows: tuple[Row, ...]
    took_ms: int

    @property
    def counts(self) -> dict[str, int]:
        return {r.value: sum(row.line.result is r for row in self.rows) for r in Result}

    @property
    def worst(self) -> Result:
        """Of what was looked at."""
        found = {row.line.result for row in self.rows}
        return next((r for r in (*FINDINGS, Result.OK) if r in found), Result.SKIPPED)

    @property
    def findings(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.line.result in FINDINGS)

    def to_json(self) -> dict[str, Any]:
        return {
            "scope": self.scope,
            "worst": self.worst.value,
            "took_ms": self.took_ms,
            "counts": self.counts,
            "rows": [row.to_json() for row in self.rows],
        }


def in_order(rows: Iterable[Row], order: Mapping[str, int]) -> tuple[Row, ...]:
    """order: of the checks' names."""
    worst_first = list(Result)
    return tuple(
        sorted(rows, key=lambda r: (worst_first.index(r.line.result), order[r.check.name], r.line.about))
    )
