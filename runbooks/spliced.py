"""Where a value would be read as code: what is run, and in which words, is written out in the runbook.

A template there would let a variable, and whoever has a say in it (an alert's label, what a command
printed), choose the program, the statement or the server. Values go in beside it: as arguments, parameters,
environment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_args

from config.document import Path
from config.secrets import SecretRef
from config.validation import dotted
from model.errors import RunbookError
from runbooks.actions.base import Action
from runbooks.schema import Step
from runbooks.template import templated


def spliced(step: Step, kind: type[Action]) -> Iterator[tuple[Path, str]]:
    """(place in `with`, why not) of every template that stands where none may."""
    for path in (*kind.literals(step.with_), *_secrets(kind)):
        if templated(step.with_, path):
            yield path, "a value would be read as code, or choose what is run"


@cache
def _secrets(kind: type[Action]) -> tuple[Path, ...]:
    """Options that say where a secret is: a value there would choose which one is read, and handed on."""
    fields = kind.Options.model_fields.items()
    return tuple((name,) for name, field in fields if _speaks_of(field.annotation, SecretRef))


def _speaks_of(annotation: object, wanted: type) -> bool:
    return annotation is wanted or any(_speaks_of(part, wanted) for part in get_args(annotation))


def refuse_spliced(step: Step, kind: type[Action], inputs: Mapping[str, Any]) -> None:
    """Before anything is run, whoever made the runbook and whatever the linter was asked. Raises
    RunbookError."""
    for path, why in spliced(step, kind):
        raise RunbookError(
            f"no template may stand in `{dotted(path)}` of {step.action}: {why}", where=f"step {step.id}"
        )
    found = kind.intrusion(step.with_, inputs)
    if found:
        raise RunbookError(found, where=f"step {step.id}")
