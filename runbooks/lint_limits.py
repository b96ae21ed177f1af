"""Rules about limits and about people: times that bind something, and nobody asked at the wrong moment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from config.durations import format_duration
from config.findings import Finding
from runbooks.actions.base import Action
from runbooks.lint_subject import Rule, Subject, at
from runbooks.plan_view import expected_sum_ms
from runbooks.schema import Kind, OnFailure, Step

_MOVES: Final = frozenset({Kind.FAILOVER, Kind.SWITCHOVER, Kind.FAILBACK})


def limit_without_effect(subject: Subject) -> Iterator[Finding]:
    for index, step in enumerate(subject.steps):
        for option, why, mend in _without_effect(step, subject.kinds[step.id]):
            yield subject.error(at(index, option), f"`{option}` of step {step.id!r} has no effect", why, mend)


def _without_effect(step: Step, kind: type[Action] | None) -> Iterator[tuple[str, str, str]]:
    """(option, why, how to mend it)."""
    if step.answer_within is not None and step.on_failure is not OnFailure.ASK:
        yield "answer_within", f"on_failure is {step.on_failure.value}", "`on_failure: ask`, or leave it out"
    if step.on_failure is OnFailure.HAND_OVER and kind is not None and not kind.tells_loss:
        yield (
            "on_failure",
            f"{step.action} does not see whether the old primary is lost",
            "`on_failure: undo`",
        )
    longest_s = step.longest_s
    if step.budget is not None and step.budget >= longest_s:
        whole = format_duration(longest_s)
        yield "budget", f"all its attempts together end after {whole}", f"less than {whole}, or leave it out"
    if step.stall is None:
        return
    if step.stall >= step.timeout:
        yield "stall", "its time-out comes first", f"less than {format_duration(step.timeout)}"
    if kind is not None and not kind.tells_progress:
        yield "stall", f"{step.action} does not tell its progress", "leave it out; `timeout` ends it"


def question_asked_again(subject: Subject) -> Iterator[Finding]:
    """A no that is asked again until it is a yes is none."""
    for index, step, kind in subject.known():
        if kind.asks and step.retry is not None and step.retry.attempts > 1:
            yield subject.error(
                at(index, "retry"), f"step {step.id!r} would ask again after a no",
                f"{step.action} waits for people", "leave `retry` out; a longer `timeout` waits longer",
            )  # fmt: skip


def question_while_tentative(subject: Subject) -> Iterator[Finding]:
    """P6: people take minutes, and a healthy primary without its standbys takes no writes as long as that."""
    if subject.runbook.kind not in _MOVES:
        return
    tentative = next((i for i, s in enumerate(subject.steps) if s.undo), None)
    for index, step, kind in subject.known():
        asks = kind.asks or step.answer_within is not None
        if asks and tentative is not None and index >= tentative and subject.before_turn(index):
            yield subject.error(
                at(index, "id"), f"step {step.id!r} waits for people while something tentative stands",
                f"step {subject.steps[tentative].id!r} may have detached or stopped what clients wait for",
                "ask before the first step with `undo: true`, or after the point of no return",
            )  # fmt: skip


def budgets_above_the_rto(subject: Subject) -> Iterator[Finding]:
    if subject.service is None:
        return
    budgets = {s.id: round(s.budget * 1000) for s in subject.steps if s.budget is not None}
    sum_ms, rto_s = expected_sum_ms(subject.runbook, budgets), subject.service.objectives.rto
    if sum_ms is not None and sum_ms > rto_s * 1000:
        yield subject.warning(
            ("steps",), f"the budgets of its steps come to {sum_ms} ms, "
            f"the RTO of {subject.service.name} is {format_duration(rto_s)}",
            "detection and decision come on top", "smaller budgets, or an RTO that can be met",
        )  # fmt: skip


LIMIT_RULES: Final[tuple[Rule, ...]] = (
    limit_without_effect, question_asked_again, question_while_tentative, budgets_above_the_rto,
)  # fmt: skip
