"""What the actions that start a server of an engine share: started on its node, closed with its first answer.

It comes up with the role that its files give it, most often as a primary, and clients may go to it directly.
"""

from __future__ import annotations

import abc
from typing import ClassVar, Final

from model.errors import BcmError
from model.execution import Reconciled, StepResult
from model.ports import NoAnswerError
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.process import Server

_AGAIN_S: Final = 0.01


class StartOptions(ActionOptions):
    """member: whom."""

    member: str


class Starting(Action):
    """One that answers is left as it is. Output: `started`."""

    Options: ClassVar[type[ActionOptions]] = StartOptions
    outputs: ClassVar[tuple[str, ...] | None] = ("started",)

    def __init__(self, options: StartOptions) -> None:
        super().__init__(options)
        self._options = options

    @abc.abstractmethod
    def server(self, ctx: StepContext, member: str) -> Server:
        """Raises RunbookError, NodeAccessError."""

    @abc.abstractmethod
    async def why_silent(self, ctx: StepContext, member: str, deadline_s: float) -> str | None:
        """Why it can't be spoken to, or None."""

    @abc.abstractmethod
    async def close(self, ctx: StepContext, member: str, deadline_s: float) -> None:
        """For writes. Raises BcmError, NoAnswerError."""

    def describe(self, ctx: StepContext) -> list[str]:
        member = self._options.member
        try:
            return [f"{member}, if it is down: {self.server(ctx, member).start_shown()}"]
        except BcmError as error:
            return [f"{member}, if it is down: a person starts it ({error.what})"]

    def where(self, ctx: StepContext) -> str:
        return f"node {ctx.service.members[self._options.member].node}"

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        member, clock = self._options.member, ctx.ports.clock
        if await self.why_silent(ctx, member, deadline_s) is None:
            return StepResult.ok(f"{member} answers", started=False)
        try:
            if not await self.server(ctx, member).start():
                return StepResult.failed(f"{member} is down, and its manager did not start it")
        except BcmError as error:
            return StepResult.failed(f"{member} is down, and can't be started: {error.what}")
        said = "not asked"
        while clock.monotonic_s() < deadline_s:
            try:
                await self.close(ctx, member, deadline_s)
            except (BcmError, NoAnswerError) as error:
                said = str(error)
            else:
                return StepResult.ok(f"{member} was started, and takes no writes", started=True)
            await clock.sleep(_AGAIN_S)
        return StepResult.unknown(f"{member} was started, and does not answer: {said}")

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        why_not = await self.why_silent(ctx, self._options.member, deadline_s)
        if why_not is not None:
            return Reconciled.not_done(why_not)
        return Reconciled.done(f"{self._options.member} answers", started=True)
