"""The bodies of requests: closed shapes, so that a misspelt option is an error and not ignored."""

from __future__ import annotations

import json
from typing import Annotated, Any, Self, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from config.durations import Seconds
from model.disaster import Tier
from model.errors import UsageError
from model.people import QuestionKind, Word

Text = Annotated[str, Field(min_length=1, max_length=2000)]
NameText = Annotated[str, Field(min_length=1, max_length=200)]


class Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, str_strip_whitespace=True)


class SwitchoverBody(Body):
    to: NameText | None = None
    dry_run: bool = False


class MemberBody(Body):
    member: NameText
    dry_run: bool = False


class FailoverBody(Body):
    to: NameText | None = None
    override: list[NameText] = Field(default=[], max_length=20)
    reason: str = Field(default="", max_length=2000)
    dry_run: bool = False


class PauseBody(Body):
    """`for`: a duration as in the estate (`2h`). A pause without an end or a reason does not exist (S7)."""

    for_: Seconds = Field(alias="for", gt=0, le=30 * 86400)
    reason: Text


class ResumeBody(Body):
    reason: str = Field(default="", max_length=2000)


class AcknowledgeBody(Body):
    comment: Text


class RejectBody(Body):
    """A no is a record, and a record has a reason."""

    reason: Text


class AbortBody(Body):
    reason: Text


class SayBody(Body):
    """`kind`: what the person believes that the step asks; a yes to another thing is refused. Every other
    word has a reason."""

    word: Word = Field(strict=False)
    kind: QuestionKind | None = Field(None, strict=False)
    reason: str = Field("", max_length=2000)

    @model_validator(mode="after")
    def _has_its_reason(self) -> Self:
        if self.word is not Word.YES and not self.reason:
            raise ValueError(f"{self.word.value} needs a reason: it is a record")
        return self


class PlanBody(Body):
    service: NameText
    runbook: NameText
    to: NameText | None = None
    vars: dict[str, Any] = {}  # judged by the runbook's own declarations


class RunBody(Body):
    runbook: NameText
    to: NameText | None = None
    vars: dict[str, Any] = {}
    reason: str = Field("", max_length=2000)
    dry_run: bool = False


class ReportedBody(Body):
    to: Text
    comment: str = Field(default="", max_length=2000)


class CloseBody(Body):
    reason: Text


class DeclareBody(Body):
    """`since`: for how long it has lasted already, a duration as in the estate."""

    # Strict about everything else; of a text in JSON an enum can only be made leniently.
    tier: Tier = Field(strict=False)
    scope: NameText
    reason: Text
    since: Seconds = Field(default=0.0, le=30 * 86400)
    dry_run: bool = False


class MergeBody(Body):
    part: NameText
    reason: Text


class SplitBody(Body):
    service: NameText
    reason: Text


class RunProbeBody(Body):
    name: NameText
    type: NameText | None = None


class InspectBody(Body):
    """`service`: only what concerns it."""

    service: NameText | None = None


class EmptyBody(Body):
    """Of a request that says all in its path."""


Model = TypeVar("Model", bound=Body)


async def read_body(request: web.Request, model: type[Model]) -> Model:
    """Raises UsageError, naming each field that is wrong."""
    raw = await request.read()
    try:
        value = json.loads(raw) if raw else {}
    except ValueError as error:
        raise UsageError("the body is not JSON", where=request.path, hint=str(error)) from error
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in e['loc']) or 'body'}: {e['msg']}" for e in error.errors()
        )
        raise UsageError(
            f"the request can't be used: {problems}",
            where=request.path,
            hint=f"allowed: {', '.join(f.alias or n for n, f in model.model_fields.items()) or 'nothing'}",
        ) from error
