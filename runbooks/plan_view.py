"""What a plan would do, for a person and as JSON: commands, places, prechecks, expected time and RTO."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from model.errors import BcmError
from model.execution import Precheck
from runbooks.actions.base import Action, ActionPorts, StepContext
from runbooks.binding import bind
from runbooks.names import STEPS, depends_on
from runbooks.registry import action_type
from runbooks.schema import Runbook, Step
from runbooks.template import TemplateFaultError, evaluate

if TYPE_CHECKING:
    from runbooks.planner import Plan

PRECHECK_TIMEOUT_S: Final = 5.0  # a person waits for the plan; a server that needs longer is the finding


class Expected(Protocol):
    """How long a step took in the past."""

    @property
    def p50_ms(self) -> int: ...

    @property
    def p95_ms(self) -> int: ...

    @property
    def samples(self) -> int: ...


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One step. `decided_by`: steps whose outputs settle what it does; then `commands` may be empty.
    runs: `yes`, `no` (its `when` is false) or `decided by step X`."""

    step: str
    action: str
    description: str
    where: str
    commands: tuple[str, ...]
    runs: str
    decided_by: tuple[str, ...]
    changing: bool
    undo: bool
    point_of_no_return: bool
    parallel: str | None
    beside: bool
    on_failure: str
    timeout_ms: int
    attempts: int
    mark: str | None
    expected_p50_ms: int | None
    expected_p95_ms: int | None
    samples: int
    prechecks: tuple[Precheck, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class PlanView:
    """`expected_*_ms`: the sum along the steps that follow each other, of those that have a past;
    `unmeasured` names the others. at_most_ms: if every attempt of every step took its whole time-out."""

    runbook: str
    kind: str
    digest: str
    plan_digest: str
    service: str
    mode: str
    vars: Mapping[str, Any]
    rows: tuple[PlanRow, ...]
    expected_p50_ms: int | None
    expected_p95_ms: int | None
    unmeasured: tuple[str, ...]
    at_most_ms: int
    rto_ms: int

    @property
    def within_rto(self) -> bool | None:
        """Does the 95th percentile fit? None where nothing was measured."""
        return None if self.expected_p95_ms is None else self.expected_p95_ms <= self.rto_ms

    @property
    def failed_prechecks(self) -> tuple[tuple[str, Precheck], ...]:
        return tuple(
            (row.step, check) for row in self.rows for check in row.prechecks if check.ok is not True
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "runbook": self.runbook,
            "kind": self.kind,
            "digest": self.digest,
            "plan_digest": self.plan_digest,
            "service": self.service,
            "mode": self.mode,
            "vars": dict(self.vars),
            "steps": [row.to_json() for row in self.rows],
            "expected_p50_ms": self.expected_p50_ms,
            "expected_p95_ms": self.expected_p95_ms,
            "unmeasured": list(self.unmeasured),
            "at_most_ms": self.at_most_ms,
            "rto_ms": self.rto_ms,
            "within_rto": self.within_rto,
        }


async def view(
    plan: Plan, ports: ActionPorts, expected: Mapping[str, Expected], *, with_prechecks: bool
) -> PlanView:
    context = StepContext(
        estate=plan.estate,
        service=plan.service,
        ports=ports,
        execution="(plan)",
        incident=None,
        actor="plan",
        vars={**plan.vars, STEPS: {step.id: {} for step in plan.runbook.steps}},
    )
    async with context.stack:
        rows = await asyncio.gather(
            *(_row(step, context, expected.get(step.id), with_prechecks) for step in plan.runbook.steps)
        )
    running = {row.step for row in rows if row.runs != "no"}
    measured = {step: e for step, e in expected.items() if step in running}
    return PlanView(
        runbook=plan.runbook.name,
        kind=plan.runbook.kind.value,
        digest=plan.runbook.digest,
        plan_digest=plan.digest,
        service=plan.service.name,
        mode=plan.mode.value,
        vars=plan.vars,
        rows=tuple(rows),
        expected_p50_ms=expected_sum_ms(plan.runbook, {s: e.p50_ms for s, e in measured.items()}),
        expected_p95_ms=expected_sum_ms(plan.runbook, {s: e.p95_ms for s, e in measured.items()}),
        unmeasured=tuple(row.step for row in rows if row.step in running and row.step not in measured),
        at_most_ms=_at_most_ms(plan.runbook),
        rto_ms=round(plan.service.objectives.rto * 1000),
    )


def expected_sum_ms(runbook: Runbook, step_ms: Mapping[str, int]) -> int | None:
    """Along the steps that follow each other: of a parallel group the longest; steps beside count from their
    own start to the end. None where no step has a past."""
    if not any(step.id in step_ms for step in runbook.steps):
        return None
    elapsed = 0
    latest = 0
    for batch in runbook.batches():
        front = [step_ms.get(s.id, 0) for s in batch if not s.beside]
        latest = max([latest, *(elapsed + step_ms.get(s.id, 0) for s in batch if s.beside)])
        elapsed += max(front, default=0)
    return max(elapsed, latest)


def _at_most_ms(runbook: Runbook) -> int:
    longest = {s.id: round(s.longest_s * 1000) for s in runbook.steps}
    return expected_sum_ms(runbook, longest) or 0


async def _row(step: Step, context: StepContext, expected: Expected | None, with_prechecks: bool) -> PlanRow:
    decided_by = depends_on(step)
    action, commands, where = _resolve(step, context)
    prechecks: Sequence[Precheck] = ()
    runs = _runs(step, context, decided_by)
    if with_prechecks and action is not None and runs != "no":
        prechecks = await _prechecks(action, context)
    return PlanRow(
        step=step.id,
        action=step.action,
        description=step.description,
        where=where,
        commands=tuple(commands),
        runs=runs,
        decided_by=decided_by,
        changing=action_type(step.action).changes(step.with_),
        undo=step.undo,
        point_of_no_return=step.point_of_no_return,
        parallel=step.parallel,
        beside=step.beside,
        on_failure=step.on_failure.value,
        timeout_ms=round(step.timeout * 1000),
        attempts=step.attempts,
        mark=step.mark,
        expected_p50_ms=expected.p50_ms if expected else None,
        expected_p95_ms=expected.p95_ms if expected else None,
        samples=expected.samples if expected else 0,
        prechecks=tuple(prechecks),
    )


def _resolve(step: Step, context: StepContext) -> tuple[Action | None, list[str], str]:
    """Action, commands and place, as far as they are settled before anything has run."""
    try:
        action = bind(step, context.vars).action
    except BcmError:
        return None, [], ""
    try:
        return action, action.describe(context), action.where(context)
    except (BcmError, KeyError, TypeError, ValueError, AttributeError, IndexError):
        return action, [], ""  # it reads outputs that are not there yet


def _runs(step: Step, context: StepContext, decided_by: Sequence[str]) -> str:
    if step.when is None:
        return "yes"
    try:
        return "yes" if evaluate(step.when, context.vars) else "no"
    except TemplateFaultError:
        return f"decided by step {', '.join(decided_by)}" if decided_by else "not known"


async def _prechecks(action: Action, context: StepContext) -> Sequence[Precheck]:
    """Live results; what could not be found out is a row with `ok` None."""
    task = asyncio.ensure_future(action.precheck(context))
    done, _ = await asyncio.wait({task}, timeout=PRECHECK_TIMEOUT_S)
    if not done:
        task.cancel()
        return [_not_known(action, f"no answer within {PRECHECK_TIMEOUT_S:g} s")]
    try:
        return task.result()
    except Exception as error:  # noqa: BLE001 - whatever an action runs into, the plan is printed
        return [_not_known(action, f"{type(error).__name__}: {error}")]


def _not_known(action: Action, result: str) -> Precheck:
    return Precheck(
        what=f"prechecks of {action.name}",
        how="asked the action",
        ok=None,
        result=result,
        why="what can't be checked now may fail then",
        if_failed="find out why there is no answer before you run the plan",
    )
