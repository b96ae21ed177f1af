"""What the rules of the linter look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from config.document import Document, Path
from config.findings import Finding
from config.schema import Service
from model.errors import RunbookError
from runbooks.actions.base import Action
from runbooks.plan_view import Expected
from runbooks.registry import action_type
from runbooks.schema import Runbook, Step


@dataclass(frozen=True, slots=True)
class Subject:
    """kinds: step → class of its action, None where that can't be loaded. turn: index of the first point of
    no return that is sure to come (no `when`) and that the others wait for; else the number of steps."""

    runbook: Runbook
    service: Service | None
    expected: Mapping[str, Expected]
    kinds: Mapping[str, type[Action] | None]
    turn: int

    @classmethod
    def of(cls, runbook: Runbook, service: Service | None, expected: Mapping[str, Expected]) -> Subject:
        kinds = {step.id: _kind(step) for step in runbook.steps}
        steps = enumerate(runbook.steps)
        turns = (i for i, s in steps if s.point_of_no_return and not s.beside and s.when is None)
        return cls(runbook, service, expected, kinds, next(turns, len(runbook.steps)))

    @property
    def document(self) -> Document:
        return self.runbook.document

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.runbook.steps

    def known(self) -> Iterator[tuple[int, Step, type[Action]]]:
        """The steps whose action could be loaded."""
        for index, step in enumerate(self.steps):
            kind = self.kinds[step.id]
            if kind is not None:
                yield index, step, kind

    def before_turn(self, index: int) -> bool:
        """It may act while everything can still be taken back. At the same time as the turn counts."""
        if index <= self.turn or self.turn == len(self.steps):
            return index != self.turn
        group = self.steps[self.turn].parallel
        return group is not None and self.steps[index].parallel == group

    def error(self, path: Path, what: str, why: str = "", mend: str = "") -> Finding:
        return self.document.error(path, what, why, mend)

    def warning(self, path: Path, what: str, why: str = "", mend: str = "") -> Finding:
        return self.document.warning(path, what, why, mend)


Rule = Callable[[Subject], Iterator[Finding]]


def at(index: int, *rest: str | int) -> Path:
    return ("steps", index, *rest)


def _kind(step: Step) -> type[Action] | None:
    try:
        return action_type(step.action)
    except RunbookError:
        return None
