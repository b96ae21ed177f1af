"""What an action is: a described change with a check of its own effect.

An action never journals: the engine writes the intent before `run` and the result after it. An action that is
interrupted between the two is reconciled by `check`, which looks at the effect in the world (S5).
"""

from __future__ import annotations

import abc
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict

from config.document import Path
from config.schema import Estate, PostgresqlService, Service
from model.errors import RunbookError
from model.execution import Precheck, Reconciled, StepResult
from model.people import Consent, OneOther, Question, Reply
from model.ports import (
    Clock,
    HaproxyApi,
    Http,
    Journal,
    Lease,
    Mysql,
    NameServers,
    NodeAccess,
    OutputFiles,
    Redis,
    Secrets,
    Sighting,
    Sql,
)
from runbooks.actions.absent import (
    AbsentHaproxy,
    AbsentHere,
    AbsentHttp,
    AbsentMysql,
    AbsentNameServers,
    AbsentRedis,
    NoOutputFiles,
    nobody_is_told,
)

API_VERSION = 1

S = TypeVar("S", bound=Service)


class ActionOptions(BaseModel):
    """Base of every action's options (`with:` of a step): unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class ActionPorts:
    """The world as actions see it. `node(name)` gives access to a node; raises NodeAccessError without.

    answered_s(service, member): when the member's newest answer to this controller's probes came in, in
    monotonic seconds; None: not known.

    What a world need not have, and answers with an error where it has none: `here` runs commands on this
    host; `http`; `haproxy`, the control sockets of load balancers; `name_servers`; `outputs` keeps what is
    too long for the journal. sighting(target): what detection makes of `SERVICE/MEMBER` or `probe/NAME` now;
    None: nobody watches it. tell(severity, summary, detail, service, incident): pages people and gives the
    page's id; raises RunbookError. consent: who may agree to what a step asks.
    """

    clock: Clock
    journal: Journal
    lease: Lease
    sql: Sql
    secrets: Secrets
    node: Callable[[str], NodeAccess]
    answered_s: Callable[[str, str], float | None] = lambda _service, _member: None
    here: NodeAccess = field(default_factory=AbsentHere)
    http: Http = field(default_factory=AbsentHttp)
    outputs: OutputFiles = field(default_factory=NoOutputFiles)
    sighting: Callable[[str], Sighting | None] = lambda _target: None
    tell: Callable[[str, str, str, str | None, str | None], str] = nobody_is_told
    haproxy: HaproxyApi = field(default_factory=AbsentHaproxy)
    name_servers: NameServers = field(default_factory=AbsentNameServers)
    redis: Redis = field(default_factory=AbsentRedis)
    mysql: Mysql = field(default_factory=AbsentMysql)
    consent: Consent = field(default_factory=OneOther)


async def nobody_answers(_question: Question, _deadline_s: float) -> Reply:
    """Where nothing runs there is nobody to be asked."""
    return Reply(None, reason="nobody can be asked here")


@dataclass(slots=True)
class StepContext:
    """What an action knows of the execution that it is part of.

    vars: the execution's variables (`candidate`, `primary`, …) and, under `steps.<id>`, the outputs of the
    steps before. resources: objects that live as long as the execution's run in this process, by key (for
    instance the lock sessions); `stack` closes them. progress: tells a person what is going on. step: id of
    the step; empty in a plan. moved: a measure of the work that was done so far (bytes, records); a step with
    `stall` lives as long as it changes. ask: people, until the deadline or a word; the question and the
    answers are journaled.
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
    step: str = ""
    moved: Callable[[int], None] = lambda _measure: None
    ask: Callable[[Question, float], Awaitable[Reply]] = nobody_answers

    def service_as(self, kind: type[S]) -> S:
        """The service, for the actions of one engine. Raises RunbookError for a service of another one."""
        if not isinstance(self.service, kind):
            wanted = get_args(kind.model_fields["engine"].annotation)[0]
            raise RunbookError(f"{self.service.name} is made of {self.service.engine}, not of {wanted}")
        return self.service

    @property
    def pg(self) -> PostgresqlService:
        """The service, for the actions of PostgreSQL. Raises RunbookError for a service of another engine."""
        return self.service_as(PostgresqlService)

    def left_s(self, deadline_s: float) -> float:
        """Until the deadline; never nothing, since 0 means no limit to some."""
        return max(deadline_s - self.ports.clock.monotonic_s(), 0.001)

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
    promotes: it makes a member the primary. delegates: it asks another manager of the service, which fences
    and promotes by itself (S14). needs_primary: it can't succeed while the old primary or its site is gone
    (S10). tells_progress: it calls `ctx.moved` while it works. asks: it waits for people. tells_loss: its
    output says `lost: true` where it saw that the old primary is gone (`on_failure: hand_over`). outputs:
    keys that `StepResult.output` may hold; None: not declared, so not checked.
    """

    API_VERSION: ClassVar[int] = API_VERSION
    name: ClassVar[str]
    Options: ClassVar[type[ActionOptions]] = ActionOptions
    changing: ClassVar[bool] = True
    idempotent: ClassVar[bool] = True
    per_process: ClassVar[bool] = False
    fences: ClassVar[bool] = False
    promotes: ClassVar[bool] = False
    delegates: ClassVar[bool] = False
    needs_primary: ClassVar[bool] = False
    tells_progress: ClassVar[bool] = False
    asks: ClassVar[bool] = False
    tells_loss: ClassVar[bool] = False
    outputs: ClassVar[tuple[str, ...] | None] = None
    # The engine's limit for `check`; a step whose own time-out is shorter has less.
    check_limit_s: ClassVar[float] = 5.0
    # Options into which no template may be written: a value there would be read as code, or choose what is
    # run. `("command", 0)` is the first item of `command`.
    literal: ClassVar[tuple[Path, ...]] = ()
    # Options that are texts of several lines: a value fits into one of these as a part of a line only.
    by_line: ClassVar[frozenset[str]] = frozenset()

    # What holds of one step, by its options as they are written. The class's word, unless an action's options
    # decide it.

    @classmethod
    def changes(cls, written: Mapping[str, Any]) -> bool:
        return cls.changing

    @classmethod
    def repeatable(cls, written: Mapping[str, Any]) -> bool:
        """`idempotent`, of this step."""
        return cls.idempotent

    @classmethod
    def observable(cls, written: Mapping[str, Any]) -> bool:
        """Its effect can be looked at."""
        return cls.check is not Action.check

    @classmethod
    def reversible(cls, written: Mapping[str, Any]) -> bool:
        """It can be taken back."""
        return cls.undo is not Action.undo

    @classmethod
    def fencing(cls, written: Mapping[str, Any]) -> bool:
        """`fences`, of this step."""
        return cls.fences

    @classmethod
    def literals(cls, written: Mapping[str, Any]) -> Iterator[Path]:
        """`literal`, of this step."""
        yield from cls.literal

    @classmethod
    def intrusion(cls, written: Mapping[str, Any], inputs: Mapping[str, Any]) -> str | None:
        """Why a value that was filled in would mean more than a value there; None if none does."""
        return None

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
