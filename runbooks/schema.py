"""A runbook as values: what an author writes in YAML, validated. Unknown keys are errors.

Two spellings of the same runbook have the same digest: it is taken over the definition, in which defaults are
left out and durations are in their shortest form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PrivateAttr,
    field_validator,
    model_validator,
)

from config.document import Document
from config.durations import Seconds, format_duration
from model.canonical import digest
from runbooks.values import VarType, refuse_unjournalable

API_VERSION: Final = 1

Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
RunbookName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
Duration = Annotated[Seconds, PlainSerializer(format_duration, return_type=str, when_used="json")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Kind(StrEnum):
    """drain, restore: a member is taken out of use and put back; endpoint: clients are led to whoever is
    primary already. Nobody's role changes by these."""

    FAILOVER = "failover"
    SWITCHOVER = "switchover"
    REJOIN = "rejoin"
    FAILBACK = "failback"
    ENDPOINT = "endpoint"
    DRAIN = "drain"
    RESTORE = "restore"
    OTHER = "other"


class OnFailure(StrEnum):
    """What follows when a step failed, or when its outcome is not known.

    stop: nothing more is done. undo: what was done so far is taken back; past the point of no return it is
    a stop. ask: a person is asked how to go on (`answer_within`); without an answer it is a stop. continue:
    the next step follows. hand_over: where the step saw that the old primary is lost, what was done stays,
    and the controller goes on with a failover from there; else an undo.
    """

    STOP = "stop"
    UNDO = "undo"
    ASK = "ask"
    CONTINUE = "continue"
    HAND_OVER = "hand_over"


class Retry(_Model):
    attempts: int = Field(ge=1, le=100, description="Tries in all, the first one included.")
    wait: Duration = Field(0.0, ge=0, description="Pause between two tries.")


class Variable(_Model):
    type: VarType
    required: bool = False
    default: Any = None
    description: str = ""

    @field_validator("default")
    @classmethod
    def _can_be_journaled(cls, value: Any) -> Any:
        refuse_unjournalable(value, "default")
        return value


class Step(_Model):
    """`timeout` is of one attempt. Options that have no effect where they stand are errors of the linter."""

    id: Identifier
    action: Annotated[str, Field(pattern=r"^[a-z][a-z0-9._-]*$")]
    description: str = ""
    with_: Mapping[str, Any] = Field(default_factory=dict, alias="with", description="The action's options.")
    when: str | None = Field(None, description="Expression; the step is skipped where it is false.")
    timeout: Duration = Field(gt=0)
    stall: Duration | None = Field(
        None, gt=0, description="It is ended when it has stood still for so long; it lives while it moves."
    )
    budget: Duration | None = Field(
        None, gt=0, description="What it may take of the RTO, all attempts together; more is told, not ended."
    )
    retry: Retry | None = None
    on_failure: OnFailure = OnFailure.STOP
    answer_within: Duration | None = Field(
        None,
        gt=0,
        description="With `on_failure: ask`: how long the execution waits for a person to say retry or skip; "
        "without it, it stops at once and asks.",
    )
    undo: bool = Field(False, description="This step is taken back when the execution is undone.")
    parallel: Identifier | None = Field(
        None, description="Consecutive steps of the same group run at the same time."
    )
    beside: bool = Field(
        False, description="Runs beside the steps that follow; it is waited for at the end of the execution."
    )
    point_of_no_return: bool = Field(False, description="Once it is about to act, nothing is undone.")
    mark: Literal["T5", "T6", "T7", "T8", "T9", "T10"] | None = Field(
        None, description="The incident's clock is marked when the step has succeeded."
    )

    @field_validator("with_")
    @classmethod
    def _can_be_journaled(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        refuse_unjournalable(value, "with")
        return value

    @property
    def attempts(self) -> int:
        return self.retry.attempts if self.retry else 1

    @property
    def wait_s(self) -> float:
        return self.retry.wait if self.retry else 0.0

    @property
    def longest_s(self) -> float:
        """If every attempt takes its whole time-out."""
        return self.timeout * self.attempts + self.wait_s * (self.attempts - 1)


class Runbook(_Model):
    """`vars` are the inputs of an execution; `{{ name }}` in a step's options gives their values."""

    api_version: Literal[1] = Field(alias="apiVersion")
    name: RunbookName
    engine: Literal["postgresql", "mariadb", "redis", "http", "generic"]
    kind: Kind
    description: str = ""
    vars: Mapping[Identifier, Variable] = Field(default_factory=dict)
    steps: tuple[Step, ...]
    _document: Document | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        if not self.steps:
            raise ValueError("a runbook needs at least one step")
        seen: set[str] = set()
        for step in self.steps:
            if step.id in seen:
                raise ValueError(f"two steps have the id {step.id!r}; an id names one step")
            seen.add(step.id)
        return self

    def definition(self) -> dict[str, Any]:
        """The whole runbook as JSON values without floats; `from_definition` makes the same runbook of it."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    @classmethod
    def from_definition(cls, definition: Mapping[str, Any]) -> Self:
        return cls.model_validate(definition)

    @classmethod
    def from_document(cls, document: Document) -> Self:
        """Of a file; raises pydantic's ValidationError."""
        runbook = cls.model_validate(document.data)
        runbook._document = document  # noqa: SLF001 - the same class
        return runbook

    @property
    def document(self) -> Document:
        """The file that it was read from, for the places of findings."""
        return self._document or Document(f"runbook {self.name}", None)

    @cached_property
    def digest(self) -> str:
        """`sha256:…`; pins what an execution runs."""
        return digest(self.definition())

    def step(self, step_id: str) -> Step:
        """Raises KeyError."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)

    def batches(self) -> Iterator[tuple[Step, ...]]:
        """The steps in order; those that run at the same time are together."""
        batch: list[Step] = []
        for step in self.steps:
            if batch and (step.parallel is None or step.parallel != batch[-1].parallel):
                yield tuple(batch)
                batch = []
            batch.append(step)
        yield tuple(batch)
