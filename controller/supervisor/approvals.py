"""Requests for approval: asked once, given by a person who did not ask, expired means no."""

from __future__ import annotations

from dataclasses import dataclass

from controller.supervisor.ledger import Approval, Ledger
from model import events as ev
from model.errors import HeldError, UsageError
from model.ports import Clock, Journal

# As long as an operator may need from the page to the keyboard; after it the situation is judged anew.
EXPIRES_S = 900.0


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked: may `runbook` run, towards or for the member `to`? incident None: for something
    that is none, as a standby that is to be brought back."""

    incident: str | None
    runbook: str
    to: str | None
    what: str


class ApprovalDesk:
    def __init__(self, service: str, journal: Journal, clock: Clock) -> None:
        self._service = service
        self._journal = journal
        self._clock = clock

    async def ask(self, ledger: Ledger, question: Question) -> str | None:
        """Ask, unless just this was asked already. A question that is too old, or another one, expires.

        Returns the approval's id if it was asked now.
        """
        now_ns = self._wall_ns()
        waiting = ledger.waiting()
        if waiting is not None:
            same = (waiting.incident, waiting.runbook, waiting.to) == (
                question.incident,
                question.runbook,
                question.to,
            )
            if same and now_ns < waiting.expires_ns:
                return None
            await self._journal.append(
                ev.APPROVAL_EXPIRED,
                {"approval": waiting.id},
                service=self._service,
                incident=waiting.incident,
            )
        # Counted within the service, and named after it: `approve` takes no service.
        approval = f"APR-{self._service}-{len(ledger.approvals) + 1}"
        await self._journal.append(
            ev.APPROVAL_REQUESTED,
            {
                "approval": approval,
                "what": question.what,
                "runbook": question.runbook,
                "to": question.to,
                "requester": "daemon",
                "expires_wall_ns": now_ns + int(EXPIRES_S * 1e9),
            },
            service=self._service,
            incident=question.incident,
        )
        return approval

    async def give(self, ledger: Ledger, approval_id: str, person: str) -> Approval:
        """Raises UsageError for one that is not known, HeldError for one that can't be given."""
        approval = ledger.approvals.get(approval_id)
        if approval is None:
            known = ", ".join(a.id for a in ledger.approvals.values() if a.open) or "none is waiting"
            raise UsageError(f"no approval {approval_id!r} for {self._service}", hint=f"waiting: {known}")
        if approval.requester == person:
            raise HeldError(f"{person} asked for it and can't approve it", gate="approval")
        if approval.expired or self._wall_ns() >= approval.expires_ns:
            raise HeldError(f"{approval_id} has expired, which means no", gate="approval")
        if approval.given_by:
            raise HeldError(f"{approval_id} was given by {approval.given_by[-1]}", gate="approval")
        await self._journal.append(
            ev.APPROVAL_GIVEN,
            {"approval": approval_id, "person": person},
            service=self._service,
            incident=approval.incident,
            actor=person,
        )
        return approval

    def _wall_ns(self) -> int:
        return int(self._clock.wall_s() * 1e9)
