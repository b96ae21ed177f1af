"""redis.follow: members are made replicas of the new primary.

With `attached: required` each must hear it in the end; a whole copy may take long. A member that holds data
never follows a primary that holds none: it would be emptied.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from model.errors import RunbookError
from model.execution import Reconciled, StepResult
from model.ports import NoAnswerError
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.inputs import OVERRIDE_PROOF, overridden
from runbooks.actions.redis.asking import member_of, service_of, tell
from runbooks.actions.redis.choosing import shown_candidate
from runbooks.actions.redis.state import address_of, is_empty, read_state
from runbooks.actions.together import on_each, reasons

_AGAIN_S: Final = 0.02


class FollowOptions(ActionOptions):
    """members: who. to: the primary; the candidate, if not given. attached: `required`: each must hear it.
    `told`: each must say that it follows it; `any` too, and whoever can't be reached is left out."""

    members: list[str]
    to: str | None = None
    attached: Literal["required", "told", "any"] = "any"


class Follow(Action):
    """Output: `attached`: who follows it; `left_out`: {member: why}; `streaming`: all of them hear it."""

    name: ClassVar[str] = "redis.follow"
    Options: ClassVar[type[ActionOptions]] = FollowOptions
    tells_progress: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...] | None] = ("attached", "left_out", "streaming")

    def __init__(self, options: FollowOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        to = self._to(ctx)
        if to not in service_of(ctx).members:
            return [f"{', '.join(self._options.members)}: REPLICAOF {to}"]
        host, port = address_of(service_of(ctx), to)
        return [f"{m}: REPLICAOF {host} {port} ({to})" for m in self._members(ctx)]

    def where(self, ctx: StepContext) -> str:
        return ", ".join(self._members(ctx))

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        to, members = self._to(ctx), self._members(ctx)
        host, port = address_of(service_of(ctx), to)
        empty = await is_empty(ctx, to, deadline_s)

        async def follow(member: str) -> bool:
            state = await read_state(ctx, member, deadline_s)
            if not state.follows(host, port):
                if empty and state.keys > 0 and not overridden(ctx, OVERRIDE_PROOF):
                    raise RunbookError(
                        f"{to} holds nothing and {member} {state.keys} keys: it would be emptied"
                    )
                await tell(ctx, member, ("REPLICAOF", host, str(port)), deadline_s=deadline_s)
            return await self._hears(ctx, member, (host, port), deadline_s)

        done, failed = await on_each(members, follow, clock=ctx.ports.clock, deadline_s=deadline_s)
        return self._result(to, done, failed)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        to, members = self._to(ctx), self._members(ctx)
        host, port = address_of(service_of(ctx), to)

        async def look(member: str) -> bool:
            state = await read_state(ctx, member, deadline_s)
            if not state.follows(host, port):
                raise RunbookError("it does not follow it")
            return state.link_up

        done, failed = await on_each(members, look, clock=ctx.ports.clock, deadline_s=deadline_s)
        result = self._result(to, done, failed)
        if failed or (self._options.attached == "required" and not all(done.values())):
            return Reconciled.not_done(result.detail)
        return Reconciled.done(result.detail, **result.output)

    async def _hears(
        self, ctx: StepContext, member: str, upstream: tuple[str, int], deadline_s: float
    ) -> bool:
        """Does it hear its primary? Waited for only where that is required; it may be loading meanwhile."""
        told = ""
        while True:
            try:
                state = await read_state(ctx, member, deadline_s)
            except NoAnswerError as error:
                if self._options.attached != "required":
                    raise
                text = str(error)
            else:
                text = "is being given its data" if state.syncing else f"link up: {state.link_up}"
                ctx.moved(state.received)
                if state.follows(*upstream) and (state.link_up or self._options.attached != "required"):
                    return state.link_up
            if text != told:
                ctx.progress(f"{member} {text}")
                told = text
            if ctx.ports.clock.monotonic_s() + _AGAIN_S >= deadline_s:
                raise RunbookError(f"it does not hear its primary in time ({text})")
            await ctx.ports.clock.sleep(_AGAIN_S)

    def _result(self, to: str, done: dict[str, bool], failed: dict[str, str]) -> StepResult:
        streaming = bool(done) and all(done.values()) and not failed
        output = {"attached": list(done), "left_out": failed, "streaming": streaming}
        text = f"follow {to}: {', '.join(done) or 'nobody'}{reasons(failed)}"
        if failed and self._options.attached != "any":
            return StepResult.failed(text, **output)
        return StepResult.ok(text, **output)

    def _to(self, ctx: StepContext) -> str:
        return self._options.to or shown_candidate(ctx)

    def _members(self, ctx: StepContext) -> list[str]:
        to = self._to(ctx)
        for name in self._options.members:
            member_of(ctx, name)
        return [m for m in self._options.members if m != to]
