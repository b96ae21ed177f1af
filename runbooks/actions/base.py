"""What an action is: a described change with a check of its own effect.

An action never journals: the engine writes the intent before `run` and the result after it. An action that is
interrupted between the two is reconciled by `check`, which looks at the effect in the world (S5).
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from config.schema import Estate, PostgresqlService, Service
from model.errors import RunbookError
from model.execution import Precheck, Reconciled, StepResult
from model.ports import Clock, Journal, Lease, NodeAccess, Secrets, Sql

API_VERSION = 1


class ActionOptions(BaseModel):
    """Base of every action's options (`with:` of a step): unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class ActionPorts:
    """The world as actions see it. `node(name)` gives access to a node; raises NodeAccessError without.

    answered_s(service, member): when the newest attempt began that the member answered to this controller's
    probes, in monotonic seconds; None: not known.
    """

    clock: Clock
    journal: Journal
    lease: Lease
    sql: Sql
    secrets: Secrets
    node: Callable[[str], NodeAccess]
    answered_s: Callable[[str, str], float | None] = lambda _service, _member: None


@dataclass(slots=True)
class StepContext:
    """What an action knows of the execution that it is part of.

    vars: the execution's variables (`candidate`, `primary`, …) and, under `steps.<id>`, the outputs of the
    steps before. resources: objects that live as long as the execution's run in this process, by key (for
    instance the lock sessions); `stack` closes them. progress: tells a person what is going on.
    """

    estate: Estate
    service: Service
    ports: ActionPorts
    execution: str
    incident: str | None
    actor: str
    vars: dict[str, Any]
    resources: dict[str, Any] = field(default_factory=dict)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    progress: Callable[[str], None] = lambda _text: None

    @property
    def pg(self) -> PostgresqlService:
        """The service, for the actions of PostgreSQL. Raises RunbookError for a service of another engine."""
        if not isinstance(self.service, PostgresqlService):
            raise RunbookError(f"{self.service.name} is made of {self.service.engine}, not of postgresql")
        return self.service

    def output(self, step: str) -> Mapping[str, Any]:
        """Output of an earlier step; empty if it did not run."""
        outputs: Mapping[str, Mapping[str, Any]] = self.vars.get("steps", {})
        return outputs.get(step, {})


class Action(abc.ABC):
    """One kind of step.

    changing: it changes something in the world (anchored intent, needs leadership). idempotent: may be run
    again when its effect is not seen. per_process: its effect lives in this process (sessions, locks), so a
    resumed execution runs it again before anything else.

    For the linter: fences: its success proves that the old primary can acknowledge nothing any more (S2).
    promotes: it makes a member the primary. needs_primary: it can't succeed while the old primary or its site
    is gone (S10). outputs: keys that `StepResult.output` may hold; None: not declared, so not checked.
    """

    API_VERSION: ClassVar[int] = API_VERSION
    name: ClassVar[str]
    Options: ClassVar[type[ActionOptions]] = ActionOptions
    changing: ClassVar[bool] = True
    idempotent: ClassVar[bool] = True
    per_process: ClassVar[bool] = False
    fences: ClassVar[bool] = False
    promotes: ClassVar[bool] = False
    needs_primary: ClassVar[bool] = False
    outputs: ClassVar[tuple[str, ...] | None] = None

    def __init__(self, options: ActionOptions) -> None:
        self.options = options

    @abc.abstractmethod
    def describe(self, ctx: StepContext) -> list[str]:
        """The resolved commands, as `--dry-run` prints them; secrets masked."""

    def where(self, ctx: StepContext) -> str:
        """Who acts where, for the plan: `pg2 as bcm_control`, `node db1 as postgres`."""
        return "this host"

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        """Read-only checks whether the step could run now."""
        return []

    @abc.abstractmethod
    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        """Do it, until `deadline_s` of the monotonic clock. Success only if the effect was seen (S11).

        An exception counts as an unknown outcome if the action is `changing`, else as a failure. Shortly
        after the deadline the task is cancelled: let go at once, and change nothing after that.
        """

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        """Is the effect there? Called where the outcome is not known: on resume for an open intent, and
        after a run that ended unknown. Changes nothing."""
        return Reconciled.unknown("this action has no check of its effect")

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        """Take it back, where the runbook says so. Called too after a run that failed or whose outcome is not
        known, and may be called twice: taking back what was never done is a success."""
        return StepResult.failed("this action can't be undone")
