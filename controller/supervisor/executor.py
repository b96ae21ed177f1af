"""Runs runbooks for a supervisor, and makes the journal say what they changed."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from config.endpoints import endpoint_of
from config.schema import Estate, Service
from controller import fields
from controller.engines import engine_of
from controller.executions import Execution, expected_durations, fold_executions
from controller.remedies import endpoint
from controller.remedies.remedy import MENDS
from controller.remedies.table import REMEDIES
from controller.supervisor.ledger import FAILOVER, REJOIN, Ledger
from controller.supervisor.mending import Outcome
from controller.supervisor.runbook_shelf import RunbookShelf
from model import events as ev
from model.errors import RunbookError
from model.events import Event
from model.execution import ExecutionState, Mode, StepState
from model.ports import Journal
from runbooks.actions.base import ActionPorts
from runbooks.engine import Engine, ExecutionResult, Opened
from runbooks.planner import Plan, make_plan
from runbooks.reconcile import Found
from runbooks.recorded import recorded_from_events
from runbooks.schema import Runbook

SWITCHOVER = "switchover"
FAILBACK = "failback"
DRAIN = "drain"
RESTORE = "restore"
MOVES = frozenset({FAILOVER, SWITCHOVER, FAILBACK})
_EXECUTION_TYPES = (ev.EXECUTION_OPENED, ev.STEP_INTENT, ev.STEP_RESULT, ev.EXECUTION_CLOSED)


# A dry run is told the times of real ones.
_LIKE = {Mode.DRY_RUN: Mode.REAL}


@dataclass(frozen=True, slots=True)
class Order:
    """One run that somebody wants. `member`: the one that is to be brought back, for a rejoin. own: what only
    the runbooks of its engine know (`Remedy.variables`). not_asked: members that a person must be asked for
    first (S9, `no_return`). returning: those that lost the role a short while ago. continues: the
    execution that was handed over to it. given: variables that a person has set by name."""

    service: Service
    runbook: str
    primary: str | None
    candidate: str | None
    own: Mapping[str, Any]
    incident: str | None
    trigger: str
    actor: str
    overrides: tuple[str, ...] = ()
    member: str | None = None
    not_asked: tuple[str, ...] = ()
    returning: tuple[str, ...] = ()
    continues: str | None = None
    given: Mapping[str, Any] = field(default_factory=dict)

    def vars(self, epoch: int) -> dict[str, Any]:
        """The variables that the shipped runbooks know; each takes those that it declares."""
        gone = {self.primary, self.member}
        way = endpoint_of(self.service)
        return {
            "service": self.service.name,
            "primary": self.primary,
            "candidate": self.candidate,
            "member": self.member,
            "standbys": [m for m in self.service.members if m != self.primary],
            "others": [m for m in self.service.members if m not in gone],
            "not_asked": list(self.not_asked),
            "returning": list(self.returning),
            "endpoint": way.type if way is not None else "none",
            "epoch": epoch,
            "overrides": list(self.overrides),
            **self.own,
        }


class Executor:
    """One per estate. runbooks: by name, those that are loaded already."""

    def __init__(
        self, ports: ActionPorts, estate: Estate, runbooks: dict[str, Runbook] | None = None
    ) -> None:
        self._ports = ports
        self._estate = estate
        self.engine = Engine(ports, estate)
        self._shelf = RunbookShelf(estate, estate.daemon.runbook_dirs, runbooks)

    def warm_up(self) -> list[str]:
        """Load runbooks, actions and templates before they are needed: the first use costs half a second, and
        the first use is in an outage. Returns what is wrong with them, one line each."""
        problems: list[str] = []
        for service in self._estate.services.values():
            engine, own = engine_of(service.engine, service.managed_by), endpoint.runbook_of(service)
            for name in (*engine.runbooks.values(), *([own] if own else ())):
                try:
                    runbook = self._shelf.ready(name, service)
                except RunbookError as error:
                    problems.append(str(error))
                    continue
                with contextlib.suppress(
                    RunbookError
                ):  # the variables are missing, and that is not asked here
                    make_plan(runbook, estate=self._estate, service=service, vars={})
        return list(dict.fromkeys(problems))

    def kind_of(self, runbook: str) -> str:
        """Raises RunbookError."""
        return self._shelf.load(runbook).kind.value

    @property
    def _journal(self) -> Journal:
        return self._ports.journal

    def takes(self, runbook: str, variable: str) -> bool:
        """It declares the variable: to give one that it does not know would have no effect."""
        return variable in self._shelf.load(runbook).vars

    def plan(self, order: Order, mode: Mode = Mode.REAL) -> Plan:
        """Raises RunbookError for findings of the linter, and for variables that do not fit."""
        runbook = self._shelf.ready(order.runbook, order.service)
        known = order.vars(self._ports.lease.epoch)
        given = {name: known[name] for name in runbook.vars if known.get(name) is not None}
        given |= order.given
        return make_plan(runbook, estate=self._estate, service=order.service, vars=given, mode=mode)

    async def describe(self, order: Order, mode: Mode) -> dict[str, Any]:
        """The plan as people read it: commands, live prechecks, expected times against the RTO."""
        events = self._journal.events(types=_EXECUTION_TYPES)
        expected = expected_durations(events, order.runbook, mode=_LIKE.get(mode, mode).value)
        plan = self.plan(order, mode)
        return (await plan.describe(self._ports, expected=expected)).to_json()

    async def open(self, order: Order) -> Opened:
        """Journal the execution; nothing is changed yet. Raises HeldError if one is running."""
        return await self.engine.open(
            self.plan(order),
            incident=order.incident,
            actor=order.actor,
            trigger=order.trigger,
            continues=order.continues,
        )

    async def execute(self, opened: Opened) -> ExecutionResult:
        """To its end, whatever that is."""
        return await self.engine.execute(opened)

    async def resume(self, execution: str, reason: str) -> ExecutionResult:
        """One that a dead process left open (S5)."""
        recorded = recorded_from_events(self._journal.events(execution=execution), execution)
        return await self.engine.resume(recorded, reason=reason)

    def knows(self, service: Service, execution: str) -> bool:
        """It is one of this service's."""
        opened = self._journal.events(types=(ev.EXECUTION_OPENED,), execution=execution)
        return any(event.service == service.name for event in opened)

    async def reconcile(self, execution: str) -> list[Found]:
        """What the checks of its open steps see. Raises UsageError, RunbookError."""
        recorded = recorded_from_events(self._journal.events(execution=execution), execution)
        return await self.engine.reconcile(recorded)

    # --- settling

    def unsettled(self, service: Service) -> str | None:
        """The last execution that moved the primary, if the journal does not say yet all that it changed: the
        process died in between. Older ones are past: what came after them counts."""
        events = self._journal.events(service=service.name)
        moved = [
            e for e in fold_executions(events).values() if e.closed is not None and promoted_by(e) is not None
        ]
        if not moved or (_judged(events, moved[-1]) and _primary_told(events, moved[-1])):
            return None
        return moved[-1].id

    async def settle(self, service: Service, execution_id: str, ledger: Ledger) -> Outcome:
        """Journal whom the execution retired or brought back, its setting and the block (S8). May be repeated
        until `judge` has ended it."""
        events = self._journal.events(service=service.name)
        run = fold_executions(events)[execution_id]
        kind = _kind(run, events)
        outcome = _told(run, kind)
        promoted = promoted_by(run)
        if kind in MOVES and promoted is not None:
            if not _judged(events, run):
                await self._moved(run, kind, promoted, ledger)
            if not _primary_told(events, run):
                outcome = replace(outcome, primary=promoted, timeline=_promoted_timeline(run))
        if kind in MENDS and run.state == ExecutionState.SUCCEEDED.value and outcome.tried is not None:
            if kind in (REJOIN, RESTORE):
                await self._append(run, ev.MEMBER_REJOINED, {"member": outcome.tried})
            if kind == DRAIN and run.trigger != "manual" and _was_in_use(run):
                lost = {"member": outcome.tried, "why": "it was down", "kind": kind}
                await self._append(run, ev.MEMBER_RETIRED, lost)
            outcome = replace(outcome, rejoined=outcome.tried, another=kind == REJOIN)
        return outcome

    async def judge(self, service: Service, execution_id: str) -> None:
        """Journal what was lost, if it moved the primary: the last record of all that it changed."""
        events = self._journal.events(service=service.name)
        run = fold_executions(events)[execution_id]
        if _kind(run, events) not in MOVES or promoted_by(run) is None or _judged(events, run):
            return
        verdict = REMEDIES[service.engine].verdict(events, run.incident, run.id)
        await self._append(run, ev.RPO_VERDICT, verdict.to_json())

    async def _moved(self, run: Execution, kind: str, promoted: str, ledger: Ledger) -> None:
        old = fields.optional_text(run.vars, "primary")
        if old is not None and old != promoted:
            lost = {"member": old, "why": f"{promoted} was promoted", "kind": kind}
            await self._append(run, ev.MEMBER_RETIRED, lost)
            attached = run.step("attached")
            if attached is not None and attached.state == StepState.SUCCEEDED.value:
                await self._append(run, ev.MEMBER_REJOINED, {"member": old})
        names = run.step("names")
        if names is not None and names.state == StepState.SUCCEEDED.value:
            value = fields.text(names.output, "setting")
            data = {"member": promoted, "value": value, "source": "set", "previous": ledger.settings.current}
            await self._append(run, ev.SYNC_SETTING, {**data, "confirmed": True})
        if kind == FAILOVER and run.trigger != "manual":
            await self._append(
                run,
                ev.SERVICE_BLOCKED,
                {"reason": f"{run.id} failed over; blocked until redundancy is restored or acknowledged"},
            )
        if kind != FAILOVER:
            await self._mark_planned_start(run)

    async def _mark_planned_start(self, run: Execution) -> None:
        """The outage of a planned switch begins when the old primary is closed for writes; where it is the
        remedy of an outage, it began with that."""
        opened = self._journal.events(types=(ev.INCIDENT_OPENED,), incident=run.incident)
        if run.incident is None or any(fields.integer(e.data, "t0_ns") is not None for e in opened):
            return
        quiesce = run.step("quiesce")
        began = quiesce.attempts[0].began if quiesce is not None and quiesce.attempts else None
        if began is not None:
            await self._append(run, ev.CLOCK_MARK, {"mark": "T0", "at_ns": began.mono_ns, "note": "planned"})

    async def _append(self, run: Execution, type_: str, data: dict[str, Any]) -> None:
        await self._journal.append(
            type_, data, service=run.service, incident=run.incident, execution=run.id, actor=run.actor
        )


def promoted_by(run: Execution) -> str | None:
    """The member that the execution is known to have promoted."""
    promote = run.step("promote")
    if promote is None or promote.state != StepState.SUCCEEDED.value:
        return None
    prove = run.step("prove")
    return (
        fields.optional_text(promote.output, "member")
        or (fields.optional_text(prove.output, "candidate") if prove is not None else None)
        or fields.optional_text(run.vars, "candidate")
    )


def _was_in_use(run: Execution) -> bool:
    """Before it was drained: who was taken out of use by a person is put back by a person."""
    drain = run.step("drain")
    before = drain.output.get("before") if drain is not None else None
    return isinstance(before, Mapping) and any(state == "ready" for state in before.values())


def _judged(events: Sequence[Event], run: Execution) -> bool:
    return any(e.type == ev.RPO_VERDICT and e.execution == run.id for e in events)


def _primary_told(events: Sequence[Event], run: Execution) -> bool:
    """Whoever was journaled as primary since it began: what was said later counts, not this execution."""
    return any(e.type == ev.SERVICE_PRIMARY and e.seq > run.opened_seq for e in events)


def _promoted_timeline(run: Execution) -> int | None:
    promote = run.step("promote")
    return fields.integer(promote.output, "timeline") if promote is not None else None


def _kind(run: Execution, events: Sequence[Event]) -> str:
    opened = next(e for e in events if e.type == ev.EXECUTION_OPENED and e.execution == run.id)
    return fields.text(opened.data, "kind")


def _told(run: Execution, kind: str) -> Outcome:
    """How the end of the execution is told to people."""
    tried = fields.optional_text(run.vars, "member") if kind in MENDS else None
    what = f"{run.runbook} {run.id}"
    match run.state:
        case ExecutionState.SUCCEEDED.value:
            return Outcome(run.state, tried=tried, page=f"{what} succeeded", severity="info")
        case ExecutionState.UNDONE.value:
            # After a person's own request the person knows; else the service is out, and nobody does.
            severity = "warning" if run.trigger == "manual" else "page"
            return Outcome(
                run.state, tried=tried, page=f"{what} was taken back: {run.reason}", severity=severity
            )
        case ExecutionState.HANDED_OVER.value:
            page = f"{what} found the old primary lost and is to go on as a failover: {run.reason}"
            return Outcome(run.state, tried=tried, page=page, severity="page")
        case _:
            return Outcome(
                run.state,
                tried=tried,
                page=f"{what} ended {run.state}: {run.reason}; `bcm-failover execution show {run.id}`",
                severity="page",
            )
