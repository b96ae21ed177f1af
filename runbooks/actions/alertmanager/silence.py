"""alertmanager.silence: alerts of planned work tell nobody, for as long as it lasts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from config.document import Path
from config.durations import PositiveSeconds
from model.errors import BcmError
from model.execution import Precheck, Reconciled, StepResult
from probes.http_options import checked_url
from probes.patterns import checked_pattern
from runbooks.actions.alertmanager.api import AlertmanagerOptions, Api, Silence, UncertainError
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.signature import signature

Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class SilenceOptions(AlertmanagerOptions):
    """Which alerts, for how long, and why."""

    match: Mapping[Label, str] = Field(
        min_length=1, description="Label to the value that it must have, in full. Every one must match."
    )
    match_regex: Mapping[Label, str] = Field(
        {}, description="Label to a pattern (RE2) that its whole value must match. No template stands in it."
    )
    duration: PositiveSeconds = Field(description="It ends by itself after it.")
    comment: str = Field(min_length=1, description="Why, for people; the execution is added to it.")

    @field_validator("url")
    @classmethod
    def _a_url(cls, value: str) -> str:
        return checked_url(value) if value else value

    @field_validator("match_regex")
    @classmethod
    def _patterns(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for pattern in value.values():
            checked_pattern(pattern)
        return value

    @model_validator(mode="after")
    def _not_everything(self) -> Self:
        if any(not value for value in self.match.values()):
            raise ValueError("`match` with an empty value would match every alert without the label")
        return self


class Make(Action):
    """Makes a silence in Alertmanager, which ends by itself after `duration`. Its comment ends with a
    signature of the step, by which it is found again: there is never a second one of the same step.

    Output: `silence`: its id; `ends_utc`: when it ends, where that is known.

    Undo: expired.
    """

    name: ClassVar[str] = "alertmanager.silence"
    Options: ClassVar[type[ActionOptions]] = SilenceOptions
    outputs: ClassVar[tuple[str, ...] | None] = ("silence", "ends_utc")
    literal: ClassVar[tuple[Path, ...]] = (
        ("url",), ("match_regex",), ("verify",), ("ca_file",), ("duration",),
    )  # fmt: skip

    def __init__(self, options: SilenceOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        return [f"silence {self._shown()} for {self._options.duration:g} s at {Api(ctx, self._options).url}"]

    def where(self, ctx: StepContext) -> str:
        return f"Alertmanager {Api(ctx, self._options).url}"

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        try:
            await self._own(ctx, ctx.ports.clock.monotonic_s() + 5.0)
            ok, result = True, "it answers"
        except (BcmError, UncertainError) as error:
            ok, result = False, str(error)
        return [
            Precheck(
                what="Alertmanager answers",
                how="ask for its silences",
                ok=ok,
                result=result,
                why="the step makes a silence there",
                if_failed="mend the URL, the credentials, or Alertmanager",
            )
        ]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        try:
            there = await self._own(ctx, deadline_s)
            if there:
                return StepResult.ok("it is there already", silence=there[0].id, ends_utc="")
            body, ends = self._body(ctx)
            made = await Api(ctx, self._options).create(body, deadline_s)
            seen = await self._own(ctx, deadline_s)
        except UncertainError as error:
            return StepResult.unknown(str(error))
        except BcmError as error:
            return StepResult.failed(str(error))
        if not any(silence.id == made for silence in seen):
            return StepResult.failed(f"Alertmanager took silence {made} and does not show it as active")
        return StepResult.ok(f"silence {made} until {ends}", silence=made, ends_utc=ends)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        try:
            there = await self._own(ctx, deadline_s)
        except (BcmError, UncertainError) as error:
            return Reconciled.unknown(str(error))
        if there:
            return Reconciled.done(f"silence {there[0].id} is there", silence=there[0].id, ends_utc="")
        return Reconciled.not_done("there is no silence of this step")

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        api = Api(ctx, self._options)
        try:
            there = await self._own(ctx, deadline_s)
            for silence in there:
                await api.expire(silence.id, deadline_s)
            left = await self._own(ctx, deadline_s)
        except UncertainError as error:
            return StepResult.unknown(str(error))
        except BcmError as error:
            return StepResult.failed(str(error))
        if left:
            return StepResult.failed(f"silence {left[0].id} is still active")
        return StepResult.ok(
            f"silence {there[0].id} is expired" if there else "there is no silence of this step"
        )

    async def _own(self, ctx: StepContext, deadline_s: float) -> list[Silence]:
        label, value = next(iter(self._options.match.items()))
        found = await Api(ctx, self._options).silences(label, value, deadline_s)
        return [s for s in found if s.alive and s.comment.endswith(f"[{signature(ctx)}]")]

    def _body(self, ctx: StepContext) -> tuple[dict[str, Any], str]:
        """(as the API takes it, its end)."""
        given = self._options
        now = datetime.fromtimestamp(ctx.ports.clock.wall_s(), UTC)
        ends = _wall(now + timedelta(seconds=given.duration))
        matchers = [
            {"name": name, "value": value, "isRegex": is_regex, "isEqual": True}
            for is_regex, matches in ((False, given.match), (True, given.match_regex))
            for name, value in matches.items()
        ]
        comment = f"{given.comment} [{signature(ctx)}]"
        body: dict[str, Any] = {
            "matchers": matchers,
            "startsAt": _wall(now),
            "endsAt": ends,
            "createdBy": ctx.actor,
            "comment": comment,
        }
        return body, ends

    def _shown(self) -> str:
        given = self._options
        exact = [f"{name}={value!r}" for name, value in given.match.items()]
        return ", ".join([*exact, *(f"{name}=~{value!r}" for name, value in given.match_regex.items())])


def _wall(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
