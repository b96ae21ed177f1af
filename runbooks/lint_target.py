"""Rules about the service that a runbook is meant for: its engine, its members, its RTO."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from config.durations import format_duration
from config.findings import Finding
from runbooks.lint_subject import Rule, Subject
from runbooks.plan_view import expected_sum_ms
from runbooks.values import type_problem


def other_engine(subject: Subject) -> Iterator[Finding]:
    service, runbook = subject.service, subject.runbook
    if service is not None and runbook.engine not in ("generic", service.engine):
        yield subject.error(
            ("engine",), f"the runbook is for {runbook.engine}; {service.name} is made of {service.engine}",
            "", "a runbook for its engine",
        )  # fmt: skip


def default_that_is_no_member(subject: Subject) -> Iterator[Finding]:
    if subject.service is None:
        return
    for name, variable in subject.runbook.vars.items():
        if variable.default is None or type_problem(variable.default, variable.type):
            continue
        found = type_problem(variable.default, variable.type, subject.service)
        if found:
            yield subject.error(("vars", name, "default"), f"the default of {name!r} {found}")


def longer_than_the_rto(subject: Subject) -> Iterator[Finding]:
    """Of what was measured; detection and decision come on top."""
    if subject.service is None:
        return
    rto_s = subject.service.objectives.rto
    sum_ms = expected_sum_ms(subject.runbook, {step: e.p95_ms for step, e in subject.expected.items()})
    if sum_ms is not None and sum_ms > rto_s * 1000:
        longest = max(subject.expected, key=lambda step: subject.expected[step].p95_ms)
        yield subject.warning(
            ("steps",),
            f"its steps are expected to take {sum_ms} ms (95th percentile), "
            f"the RTO of {subject.service.name} is {format_duration(rto_s)}",
            f"the longest is {longest!r} with {subject.expected[longest].p95_ms} ms",
            "parallel steps, or an RTO that can be met",
        )


TARGET_RULES: Final[tuple[Rule, ...]] = (other_engine, default_that_is_no_member, longer_than_the_rto)
