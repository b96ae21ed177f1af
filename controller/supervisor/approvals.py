"""Requests for approval: asked once, answered by persons who did not ask, expired means no.

Whether an answer may be given and whether enough were is said by `controller.approval_rules` alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controller.approval_rules import DAEMON, ApprovalState, Rule, Standing, may_not
from controller.supervisor.approval_records import Approval
from controller.supervisor.consent import Question, state_of
from controller.supervisor.ledger import Ledger
from model import events as ev
from model.errors import HeldError, UsageError
from model.ports import Clock, Journal


class ApprovalDesk:
    """One per service. ledger: the present one; rule: that of the level of now."""

    def __init__(
        self,
        service: str,
        journal: Journal,
        clock: Clock,
        *,
        ledger: Callable[[], Ledger],
        rule: Callable[[], Rule],
    ) -> None:
        self._service = service
        self._journal = journal
        self._clock = clock
        self._ledger = ledger
        self._rule = rule

    def state(self, approval: Approval) -> ApprovalState:
        """How it stands now."""
        return state_of(approval, self._rule(), self._wall_ns())

    def waiting(self) -> list[tuple[Approval, ApprovalState]]:
        """Those that wait for an answer, the oldest first."""
        states = [(a, self.state(a)) for a in self._ledger().approvals.values() if a.open]
        return [(a, s) for a, s in states if s.standing is Standing.WAITS]

    async def ask(self, question: Question) -> ApprovalState:
        """Ask of the daemon's own accord, unless just this waits already. What it asked before, and is too
        old or another question, expires."""
        rule = self._rule()
        for approval in [a for a in self._ledger().approvals.values() if a.open and a.requester == DAEMON]:
            state = self.state(approval)
            same = (approval.incident, approval.runbook, approval.to) == question.about
            if same and state.standing is Standing.WAITS:
                return state
            if state.standing is not Standing.GRANTED:
                await self.expire(approval, "it is too old" if same else "something else is asked now")
        return await self._request(question, DAEMON, rule, {})

    async def ask_for(
        self, question: Question, person: str, wish: dict[str, Any]
    ) -> tuple[ApprovalState, bool]:
        """Ask for what a person wants; (state, newly). What that person asked for before is withdrawn; what
        somebody else waits for already is not asked twice: it needs an answer."""
        for approval, state in self.waiting():
            same = (approval.runbook, approval.to, dict(approval.wish)) == (
                question.runbook,
                question.to,
                wish,
            )
            if same and approval.requester != DAEMON:
                return state, False
            if approval.requester == person:
                await self.expire(approval, f"{person} asks for something else")
        return await self._request(question, person, self._rule(), wish), True

    async def _request(
        self, question: Question, requester: str, rule: Rule, wish: dict[str, Any]
    ) -> ApprovalState:
        # Counted within the service, and named after it: `approve` takes no service.
        approval = f"APR-{self._service}-{len(self._ledger().approvals) + 1}"
        await self._journal.append(
            ev.APPROVAL_REQUESTED,
            {
                "approval": approval,
                "what": question.what,
                "runbook": question.runbook,
                "to": question.to,
                "requester": requester,
                "expires_wall_ns": self._wall_ns() + int(rule.expires_s * 1e9),
                "code": question.code,
                "level": rule.level,
                "needed": rule.needed(requester),
                "wish": wish,
            },
            service=self._service,
            incident=question.incident,
            actor=requester,
        )
        return self.state(self._ledger().approvals[approval])

    async def give(self, approval_id: str, person: str) -> ApprovalState:
        """One person agrees. Raises UsageError for one that is not known, HeldError for one that can't be
        given, or not by this person."""
        approval = self._answerable(approval_id)
        state = self.state(approval)
        if state.standing is Standing.GRANTED:
            raise HeldError(f"{approval_id} is {state.reason} already", gate="approval")
        if person in state.given:
            raise HeldError(
                f"{person} has approved {approval_id}, and counts once",
                gate="approval",
                hint=state.reason,
            )
        problem = may_not(self._rule(), approval.requester, person)
        if problem is not None:
            raise HeldError(problem, gate="approval", hint=state.reason)
        await self._journal.append(
            ev.APPROVAL_GIVEN,
            {"approval": approval_id, "person": person},
            service=self._service,
            incident=approval.incident,
            actor=person,
        )
        return self.state(self._ledger().approvals[approval_id])

    async def reject(self, approval_id: str, person: str, reason: str, code: str) -> ApprovalState:
        """One person says no, and that ends it. Whoever asked may take it back. code: the diagnosis of now.
        Raises as `give`."""
        approval = self._answerable(approval_id)
        rule, code = self._rule(), code if approval.code else ""
        problem = may_not(rule, approval.requester, person) if person != approval.requester else None
        if problem is not None:
            raise HeldError(problem, gate="approval", hint=self.state(approval).reason)
        await self._journal.append(
            ev.APPROVAL_REJECTED,
            {"approval": approval_id, "person": person, "reason": reason, "level": rule.level, "code": code},
            service=self._service,
            incident=approval.incident,
            actor=person,
        )
        return self.state(self._ledger().approvals[approval_id])

    async def expire(self, approval: Approval, why: str) -> None:
        """Its time, or what it was for, is over."""
        await self._journal.append(
            ev.APPROVAL_EXPIRED,
            {"approval": approval.id, "reason": why},
            service=self._service,
            incident=approval.incident,
        )

    async def use(self, approval: Approval, incident: str | None, state: ApprovalState) -> None:
        """What a person asked for is launched now, with the consent of others: a yes is for one execution."""
        await self._journal.append(
            ev.APPROVAL_USED,
            {
                "approval": approval.id,
                "what": approval.what,
                "requester": approval.requester,
                "given_by": list(state.given),
            },
            service=self._service,
            incident=incident,
            actor=approval.requester,
        )

    def _answerable(self, approval_id: str) -> Approval:
        """Raises UsageError for one that is not known, HeldError for one whose answer comes too late."""
        approval = self._ledger().approvals.get(approval_id)
        if approval is None:
            known = ", ".join(a.id for a, _s in self.waiting()) or "none is waiting"
            raise UsageError(f"no approval {approval_id!r} for {self._service}", hint=f"waiting: {known}")
        state = self.state(approval)
        if approval.used:
            raise HeldError(f"{approval_id} was given and used", gate="approval")
        if state.standing is Standing.REFUSED:
            raise HeldError(state.reason, gate="approval")
        return approval

    def _wall_ns(self) -> int:
        return int(self._clock.wall_s() * 1e9)
