"""Rules about taking back: what can be undone must be, and a stop must not leave half a change standing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from config.findings import Finding
from runbooks.actions.base import Action
from runbooks.lint_subject import Rule, Subject, at
from runbooks.schema import Kind, OnFailure


def change_without_check(subject: Subject) -> Iterator[Finding]:
    """S5: after a death its outcome could never be known."""
    for index, step, kind in subject.known():
        if not kind.changes(step.with_) or kind.observable(step.with_):
            continue
        if kind.check is Action.check:
            yield subject.error(
                at(index, "action"), f"{step.action} changes something and has no check of its effect",
                "an interrupted run of it could never be resumed", "an action that implements `check`",
            )  # fmt: skip
        else:
            yield subject.warning(
                at(index, "action"), f"step {step.id!r} does not say how its effect is seen",
                "the outcome of an interrupted run of it stays unknown, and a person must look",
                f"an option of {step.action} that says it: `bcm-failover action show {step.action}`",
            )  # fmt: skip


def change_that_nothing_takes_back(subject: Subject) -> Iterator[Finding]:
    for index, step, kind in subject.known():
        lasting = kind.changes(step.with_) and not kind.per_process
        if lasting and subject.before_turn(index) and not step.undo and not step.point_of_no_return:
            yield subject.error(
                at(index, "id"), f"step {step.id!r} changes something that nothing takes back",
                "it may run before the point of no return", "`undo: true`, or `point_of_no_return: true`",
            )  # fmt: skip


def stop_that_leaves_half_a_change(subject: Subject) -> Iterator[Finding]:
    """P6: standbys that stay detached block a healthy primary."""
    tentative = next((i for i, s in enumerate(subject.steps) if s.undo), None)
    if tentative is None:
        return
    report = subject.error if subject.runbook.kind is Kind.FAILOVER else subject.warning
    for index, step in enumerate(subject.steps):
        stops = step.on_failure in (OnFailure.STOP, OnFailure.ASK)
        if index >= tentative and subject.before_turn(index) and stops and not step.point_of_no_return:
            path = at(index, "on_failure") if "on_failure" in step.model_fields_set else at(index, "id")
            yield report(
                path, f"if step {step.id!r} fails, step {subject.steps[tentative].id!r} stays as it is",
                f"on_failure is {step.on_failure.value}", "`on_failure: undo`",
            )  # fmt: skip


ORDER_RULES: Final[tuple[Rule, ...]] = (
    change_without_check, change_that_nothing_takes_back, stop_that_leaves_half_a_change,
)  # fmt: skip
