"""Turns a step and the execution's variables into an action that is ready to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from model.errors import RunbookError
from runbooks.actions.base import Action
from runbooks.registry import action_type
from runbooks.schema import Step
from runbooks.spliced import refuse_spliced
from runbooks.template import render, render_by_line


@dataclass(frozen=True, slots=True)
class Bound:
    """`inputs`: the step's options with every template filled in, as they are journaled."""

    action: Action
    inputs: Mapping[str, Any]


def bind(step: Step, variables: Mapping[str, Any]) -> Bound:
    """Raises RunbookError: an unknown action, an undefined name, a value where code stands, or options that
    the action refuses."""
    kind = action_type(step.action)
    try:
        inputs = {
            name: render_by_line(value, variables)
            if name in kind.by_line and isinstance(value, str)
            else render(value, variables)
            for name, value in step.with_.items()
        }
    except RunbookError as error:
        raise RunbookError(error.what, where=f"step {step.id}", hint=error.hint) from error
    refuse_spliced(step, kind, inputs)
    return bind_inputs(step, inputs)


def bind_inputs(step: Step, inputs: Mapping[str, Any]) -> Bound:
    """The same with inputs that were journaled: what is taken back is what was done. Raises RunbookError."""
    kind = action_type(step.action)
    try:
        options = kind.Options.model_validate(inputs)
    except ValidationError as error:
        raise RunbookError(
            "; ".join(option_problems(error)),
            where=f"step {step.id}",
            hint=f"the options of {step.action}: {', '.join(kind.Options.model_fields) or 'none'}",
        ) from error
    return Bound(kind(options), dict(inputs))


def option_problems(error: ValidationError) -> list[str]:
    """One line for each; values are not repeated, since one may be a secret (S12)."""
    return [
        f"option {'.'.join(str(part) for part in detail['loc']) or '(all)'}: "
        f"{detail['msg'].removeprefix('Value error, ')}"
        for detail in error.errors(include_url=False, include_input=False, include_context=False)
    ]
