"""Rules about promotion: fenced before, no way back after, without the failed site, verified at the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from config.findings import Finding
from runbooks.lint_subject import Rule, Subject, at
from runbooks.schema import Kind, OnFailure, Step


def promotion_without_fence(subject: Subject) -> Iterator[Finding]:
    """S2. A fence that runs beside, or whose failure is put up with, proves nothing when the promotion
    begins. Whoever is delegated to sees to both."""
    report = subject.error if subject.runbook.kind is Kind.FAILOVER else subject.warning
    for index, step, kind in subject.known():
        promotes = kind.promotes and not kind.delegates
        if promotes and not any(_fences(subject, number, step) for number in range(index)):
            yield report(
                at(index, "action"), f"step {step.id!r} promotes without a fence before it",
                "the old primary could go on acknowledging writes",
                "before it a step that fences, that is waited for, and that stops or undoes if it fails",
            )  # fmt: skip


def _fences(subject: Subject, number: int, promotion: Step) -> bool:
    step = subject.steps[number]
    kind = subject.kinds[step.id]
    same_time = step.beside or (step.parallel is not None and step.parallel == promotion.parallel)
    certain = step.when is None or step.when == promotion.when
    return (
        kind is not None
        and kind.fencing(step.with_)
        and not same_time
        and certain
        and step.on_failure is not OnFailure.CONTINUE
    )


def promotion_that_can_be_undone(subject: Subject) -> Iterator[Finding]:
    """P12: once issued it can't be withdrawn."""
    for index, step, kind in subject.known():
        if kind.promotes and not step.point_of_no_return:
            yield subject.error(
                at(index, "id"), f"step {step.id!r} promotes and is no point of no return",
                "a promotion can't be withdrawn", "`point_of_no_return: true`",
            )  # fmt: skip


def step_that_needs_the_failed_site(subject: Subject) -> Iterator[Finding]:
    """S10. A fence may need it: where it can't be reached, it is held."""
    if subject.runbook.kind is not Kind.FAILOVER:
        return
    for index, step, kind in subject.known():
        if kind.needs_primary and not kind.fencing(step.with_) and step.on_failure is not OnFailure.CONTINUE:
            yield subject.error(
                at(index, "action"), f"step {step.id!r} needs the old primary, which is lost in a failover",
                f"{step.action} can't succeed without it",
                "`on_failure: continue`, or an action that does without",
            )  # fmt: skip


def failover_without_verification(subject: Subject) -> Iterator[Finding]:
    """S11: without T8 the recovery time is "not observed"."""
    promotes = any(kind.promotes for _, _, kind in subject.known())
    if subject.runbook.kind is Kind.FAILOVER and promotes:
        for mark, what in (("T6", "the promotion"), ("T8", "the verification from the client's side")):
            if not any(step.mark == mark for step in subject.steps):
                yield subject.warning(
                    ("steps",), f"no step marks {mark}, {what}", 'the report would say "not observed"',
                    f"`mark: {mark}` at the step that does it",
                )  # fmt: skip


SAFETY_RULES: Final[tuple[Rule, ...]] = (
    promotion_without_fence, promotion_that_can_be_undone, step_that_needs_the_failed_site,
    failover_without_verification,
)  # fmt: skip
