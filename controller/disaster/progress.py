"""How far a site plan has come: from the journal's folds, the same with the daemon alive or dead. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from controller import fields
from controller.disaster.declarations import Declaration, Declarations
from controller.phases import parse_wall_ns
from controller.remedies.remedy import KEEPS_ROLES
from controller.site_plan import Step
from controller.supervisor.approval_records import Approval
from controller.supervisor.ledger import REJOIN, Ledger
from model import events as ev
from model.disaster import Tier
from model.events import Event
from model.execution import ExecutionState

# Of one service.
DONE: Final = "done"
RUNNING: Final = "running"
ASKED: Final = "asked"
APPROVED: Final = "approved"
FAILED: Final = "failed"
WAITING: Final = "waiting"
HELD: Final = "held"
DUE: Final = "due"
# Of the whole, beside `done`.
UNDER_WAY: Final = "under way"
PARTIAL: Final = "partial"
STUCK: Final = "stuck"
NOTHING: Final = "nothing to move"
WITHDRAWN: Final = "withdrawn"
FROZEN: Final = "frozen"
OBSERVED: Final = "observed"

RUN_TYPES: Final = (ev.EXECUTION_OPENED, ev.EXECUTION_CLOSED)
_ENDED_WELL: Final = frozenset({ExecutionState.SUCCEEDED.value})


@dataclass(frozen=True, slots=True)
class Run:
    """The last execution of a service that was to move its primary. state None: it is open."""

    execution: str
    state: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class StepProgress:
    step: Step
    state: str
    why: str = ""
    primary: str | None = None
    approval: str | None = None
    execution: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            **self.step.to_json(),
            "state": self.state,
            "why": self.why,
            "primary": self.primary,
            "approval": self.approval,
            "execution": self.execution,
        }


@dataclass(frozen=True, slots=True)
class Progress:
    """state: of the whole; `partial`: some have moved, and the others can't go on or were called off."""

    declaration: Declaration
    state: str
    steps: tuple[StepProgress, ...]

    @property
    def moved(self) -> int:
        """How many services are elsewhere by now."""
        return sum(step.state == DONE for step in self.steps)

    def to_json(self) -> dict[str, Any]:
        declaration = self.declaration
        staying = declaration.plan.to_json()["staying"]
        return {
            "incident": declaration.id,
            "tier": declaration.tier.value,
            "scope": str(declaration.scope),
            "reason": declaration.reason,
            "person": declaration.person,
            "open": declaration.open,
            "state": self.state,
            "steps": [step.to_json() for step in self.steps],
            "staying": staying,
            "split_off": [s for s in declaration.leaving if s not in declaration.services],
            "expected_ms": declaration.plan.expected_ms,
        }


def moved(step: Step, ledger: Ledger | None) -> bool:
    """Its primary is known, and not at the place that is to be left."""
    return ledger is not None and ledger.primary is not None and ledger.primary not in step.leaving


def waits_for(declaration: Declaration, step: Step, ledgers: Mapping[str, Ledger]) -> tuple[str, ...]:
    """The services of the plan that must have moved before it, and have not. One that was split off, or is no
    service any more, is waited for no longer."""
    waited = []
    for other in step.after:
        before, ledger = declaration.step(other), ledgers.get(other)
        if before is not None and ledger is not None and not (moved(before, ledger) and not ledger.moving):
            waited.append(other)
    return tuple(waited)


def last_runs(events: Iterable[Event], since_seq: int) -> dict[str, Run]:
    """By service. events: of RUN_TYPES, in order; those after `since_seq` count."""
    runs: dict[str, Run] = {}
    for event in events:
        service, execution = event.service, event.execution
        if event.seq <= since_seq or service is None or execution is None:
            continue
        if event.type == ev.EXECUTION_OPENED and fields.text(event.data, "kind") not in KEEPS_ROLES:
            runs[service] = Run(execution)
        elif event.type == ev.EXECUTION_CLOSED and service in runs and runs[service].execution == execution:
            state, reason = fields.text(event.data, "state"), fields.text(event.data, "reason")
            runs[service] = Run(execution, state, reason)
    return runs


def progress(
    declaration: Declaration,
    ledgers: Mapping[str, Ledger],
    runs: Mapping[str, Run],
    wall_ns: int,
    held: Mapping[str, str],
) -> Progress:
    """held: service → what stops it now, where that is known."""
    scene = _Scene(declaration, ledgers, runs, wall_ns, held)
    steps = tuple(_step(scene, step) for step in declaration.steps)
    return Progress(declaration, _whole(declaration, steps), steps)


@dataclass(frozen=True, slots=True)
class _Scene:
    """The arguments of `progress`."""

    declaration: Declaration
    ledgers: Mapping[str, Ledger]
    runs: Mapping[str, Run]
    wall_ns: int
    held: Mapping[str, str]


def progress_from_events(events: Sequence[Event], incident: str) -> Progress | None:
    """From the whole journal alone: as it stands with the last record, or as it stood when it was closed.
    None for an incident that nobody declared."""
    declarations = Declarations()
    read: list[Event] = []
    for event in events:
        read.append(event)
        declarations = declarations.apply(event)
        if event.type == ev.INCIDENT_CLOSED and event.incident == incident:
            break
    declaration = declarations.known.get(incident)
    if declaration is None:
        return None
    return progress(
        declaration,
        {name: Ledger.read(name, read) for name in declaration.services},
        last_runs(read, declaration.seq),
        parse_wall_ns(read[-1].wall_utc) or 0,
        {},
    )


def _step(scene: _Scene, step: Step) -> StepProgress:
    ledger, run = scene.ledgers.get(step.service), scene.runs.get(step.service)
    if ledger is None:
        return StepProgress(step, HELD, "it is no service of the estate any more")
    execution = None if run is None else run.execution
    approval = _approval(ledger, scene.wall_ns)

    def told(state: str, why: str = "") -> StepProgress:
        return StepProgress(
            step, state, why, ledger.primary, None if approval is None else approval.id, execution
        )

    if ledger.moving:
        return told(RUNNING, f"{execution or 'an execution'} is open")
    if moved(step, ledger):
        return told(DONE, f"its primary is {ledger.primary}")
    waited = waits_for(scene.declaration, step, scene.ledgers)
    if waited:
        return told(WAITING, f"for {', '.join(waited)}")
    failed = ""
    if run is not None and run.state is not None and run.state not in _ENDED_WELL:
        failed = f"{run.execution} ended {run.state}" + (f": {run.reason}" if run.reason else "")
    if approval is not None:
        again = f"{failed}; asked again: " if failed else ""
        return told(APPROVED if len(approval.given_by) >= approval.needed else ASKED, again + approval.what)
    if failed:
        return told(FAILED, failed)
    why = scene.held.get(step.service) or _refused(ledger, scene.declaration.id)
    return told(HELD, why) if why else told(DUE)


def _approval(ledger: Ledger, wall_ns: int) -> Approval | None:
    """The question about its move that is open, or was answered and is about to be followed."""
    asked = [
        a
        for a in ledger.approvals.values()
        if not a.runbook.endswith(f"-{REJOIN}") and a.open and wall_ns < a.expires_ns
    ]
    return asked[-1] if asked else None


def _refused(ledger: Ledger, incident: str) -> str:
    """Who said no to what was asked last for the plan."""
    asked = [a for a in ledger.approvals.values() if a.incident == incident]
    no = asked[-1].rejected if asked and not asked[-1].expired else None
    return "" if no is None else f"approval: {asked[-1].id} was refused: {no.said}"


def _whole(declaration: Declaration, steps: tuple[StepProgress, ...]) -> str:
    states = [s.state for s in steps]
    done = [s for s in states if s == DONE]
    if declaration.tier is not Tier.NATURAL:
        kept = FROZEN if declaration.tier is Tier.MAN_MADE else OBSERVED
        return kept if declaration.open else WITHDRAWN
    if not steps:
        return NOTHING
    if len(done) == len(states):
        return DONE
    if RUNNING in states:
        return UNDER_WAY
    if not declaration.open:
        return PARTIAL if done else WITHDRAWN
    if all(s in (DONE, FAILED, HELD, WAITING) for s in states):
        return PARTIAL if done else STUCK
    return UNDER_WAY
