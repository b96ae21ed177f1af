"""Who may agree to what an execution's step asks: the rules of approvals, for the port `Consent`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from controller.approval_rules import DAEMON, Rule, Standing, judge_approval, may_not
from model.people import Agreement, Consent


class LevelConsent(Consent):
    """rule: that of a service at the level of its incident of now. A step asks for one person at least, also
    where whoever began the execution needed nobody's yes: asking is what it is there for."""

    def __init__(self, rule: Callable[[str], Rule]) -> None:
        self._rule = rule

    def agreement(self, service: str, requester: str, persons: int, given: Sequence[str]) -> Agreement:
        rule = self._rule(service)
        needed = max(persons, rule.needed(requester), 1)
        whole = replace(rule, persons=needed if requester == DAEMON else needed + 1)
        state = judge_approval(
            whole, approval="it", requester=requester, given=given, expires_ns=1, wall_ns=0
        )
        granted = state.standing is Standing.GRANTED
        return Agreement(granted, state.reason, needed, state.given, state.may_approve)

    def may_not(self, service: str, requester: str, person: str) -> str | None:
        return may_not(self._rule(service), requester, person)
