"""postgresql.start: start a member's server through its own manager."""

from __future__ import annotations

from typing import ClassVar

from model.errors import BcmError
from model.execution import Reconciled, StepResult
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.postgresql.rejoining import STANDBY_SIGNAL, RejoinOptions, rejoining_member
from runbooks.actions.postgresql.server import Server


class Start(Action):
    """Only as a standby: without standby.signal it would be a second primary. Output: `running`."""

    name: ClassVar[str] = "postgresql.start"
    Options: ClassVar[type[ActionOptions]] = RejoinOptions
    outputs: ClassVar[tuple[str, ...] | None] = ("running",)

    def __init__(self, options: RejoinOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        server = Server(ctx, rejoining_member(ctx, self._options))
        return [server.shown(server.start_command(60.0))]

    def where(self, ctx: StepContext) -> str:
        member = rejoining_member(ctx, self._options)
        return f"node {member.node} as {member.os_user}"

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        left_s = max(deadline_s - ctx.ports.clock.monotonic_s(), 1.0)
        try:
            server = Server(ctx, rejoining_member(ctx, self._options))
            name = server.member.name
            signal = await server.run(["test", "-e", str(server.member.data_dir / STANDBY_SIGNAL)])
            if not signal.ok:
                return StepResult.failed(f"{name} has no {STANDBY_SIGNAL}: it would start as a primary")
            result = await server.start(left_s)
            running = bool(await server.processes())
        except BcmError as error:
            return StepResult.failed(str(error))
        said = " | ".join((result.stderr or result.stdout).strip().splitlines()[-3:])
        if not running:
            return StepResult.ok(f"{name} did not start: {said}", running=False)
        return StepResult.ok(f"{name} runs", running=True)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        server = Server(ctx, rejoining_member(ctx, self._options))
        if await server.processes():
            return Reconciled.done(f"{server.member.name} runs", running=True)
        return Reconciled.not_done(f"{server.member.name} does not run")
