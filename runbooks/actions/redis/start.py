"""redis.start: a server that is down is started on its node, and closed for writes with its first answer.

It comes up with the role that its file gives it, most often as a primary, and clients may go to it directly.
While it loads its data it refuses them anyhow, and takes our settings.
"""

from __future__ import annotations

from typing import ClassVar, Final

from model.errors import BcmError
from model.execution import Reconciled, StepResult
from model.ports import NoAnswerError
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.redis.asking import member_of, within_reach
from runbooks.actions.redis.closing import close
from runbooks.actions.redis.server import Server

_AGAIN_S: Final = 0.01


class StartOptions(ActionOptions):
    """member: whom."""

    member: str


class Start(Action):
    """One that answers is left as it is. Output: `started`."""

    name: ClassVar[str] = "redis.start"
    Options: ClassVar[type[ActionOptions]] = StartOptions
    outputs: ClassVar[tuple[str, ...] | None] = ("started",)

    def __init__(self, options: StartOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        member = self._options.member
        try:
            return [f"{member}, if it is down: {Server(ctx, member_of(ctx, member)).start_shown()}"]
        except BcmError as error:
            return [f"{member}, if it is down: a person starts it ({error.what})"]

    def where(self, ctx: StepContext) -> str:
        return f"node {member_of(ctx, self._options.member).node}"

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        member, clock = self._options.member, ctx.ports.clock
        if await within_reach(ctx, member, deadline_s) is None:
            return StepResult.ok(f"{member} answers", started=False)
        try:
            if not await Server(ctx, member_of(ctx, member)).start():
                return StepResult.failed(f"{member} is down, and its manager did not start it")
        except BcmError as error:
            return StepResult.failed(f"{member} is down, and can't be started: {error.what}")
        said = "not asked"
        while clock.monotonic_s() < deadline_s:
            try:
                await close(ctx, member, deadline_s)
            except (BcmError, NoAnswerError) as error:
                said = str(error)
            else:
                return StepResult.ok(f"{member} was started, and takes no writes", started=True)
            await clock.sleep(_AGAIN_S)
        return StepResult.unknown(f"{member} was started, and does not answer: {said}")

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        why_not = await within_reach(ctx, self._options.member, deadline_s)
        if why_not is not None:
            return Reconciled.not_done(why_not)
        return Reconciled.done(f"{self._options.member} answers", started=True)
