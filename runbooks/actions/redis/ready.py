"""redis.ready: both sides are fit for a planned switch, and who takes over."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from model.errors import BcmError
from model.execution import StepResult
from model.ports import NoAnswerError
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.inputs import members_in, variable
from runbooks.actions.redis.asking import service_of
from runbooks.actions.redis.choosing import best_of, why_not
from runbooks.actions.redis.state import RedisState, address_of, read_state
from runbooks.actions.together import on_each, reasons


class ReadyOptions(ActionOptions):
    """most_behind_bytes: a replica that is further behind keeps clients waiting while it catches up."""

    most_behind_bytes: int = Field(4 << 20, ge=0)


class Ready(Action):
    """Output: `candidate`, `behind_bytes`."""

    name: ClassVar[str] = "redis.ready"
    Options: ClassVar[type[ActionOptions]] = ReadyOptions
    changing: ClassVar[bool] = False
    needs_primary: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...] | None] = ("candidate", "behind_bytes")

    def __init__(self, options: ReadyOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        return [f"{variable(ctx, 'primary')} and its replicas: INFO replication"]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        try:
            primary = await read_state(ctx, variable(ctx, "primary"), deadline_s)
        except NoAnswerError as error:
            return StepResult.failed(f"the primary does not answer: {error}")
        except BcmError as error:
            return StepResult.failed(error.what)
        if not primary.primary:
            return StepResult.failed(f"{primary.member} runs as a replica")

        async def read(member: str) -> RedisState:
            return await read_state(ctx, member, deadline_s)

        members = members_in(ctx, "standbys")
        states, failed = await on_each(members, read, clock=ctx.ports.clock, deadline_s=deadline_s)
        doubts = failed | {m: why for m, s in states.items() if (why := self._unfit(ctx, primary, s))}
        best = best_of(ctx, [s for m, s in states.items() if m not in doubts])
        if best is None:
            return StepResult.failed(f"nobody can take over{reasons(doubts)}")
        behind = max(0, primary.offset - states[best].offset)
        text = f"{best} takes over; it is {behind} bytes behind{reasons(doubts)}"
        return StepResult.ok(text, candidate=best, behind_bytes=behind)

    def _unfit(self, ctx: StepContext, primary: RedisState, state: RedisState) -> str | None:
        host, port = address_of(service_of(ctx), primary.member)
        behind = primary.offset - state.offset
        if why := why_not(ctx, state, primary.replid):
            return why
        if not state.follows(host, port):
            return f"it follows {state.upstream}, not {primary.member}"
        if not state.link_up:
            return "it does not hear the primary"
        return f"it is {behind} bytes behind" if behind > self._options.most_behind_bytes else None
