"""mariadb.semi_sync: does a primary wait for a replica before it acknowledges?

On a replica the part of a primary stays off: it would wait for replicas of its own while it applies.
"""

from __future__ import annotations

from typing import ClassVar

from model.errors import BcmError
from model.execution import Reconciled, StepResult
from model.ports import NoAnswerError
from model.semi_sync import AFTER_SYNC, SemiSync
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.mariadb.asking import service_of
from runbooks.actions.mariadb.locks import changing
from runbooks.actions.mariadb.state import read_state, state_over

NO_WAITING = "SET GLOBAL rpl_semi_sync_master_enabled = 0"
ACKNOWLEDGES = "SET GLOBAL rpl_semi_sync_slave_enabled = 1"


class SemiSyncOptions(ActionOptions):
    """member: the primary. waits: false: it goes on with a single copy."""

    member: str
    waits: bool = True


class SetSemiSync(Action):
    """Output: `waits`."""

    name: ClassVar[str] = "mariadb.semi_sync"
    Options: ClassVar[type[ActionOptions]] = SemiSyncOptions
    outputs: ClassVar[tuple[str, ...] | None] = ("waits",)

    def __init__(self, options: SemiSyncOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        return [f"{self._options.member}: {text}" for text in statements(ctx, waits=self._options.waits)]

    def where(self, ctx: StepContext) -> str:
        return self._options.member

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        sent = False
        try:
            async with changing(ctx, self._options.member, deadline_s) as asking:
                if (await state_over(asking)).replicates:
                    return StepResult.failed(f"{self._options.member} is a replica")
                sent = True
                for statement in statements(ctx, waits=self._options.waits):
                    await asking.query(statement)
                seen = SemiSync.of((await state_over(asking)).facts)
        except NoAnswerError as error:
            return (StepResult.unknown if sent else StepResult.failed)(str(error))
        except BcmError as error:
            return StepResult.failed(error.what)
        return self._judged(seen)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        try:
            state = await read_state(ctx, self._options.member, deadline_s)
        except (BcmError, NoAnswerError) as error:
            return Reconciled.unknown(str(error))
        result = self._judged(SemiSync.of(state.facts))
        if not result.output:
            return Reconciled.not_done(result.detail)
        return Reconciled.done(result.detail, **result.output)

    def _judged(self, seen: SemiSync) -> StepResult:
        member, waits = self._options.member, self._options.waits
        if waits and seen.misconfigured is not None:
            return StepResult.failed(f"{member}: {seen.misconfigured}")
        if not waits and seen.enabled is not False:
            return StepResult.failed(f"{member} still waits for replicas")
        how = "waits for a replica" if waits else "goes on with a single copy"
        return StepResult.ok(f"{member} {how}", waits=waits)


def wanted(ctx: StepContext) -> bool:
    return service_of(ctx).mariadb.semi_sync


def statements(ctx: StepContext, *, waits: bool) -> list[str]:
    """The switch comes last."""
    if not waits:
        return [NO_WAITING]
    timeout_ms = int(service_of(ctx).mariadb.semi_sync_timeout * 1000)
    return [
        f"SET GLOBAL rpl_semi_sync_master_wait_point = {AFTER_SYNC}",
        "SET GLOBAL rpl_semi_sync_master_wait_no_slave = 1",
        f"SET GLOBAL rpl_semi_sync_master_timeout = {timeout_ms}",
        "SET GLOBAL rpl_semi_sync_master_enabled = 1",
    ]
