"""redis.wait: a write of ours is on so many replicas (WAIT).

What it proves: that many replicas had received all that the primary had written before, in memory. What it
does not: that they have it on disk, that one of them is promoted later, or anything of later writes.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from model.errors import BcmError
from model.execution import Reconciled, StepResult
from model.ports import NoAnswerError
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.redis.asking import ask, shown
from runbooks.actions.redis.choosing import shown_candidate
from runbooks.actions.redis.verify_write import KEY_SECONDS, key_of

_MARGIN_S = 0.25  # for the answer, after the server's own time-out


class WaitOptions(ActionOptions):
    """member: the primary; the one that was promoted, if not given. replicas: how many must have it.
    within_ms: how long the server waits for them."""

    member: str | None = None
    replicas: int = Field(1, ge=1, le=100)
    within_ms: int = Field(1000, ge=10, le=600_000)


class Wait(Action):
    """Output: `acknowledged`: replicas that have it."""

    name: ClassVar[str] = "redis.wait"
    Options: ClassVar[type[ActionOptions]] = WaitOptions
    outputs: ClassVar[tuple[str, ...] | None] = ("acknowledged",)

    def __init__(self, options: WaitOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        return [f"{self._member(ctx)}: {shown(words)}" for words in self._commands(ctx)]

    def where(self, ctx: StepContext) -> str:
        return self._member(ctx)

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        within_s = self._options.within_ms / 1000 + _MARGIN_S
        try:
            written, replicas = await ask(
                ctx, self._member(ctx), *self._commands(ctx), deadline_s=deadline_s, within_s=within_s
            )
        except NoAnswerError as error:
            return StepResult.failed(str(error))
        except BcmError as error:
            return StepResult.failed(error.what)
        if written != "OK" or not isinstance(replicas, int):
            return StepResult.failed(f"{self._member(ctx)}: {written}; {replicas}")
        text = f"{replicas} replicas have what {self._member(ctx)} had written"
        if replicas < self._options.replicas:
            return StepResult.failed(f"{text}, {self._options.replicas} needed", acknowledged=replicas)
        return StepResult.ok(text, acknowledged=replicas)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        return Reconciled.not_done("it is asked anew, never guessed")

    def _commands(self, ctx: StepContext) -> list[tuple[str, ...]]:
        key = f"{key_of(ctx)}:wait"
        return [
            ("SET", key, ctx.execution, "EX", str(KEY_SECONDS)),
            ("WAIT", str(self._options.replicas), str(self._options.within_ms)),
        ]

    def _member(self, ctx: StepContext) -> str:
        return self._options.member or str(ctx.output("promote").get("member") or shown_candidate(ctx))
