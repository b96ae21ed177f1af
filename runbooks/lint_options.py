"""Rules about single steps: actions, options and names that there are, and options that have an effect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydantic import ValidationError

from config.findings import Finding, did_you_mean, one_of
from config.validation import dotted, unknown_key
from model.errors import RunbookError
from runbooks.actions.base import Action
from runbooks.lint_subject import Rule, Subject, at
from runbooks.names import name_problems
from runbooks.registry import action_names, action_type
from runbooks.schema import OnFailure, Step
from runbooks.spliced import spliced
from runbooks.template import TemplateFaultError, constant, templated
from runbooks.values import type_problem

_TAKES_BACK: Final = frozenset({OnFailure.UNDO, OnFailure.HAND_OVER})


def unknown_action(subject: Subject) -> Iterator[Finding]:
    for index, step in enumerate(subject.steps):
        if subject.kinds[step.id] is not None:
            continue
        try:
            action_type(step.action)
        except RunbookError as error:
            names = action_names()
            near = did_you_mean(step.action, names)
            yield subject.error(at(index, "action"), error.what, near, "" if near else one_of(names))


def wrong_options(subject: Subject) -> Iterator[Finding]:
    """Values that are templates are judged when the step begins; that the option exists is judged here."""
    for index, step, kind in subject.known():
        try:
            kind.Options.model_validate(step.with_)
        except ValidationError as error:
            for detail in error.errors(include_url=False, include_context=False, include_input=False):
                path = at(index, "with", *detail["loc"])
                if detail["type"] == "extra_forbidden":
                    yield unknown_key(subject.document, path, list(kind.Options.model_fields))
                elif detail["type"] == "missing":
                    yield subject.error(
                        path, f"{step.action} needs the option {detail['loc'][-1]!r}", "it has no default"
                    )
                elif not templated(step.with_, detail["loc"]):
                    message = detail["msg"].removeprefix("Value error, ")
                    what = f"option {detail['loc'][-1]!r}" if detail["loc"] else "the options"
                    yield subject.error(path, f"{what} of {step.action}: {message}")


def unknown_names(subject: Subject) -> Iterator[Finding]:
    for problem in name_problems(subject.runbook):
        yield subject.error(problem.path, problem.what, "", problem.allowed)


def value_as_code(subject: Subject) -> Iterator[Finding]:
    """A value may never choose what is run, nor be read as a part of it."""
    for index, step, kind in subject.known():
        for path, why in spliced(step, kind):
            yield subject.error(
                at(index, "with", *path), f"no template may stand in `{dotted(path)}` of {step.action}", why,
                "written out; values go where the action takes values",
            )  # fmt: skip


def wrong_defaults(subject: Subject) -> Iterator[Finding]:
    for name, variable in subject.runbook.vars.items():
        path = ("vars", name, "default")
        if variable.default is None:
            continue
        found = type_problem(variable.default, variable.type)
        if found:
            yield subject.error(path, f"the default of {name!r} {found}")
        if variable.required:
            yield subject.error(
                path, f"the default of {name!r} has no effect", "the variable is required", "one of the two"
            )


def constant_condition(subject: Subject) -> Iterator[Finding]:
    for index, step in enumerate(subject.steps):
        if step.when is None:
            continue
        try:
            value = constant(step.when)
        except TemplateFaultError as error:
            yield subject.error(at(index, "when"), error.what, "", error.hint)
            continue
        if value is True:
            yield subject.error(
                at(index, "when"), "`when` has no effect", "it is always true", "leave it out"
            )
        elif value is False:
            yield subject.error(
                at(index, "when"), f"step {step.id!r} is never reached", "its `when` is always false",
                "name a variable or an output, or leave the step out",
            )  # fmt: skip


def no_effect(subject: Subject) -> Iterator[Finding]:
    for index, step in enumerate(subject.steps):
        for option, why, mend in _without_effect(subject, index, step, subject.kinds[step.id]):
            yield subject.error(at(index, option), f"`{option}` of step {step.id!r} has no effect", why, mend)


def _without_effect(
    subject: Subject, index: int, step: Step, kind: type[Action] | None
) -> Iterator[tuple[str, str, str]]:
    """(option, why, how to mend it)."""
    past = not subject.before_turn(index)
    if step.retry is not None and step.retry.attempts == 1:
        yield "retry", "one attempt is what there is without it", "2 or more attempts, or leave it out"
    if step.beside and index == len(subject.steps) - 1:
        yield "beside", "no step follows it", "leave it out"
    if step.parallel is not None:
        yield from _parallel_without_effect(subject, index, step)
    if step.undo and past:
        yield "undo", "nothing is taken back from the point of no return on", "leave it out"
    if step.on_failure in _TAKES_BACK and (past or step.point_of_no_return):
        yield "on_failure", "nothing is taken back from the point of no return on", "stop, ask or continue"
    if kind is None:
        return
    changing = kind.changes(step.with_)
    if step.undo and not changing:
        yield "undo", f"{step.action} changes nothing", "leave it out"
    elif step.undo and not kind.reversible(step.with_):
        yield (
            "undo",
            f"{step.action} can't be taken back",
            "mark the step as point_of_no_return, or leave it out",
        )
    if step.point_of_no_return and not changing:
        yield "point_of_no_return", f"{step.action} changes nothing", "leave it out"


def _parallel_without_effect(subject: Subject, index: int, step: Step) -> Iterator[tuple[str, str, str]]:
    steps = subject.steps
    neighbours = (*steps[max(index - 1, 0) : index], *steps[index + 1 : index + 2])
    if not any(s.parallel == step.parallel for s in neighbours):
        yield (
            "parallel",
            f"no step next to it is of the group {step.parallel!r}",
            "put the group's steps together",
        )
    elif step.beside:
        yield "parallel", "a step beside runs at the same time as all that follow", "one of the two"


def same_mark_twice(subject: Subject) -> Iterator[Finding]:
    first: dict[str, Step] = {}
    for index, step in enumerate(subject.steps):
        if step.mark is None:
            continue
        before = first.setdefault(step.mark, step)
        if before is not step and before.when is None:
            yield subject.error(
                at(index, "mark"), f"{step.mark} is marked by step {before.id!r} already",
                "only the first one counts", "leave one of them out",
            )  # fmt: skip


OPTION_RULES: Final[tuple[Rule, ...]] = (
    unknown_action, wrong_options, value_as_code, unknown_names, wrong_defaults, constant_condition,
    no_effect, same_mark_twice,
)  # fmt: skip
