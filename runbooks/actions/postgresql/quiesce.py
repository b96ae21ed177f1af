"""postgresql.quiesce: the primary is shut down cleanly, so that its standbys have everything it ever wrote.

A fast shutdown ends the clients' sessions, writes its last record, a checkpoint, and waits until each standby
that streams has confirmed it. What follows needs no proof by arithmetic, and no rewind to bring the old
primary back. Its server is started again if the switch is taken back.
"""

from __future__ import annotations

from typing import ClassVar, Final

from model.errors import BcmError
from model.execution import Precheck, Reconciled, StepResult
from model.lsn import format_lsn
from model.ports import SqlError
from runbooks.actions.base import Action, StepContext
from runbooks.actions.inputs import variable
from runbooks.actions.postgresql.glance import looking
from runbooks.actions.postgresql.inputs import member_named
from runbooks.actions.postgresql.locks import locks_of
from runbooks.actions.postgresql.server import Server
from runbooks.actions.together import explain

_READY_POLL_S: Final = 0.02


class Quiesce(Action):
    """Output: `old_primary` (stopped), `final_lsn` (where its last record begins, in bytes), `timeline`;
    `lost`, of one that died instead."""

    name: ClassVar[str] = "postgresql.quiesce"
    fences: ClassVar[bool] = True
    needs_primary: ClassVar[bool] = True
    tells_loss: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...] | None] = ("old_primary", "final_lsn", "timeline", "lost")

    def describe(self, ctx: StepContext) -> list[str]:
        server = self._server(ctx)
        return [
            server.shown(server.stop_command("fast")),
            server.shown(server.program("pg_controldata", "-D", str(server.member.data_dir))),
        ]

    def where(self, ctx: StepContext) -> str:
        member = member_named(ctx, variable(ctx, "primary"))
        return f"node {member.node} as {member.os_user}"

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        primary = variable(ctx, "primary")
        try:
            found = await self._server(ctx).processes()
            ok, result = bool(found), f"{len(found)} processes of {primary}"
        except BcmError as error:
            ok, result = False, error.what
        return [
            Precheck(
                what=f"node access can stop {primary}",
                how="list the server's processes",
                ok=ok,
                result=result,
                why="a planned switch shuts the old primary down",
                if_failed="configure `access` of its node, and check data_dir and os_user",
            )
        ]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        primary = variable(ctx, "primary")
        clock = ctx.ports.clock
        began_s = clock.monotonic_s()
        try:
            server = self._server(ctx)
            try:
                async with locks_of(ctx).session(primary, deadline_s) as locked:
                    if (await locked.query("SELECT pg_is_in_recovery()"))[0][0]:
                        return StepResult.failed(f"{primary} is not the primary")
            except SqlError as error:
                why = f"{primary} can't be asked: {explain(error)}"
                return StepResult.failed(why, **await _lost(ctx, server, began_s))
            if not await server.stopped_by("fast", max(deadline_s - clock.monotonic_s(), 0.05)):
                return StepResult.failed(f"{primary} has not stopped in time")
            data = await server.control_data()
        except BcmError as error:
            return StepResult.failed(str(error), **_silent(ctx, primary, began_s))
        if data is None or not data.shut_down:
            state = data.state if data else "not readable"
            why = f"{primary} did not shut down cleanly: its control file says {state!r}"
            return StepResult.failed(why, **_if(data is not None))
        return StepResult.ok(
            f"{primary} is shut down, its last record begins at {format_lsn(data.checkpoint_lsn)}",
            old_primary="stopped",
            final_lsn=data.checkpoint_lsn,
            timeline=data.timeline,
        )

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        server = self._server(ctx)
        if await server.processes():
            return Reconciled.not_done(f"{server.member.name} runs")
        data = await server.control_data()
        if data is None or not data.shut_down:
            return Reconciled.unknown(f"{server.member.name} is down and was not shut down cleanly")
        return Reconciled.done(
            f"{server.member.name} is shut down",
            old_primary="stopped",
            final_lsn=data.checkpoint_lsn,
            timeline=data.timeline,
        )

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        """It runs and takes writes again."""
        primary = variable(ctx, "primary")
        clock = ctx.ports.clock
        try:
            server = self._server(ctx)
            if await server.processes():
                # On its way down it takes nobody any more; one that never heard of it stays as it is.
                if await _takes_writes(ctx, primary, clock.monotonic_s() + 1.0):
                    return StepResult.ok(f"{primary} takes writes")
                await server.wait_gone(max((deadline_s - clock.monotonic_s()) / 2, 0.05))
            if not await server.processes():
                started = await server.start(max(deadline_s - clock.monotonic_s(), 1.0))
                if not started.ok:
                    return StepResult.failed(f"{primary} did not start: {started.stderr.strip()[-300:]}")
            while clock.monotonic_s() < deadline_s:
                if await _takes_writes(ctx, primary, deadline_s):
                    return StepResult.ok(f"{primary} takes writes again")
                await clock.sleep(_READY_POLL_S)
        except BcmError as error:
            return StepResult.failed(str(error))
        return StepResult.failed(f"{primary} does not take writes yet")

    def _server(self, ctx: StepContext) -> Server:
        return Server(ctx, member_named(ctx, variable(ctx, "primary")))


def _if(lost: bool) -> dict[str, bool]:
    return {"lost": True} if lost else {}


async def _lost(ctx: StepContext, server: Server, began_s: float) -> dict[str, bool]:
    """Of one that does not answer: its processes are gone, and not by a shutdown. It may still be that its
    manager starts it again: whoever goes on looks once more before anything is promoted."""
    try:
        if await server.processes():
            return {}
        data = await server.control_data()
    except BcmError:
        return _silent(ctx, server.member.name, began_s)
    return _if(data is not None and not data.shut_down)


def _silent(ctx: StepContext, primary: str, began_s: float) -> dict[str, bool]:
    """Its node can't be reached; has its server answered no probe since this step began either?"""
    answered_s = ctx.ports.answered_s(ctx.service.name, primary)
    return _if(answered_s is not None and answered_s < began_s)


async def _takes_writes(ctx: StepContext, member: str, deadline_s: float) -> bool:
    try:
        async with looking(ctx, member, deadline_s) as locked:
            [(recovery,)] = await locked.query("SELECT pg_is_in_recovery()")
    except SqlError:
        return False
    return not recovery
