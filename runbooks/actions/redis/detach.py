"""redis.detach: the replicas drop the old primary, and stay replicas.

They are told to follow an address where nobody listens: each keeps its data, its place in the history and its
role, so that what it has stands still and can be compared, and so that taking it back costs a partial
resynchronisation. An old primary that must have replicas in touch (`min-replicas-to-write`) takes no more
writes from then on, once it has noticed.
"""

from __future__ import annotations

from typing import ClassVar, Final

from model.errors import RunbookError
from model.execution import Precheck, Reconciled, StepResult
from runbooks.actions.base import Action, StepContext
from runbooks.actions.inputs import members_in, variable
from runbooks.actions.redis.asking import service_of, tell, within_reach
from runbooks.actions.redis.state import address_of, is_empty, read_state
from runbooks.actions.together import on_each, reasons

# Port 1 of the host itself: refused at once, so that no time-out is waited for.
NOWHERE: Final = ("127.0.0.1", 1)


class Detach(Action):
    """Of the variable `standbys`. Output: `detached`, `unreachable`: {member: why}."""

    name: ClassVar[str] = "redis.detach"
    outputs: ClassVar[tuple[str, ...] | None] = ("detached", "unreachable")

    def describe(self, ctx: StepContext) -> list[str]:
        host, port = NOWHERE
        return [f"{m}: REPLICAOF {host} {port} (nobody listens there)" for m in members_in(ctx, "standbys")]

    def where(self, ctx: StepContext) -> str:
        return ", ".join(members_in(ctx, "standbys"))

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        deadline_s = ctx.ports.clock.monotonic_s() + 2.0
        return [
            _reachable(member, await within_reach(ctx, member, deadline_s))
            for member in members_in(ctx, "standbys")
        ]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        async def detach(member: str) -> None:
            if (await read_state(ctx, member, deadline_s)).primary:
                return  # REPLICAOF would make a replica of it; whoever chooses leaves it out
            host, port = NOWHERE
            await tell(ctx, member, ("REPLICAOF", host, str(port)), deadline_s=deadline_s)

        members = members_in(ctx, "standbys")
        done, failed = await on_each(members, detach, clock=ctx.ports.clock, deadline_s=deadline_s)
        detached, others = await self._seen(ctx, list(done), deadline_s)
        output = {"detached": detached, "unreachable": {**failed, **others}}
        if not detached:
            return StepResult.failed(f"nobody was detached{reasons({**failed, **others})}", **output)
        return StepResult.ok(f"detached: {', '.join(detached)}{reasons({**failed, **others})}", **output)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        detached, others = await self._seen(ctx, members_in(ctx, "standbys"), deadline_s)
        if detached:
            text = f"detached: {', '.join(detached)}{reasons(others)}"
            return Reconciled.done(text, detached=detached, unreachable=others)
        return Reconciled.not_done(f"nobody is detached{reasons(others)}")

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        """Whoever follows nobody follows the primary again, unless that has come back with nothing."""
        host, port = address_of(service_of(ctx), variable(ctx, "primary"))
        empty = await is_empty(ctx, variable(ctx, "primary"), deadline_s)

        async def attach(member: str) -> bool:
            state = await read_state(ctx, member, deadline_s)
            if not state.follows(*NOWHERE):
                return False
            if empty and state.keys:
                raise RunbookError(f"the primary holds no key, it holds {state.keys}: it would be emptied")
            await tell(ctx, member, ("REPLICAOF", host, str(port)), deadline_s=deadline_s)
            return (await read_state(ctx, member, deadline_s)).follows(host, port)

        members = members_in(ctx, "standbys")
        done, failed = await on_each(members, attach, clock=ctx.ports.clock, deadline_s=deadline_s)
        back = [m for m, attached in done.items() if attached]
        if failed:
            text = f"follow {variable(ctx, 'primary')} again: {', '.join(back) or 'none'}"
            return StepResult.unknown(f"{text}{reasons(failed)}")
        return StepResult.ok(f"follow {variable(ctx, 'primary')} again: {', '.join(back) or 'none had left'}")

    async def _seen(
        self, ctx: StepContext, members: list[str], deadline_s: float
    ) -> tuple[list[str], dict[str, str]]:
        """(who follows nobody and hears nobody, why not the others)."""

        async def look(member: str) -> str | None:
            state = await read_state(ctx, member, deadline_s)
            if state.follows(*NOWHERE) and not state.link_up:
                return None
            return "it runs as a primary" if state.primary else f"it follows {state.upstream}"

        found, failed = await on_each(members, look, clock=ctx.ports.clock, deadline_s=deadline_s)
        others = failed | {m: why for m, why in found.items() if why is not None}
        return [m for m in found if m not in others], others


def _reachable(member: str, why_not: str | None) -> Precheck:
    return Precheck(
        what=f"{member} can be told to drop the primary",
        how="PING over a fresh connection",
        ok=why_not is None,
        result=why_not or "it answers",
        why="one that is not detached goes on receiving from an old primary that wakes up",
        if_failed="it is left out, and can't be promoted",
    )
