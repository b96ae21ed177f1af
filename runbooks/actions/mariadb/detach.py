"""mariadb.detach: the replicas drop the old primary, and stay replicas.

Only the thread that receives is stopped: what was received is applied on. Both must never be stopped and
started again here, since a replica that begins anew by GTID throws away what it has received and not applied,
and that may be the only copy of an acknowledged write.

An old primary that waits for a replica (semi-sync) acknowledges nothing from then on, until its own time-out.
"""

from __future__ import annotations

from typing import ClassVar

from model.execution import Reconciled, StepResult
from runbooks.actions.base import Action, StepContext
from runbooks.actions.inputs import members_in, variable
from runbooks.actions.mariadb.asking import address_of
from runbooks.actions.mariadb.locks import changing
from runbooks.actions.mariadb.state import MariadbState, read_state, state_over
from runbooks.actions.together import on_each, reasons


class Detach(Action):
    """Of the variable `standbys`. Output: `detached`, `unreachable`: {member: why}."""

    name: ClassVar[str] = "mariadb.detach"
    outputs: ClassVar[tuple[str, ...] | None] = ("detached", "unreachable")

    def describe(self, ctx: StepContext) -> list[str]:
        return [f"{m}: STOP SLAVE IO_THREAD" for m in members_in(ctx, "standbys")]

    def where(self, ctx: StepContext) -> str:
        return ", ".join(members_in(ctx, "standbys"))

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        async def detach(member: str) -> str | None:
            async with changing(ctx, member, deadline_s) as asking:
                if (await state_over(asking)).receiving:
                    await asking.query("STOP SLAVE IO_THREAD")
                return _why_not(await state_over(asking))

        found, failed = await on_each(
            members_in(ctx, "standbys"), detach, clock=ctx.ports.clock, deadline_s=deadline_s
        )
        return _result(found, failed)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        async def look(member: str) -> str | None:
            return _why_not(await read_state(ctx, member, deadline_s))

        found, failed = await on_each(
            members_in(ctx, "standbys"), look, clock=ctx.ports.clock, deadline_s=deadline_s
        )
        result = _result(found, failed)
        if result.output["detached"]:
            return Reconciled.done(result.detail, **result.output)
        return Reconciled.not_done(result.detail)

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        """Whoever follows the primary receives from it again."""
        primary = variable(ctx, "primary")
        host, port = address_of(ctx, primary)

        async def attach(member: str) -> bool:
            async with changing(ctx, member, deadline_s) as asking:
                state = await state_over(asking)
                if not state.follows(host, port) or state.receiving:
                    return False
                await asking.query("START SLAVE IO_THREAD")
                return True

        done, failed = await on_each(
            members_in(ctx, "standbys"), attach, clock=ctx.ports.clock, deadline_s=deadline_s
        )
        back = [m for m, attached in done.items() if attached]
        if failed:
            return StepResult.unknown(f"follow {primary} again: {', '.join(back) or 'none'}{reasons(failed)}")
        return StepResult.ok(f"follow {primary} again: {', '.join(back) or 'none had left'}")


def _why_not(state: MariadbState) -> str | None:
    """None: it is a replica that receives nothing."""
    if not state.replicates:
        return "it follows nobody"
    return "it still receives" if any(s["io_running"] for s in state.sources) else None


def _result(found: dict[str, str | None], failed: dict[str, str]) -> StepResult:
    others = failed | {m: why for m, why in found.items() if why is not None}
    detached = [m for m in found if m not in others]
    output = {"detached": detached, "unreachable": others}
    if not detached:
        return StepResult.failed(f"nobody was detached{reasons(others)}", **output)
    return StepResult.ok(f"detached: {', '.join(detached)}{reasons(others)}", **output)
