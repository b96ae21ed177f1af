"""Finds what is wrong with a runbook before it is needed: each finding with its line, and how to mend it.

A rule is a function from the subject to findings; the modules lint_* hold them by concern.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from config.findings import Finding, Severity, in_order
from config.schema import Estate, Service
from runbooks.lint_limits import LIMIT_RULES
from runbooks.lint_options import OPTION_RULES
from runbooks.lint_order import ORDER_RULES
from runbooks.lint_safety import SAFETY_RULES
from runbooks.lint_secrets import SECRET_RULES
from runbooks.lint_subject import Subject
from runbooks.lint_target import TARGET_RULES
from runbooks.plan_view import Expected
from runbooks.schema import Runbook

__all__ = ["has_errors", "lint"]

_RULES = (*OPTION_RULES, *LIMIT_RULES, *ORDER_RULES, *SAFETY_RULES, *SECRET_RULES, *TARGET_RULES)


def lint(
    runbook: Runbook,
    estate: Estate | None = None,
    service: Service | str | None = None,
    *,
    expected: Mapping[str, Expected] | None = None,
) -> list[Finding]:
    """Every finding, by place in the file. Without estate and service only what is in the runbook is judged.

    expected: how long its steps took in the past, for the comparison with the RTO. Raises KeyError if the
    estate has no such service.
    """
    target = estate.services[service] if isinstance(service, str) and estate is not None else service
    subject = Subject.of(runbook, target if isinstance(target, Service) else None, expected or {})
    return list(in_order(finding for rule in _RULES for finding in rule(subject)))


def has_errors(findings: Sequence[Finding]) -> bool:
    return any(finding.severity is Severity.ERROR for finding in findings)
