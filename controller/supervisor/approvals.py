"""Requests for approval: asked once, given by a person who did not ask, expired means no."""

from __future__ import annotations

from controller.supervisor.ledger import Approval, Ledger
from model import events as ev
from model.decision import Decision
from model.errors import HeldError, UsageError
from model.ports import Clock, Journal

# As long as an operator may need from the page to the keyboard; after it the situation is judged anew.
EXPIRES_S = 900.0


class ApprovalDesk:
    def __init__(self, service: str, journal: Journal, clock: Clock) -> None:
        self._service = service
        self._journal = journal
        self._clock = clock

    async def ask(self, ledger: Ledger, decision: Decision, incident: str | None) -> None:
        """Ask for what `decision` prepared, unless that was asked already; let what is too old expire."""
        now_ns = self._wall_ns()
        waiting = ledger.waiting()
        if waiting is not None and waiting.incident == incident and now_ns < waiting.expires_ns:
            return
        if waiting is not None:
            await self._journal.append(
                ev.APPROVAL_EXPIRED,
                {"approval": waiting.id},
                service=self._service,
                incident=waiting.incident,
            )
        await self._journal.append(
            ev.APPROVAL_REQUESTED,
            {
                "approval": f"APR-{len(ledger.approvals) + 1}",
                "what": decision.reason,
                "runbook": decision.runbook,
                "to": decision.candidate,
                "requester": "daemon",
                "expires_wall_ns": now_ns + int(EXPIRES_S * 1e9),
            },
            service=self._service,
            incident=incident,
        )

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
