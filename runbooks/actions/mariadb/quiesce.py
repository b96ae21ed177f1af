"""mariadb.quiesce: the primary is closed for writes, and says how far it has come."""

from __future__ import annotations

from typing import ClassVar, Final

from model.errors import BcmError
from model.execution import Reconciled, StepResult
from model.ports import NoAnswerError
from runbooks.actions.base import Action, StepContext
from runbooks.actions.inputs import variable
from runbooks.actions.mariadb.asking import Asking, looking
from runbooks.actions.mariadb.closing import CLOSE, OPEN, close, end_clients, refuses_writes
from runbooks.actions.mariadb.locks import changing
from runbooks.actions.mariadb.state import state_over

_LAST: Final = "@@GLOBAL.gtid_binlog_pos"
_AGAIN_S: Final = 0.005


class Quiesce(Action):
    """Of the variable `primary`. Output: `old_primary`: read_only; `how`; `final_gtid`; `ended_sessions`."""

    name: ClassVar[str] = "mariadb.quiesce"
    fences: ClassVar[bool] = True
    needs_primary: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...] | None] = ("old_primary", "how", "final_gtid", "ended_sessions")

    def describe(self, ctx: StepContext) -> list[str]:
        primary = variable(ctx, "primary")
        return [
            f"{primary}: {CLOSE}",
            f"{primary}: KILL CONNECTION of every client; a write is refused; SELECT {_LAST}",
        ]

    def where(self, ctx: StepContext) -> str:
        return variable(ctx, "primary")

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        primary, sent = variable(ctx, "primary"), False
        try:
            async with changing(ctx, primary, deadline_s) as asking:
                if (await state_over(asking)).replicates:
                    return StepResult.failed(f"{primary} is no primary")
                sent = True
                ended = await close(ctx, asking)
                ended += await self._end_the_rest(ctx, asking)
            return await self._seen(ctx, deadline_s, ended)
        except NoAnswerError as error:
            made = StepResult.unknown if sent else StepResult.failed
            return made(f"{primary} is not seen to be closed: {error}")
        except BcmError as error:
            return StepResult.failed(error.what)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        try:
            result = await self._seen(ctx, deadline_s, 0)
        except (BcmError, NoAnswerError) as error:
            return Reconciled.unknown(str(error))
        if not result.output:
            return Reconciled.not_done(result.detail)
        return Reconciled.done(result.detail, **result.output)

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        """It takes writes again: nobody else has been promoted."""
        primary = variable(ctx, "primary")
        try:
            async with changing(ctx, primary, deadline_s) as asking:
                if (await state_over(asking)).replicates:
                    return StepResult.failed(f"{primary} is a replica of somebody")
                await asking.query(OPEN)
                back = (await state_over(asking)).primary
        except (BcmError, NoAnswerError) as error:
            return StepResult.unknown(f"{primary} is not seen to take writes again: {error}")
        if back:
            return StepResult.ok(f"{primary} takes writes again")
        return StepResult.failed(f"{primary} is still read-only")

    async def _seen(self, ctx: StepContext, deadline_s: float, ended: int) -> StepResult:
        """Raises NoAnswerError; a result without output: it is not closed."""
        primary = variable(ctx, "primary")
        said = await refuses_writes(ctx, primary, deadline_s)
        if said is None:
            return StepResult.failed(f"{primary} is not seen to refuse writes")
        final = await self._still(ctx, primary, deadline_s)
        if final is None:
            return StepResult.failed(
                f"{primary} is read-only, and somebody goes on writing: who has READ ONLY ADMIN?"
            )
        return StepResult.ok(
            f"{primary} is closed at {final}: {said}",
            old_primary="read_only",
            how=said,
            final_gtid=final,
            ended_sessions=ended,
        )

    async def _end_the_rest(self, ctx: StepContext, asking: Asking) -> int:
        """Whoever may write to a read-only server, and came back before the others had been ended."""
        ended = 0
        for _again in range(2):
            before = await asking.value(_LAST)
            await asking.clock.sleep(_AGAIN_S)
            if await asking.value(_LAST) == before:
                break
            ended += await end_clients(ctx, asking)
        return ended

    async def _still(self, ctx: StepContext, primary: str, deadline_s: float) -> str | None:
        """Its last GTID, read twice alike; None: it goes on growing."""
        async with looking(ctx, primary, deadline_s) as asking:
            before = await asking.value(_LAST)
            await asking.clock.sleep(_AGAIN_S)
            now = await asking.value(_LAST)
        return now if now and now == before else None
