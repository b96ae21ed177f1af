"""Which names a runbook's templates may use, and which of those that it uses are not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from config.document import Path
from config.findings import did_you_mean, one_of
from model.errors import RunbookError
from runbooks.registry import action_type
from runbooks.schema import Runbook, Step
from runbooks.template import TemplateFaultError, is_template, names_in, names_in_expression

STEPS: Final = "steps"
SERVICE: Final = "service"
"""Known in every runbook: the service's name."""


@dataclass(frozen=True, slots=True)
class NameProblem:
    """`path` is the place in the runbook's file."""

    path: Path
    what: str
    allowed: str = ""


def name_problems(runbook: Runbook) -> list[NameProblem]:
    """Every wrong template and every name that will not be there when its step begins."""
    ended: dict[str, Step] = {}
    problems: list[NameProblem] = []
    index = 0
    for batch in runbook.batches():
        for step in batch:
            problems += _of_step(runbook, ended, index, step)
            index += 1
        ended |= {step.id: step for step in batch if not step.beside}
    return problems


def depends_on(step: Step) -> tuple[str, ...]:
    """Ids of the steps whose outputs its options or its `when` name, each once. Raises TemplateFaultError."""
    paths = [*names_in(step.with_), *(names_in_expression(step.when) if step.when else ())]
    return tuple(dict.fromkeys(path[1] for path in paths if len(path) > 1 and path[0] == STEPS))


def _of_step(runbook: Runbook, ended: Mapping[str, Step], index: int, step: Step) -> Iterator[NameProblem]:
    """ended: the steps that have ended when it begins, by id: not those of its own parallel group, and none
    that runs beside."""
    for path, value in _templates(step.with_, ("steps", index, "with")):
        yield from _judge(runbook, ended, path, lambda value=value: list(names_in(value)))
    if step.when is not None:
        expression = step.when
        yield from _judge(
            runbook, ended, ("steps", index, "when"), lambda: list(names_in_expression(expression))
        )


def _templates(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _templates(item, (*path, key))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _templates(item, (*path, number))
    elif is_template(value):
        yield path, value


def _judge(runbook: Runbook, before: Mapping[str, Step], path: Path, read: Any) -> Iterator[NameProblem]:
    try:
        names: list[tuple[str, ...]] = read()
    except TemplateFaultError as error:
        yield NameProblem(path, error.what, error.hint)
        return
    for name in names:
        found = _missing(runbook, before, name)
        if found:
            yield NameProblem(path, *found)


def _missing(runbook: Runbook, before: Mapping[str, Step], name: tuple[str, ...]) -> tuple[str, str] | None:
    """(what, allowed) where the name is not there."""
    root = name[0]
    if root != STEPS:
        known = [*runbook.vars, SERVICE, STEPS]
        if root in known:
            return None
        return f"there is no variable {root!r}", did_you_mean(root, known) or one_of(known)
    if len(name) == 1:
        return None
    if name[1] not in before:
        ids = list(before)
        later = any(s.id == name[1] for s in runbook.steps)
        what = f"step {name[1]!r} has not ended before this one" if later else f"there is no step {name[1]!r}"
        return what, did_you_mean(name[1], ids) or one_of(ids)
    if len(name) == 2:
        return None
    outputs = _outputs(before[name[1]])
    if outputs is None or name[2] in outputs:
        return None
    return (
        f"step {name[1]!r} has no output {name[2]!r}",
        did_you_mean(name[2], outputs) or one_of(outputs),
    )


def _outputs(step: Step) -> tuple[str, ...] | None:
    try:
        return action_type(step.action).outputs
    except RunbookError:
        return None  # the linter names the action
