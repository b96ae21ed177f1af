"""Has somebody agreed to what would be done now, or said no? The records by the rule of now. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from controller.approval_rules import DAEMON, ApprovalState, Rule, Standing, judge_approval
from controller.supervisor.approval_records import Approval
from controller.supervisor.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked: may `runbook` run, towards or for the member `to`? incident None: for something
    that is none, as a standby that is to be brought back. code: the diagnosis that it is asked for; '' where
    it is for none."""

    incident: str | None
    runbook: str
    to: str | None
    code: str
    what: str = ""

    @property
    def about(self) -> tuple[str | None, str, str | None]:
        """Two questions about the same are the same question."""
        return (self.incident, self.runbook, self.to)


def state_of(approval: Approval, rule: Rule, wall_ns: int) -> ApprovalState:
    return judge_approval(
        rule,
        approval=approval.id,
        requester=approval.requester,
        given=approval.given_by,
        expires_ns=approval.expires_ns,
        wall_ns=wall_ns,
        rejected=None if approval.rejected is None else approval.rejected.said,
        expired=approval.expired,
    )


def asked_by_daemon(ledger: Ledger, question: Question) -> list[Approval]:
    """The newest first."""
    return [
        a
        for a in reversed(list(ledger.approvals.values()))
        if a.requester == DAEMON and (a.incident, a.runbook, a.to) == question.about
    ]


def consent(ledger: Ledger, rule: Rule, question: Question, wall_ns: int) -> ApprovalState | None:
    """How it stands with what the daemon asked; None: it was not asked, or too long ago.

    A no counts for as long as the circumstances are those in which it was said: the member, the level and the
    diagnosis. A yes is for one execution.
    """
    for approval in asked_by_daemon(ledger, question):
        no = approval.rejected
        if no is not None and not approval.expired and (no.level, no.code) == (rule.level, question.code):
            return state_of(approval, rule, wall_ns)
    for approval in asked_by_daemon(ledger, question):
        state = state_of(approval, rule, wall_ns)
        if approval.open and state.standing is not Standing.REFUSED:
            return state
    return None
