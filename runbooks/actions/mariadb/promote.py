"""mariadb.promote: a replica becomes the primary.

It first applies all that it has received: stopped before that, it would throw it away. It waits for a replica
from its first commit on, where the estate says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from model.errors import BcmError
from model.execution import Reconciled, StepResult
from model.gtid import covers, format_gtids, furthest, parse_gtids
from model.ports import NoAnswerError
from runbooks.actions.base import Action, StepContext
from runbooks.actions.mariadb.asking import Asking
from runbooks.actions.mariadb.choosing import candidate_of, shown_candidate
from runbooks.actions.mariadb.closing import OPEN
from runbooks.actions.mariadb.locks import changing
from runbooks.actions.mariadb.semi_sync import statements, wanted
from runbooks.actions.mariadb.state import MariadbState, read_state, state_over

_AGAIN_S: Final = 0.003


class Promote(Action):
    """Output: `member`; `gtid` from which it goes on."""

    name: ClassVar[str] = "mariadb.promote"
    promotes: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...] | None] = ("member", "gtid")

    def describe(self, ctx: StepContext) -> list[str]:
        member = shown_candidate(ctx)
        return [
            f"{member}: until it has applied all that it has received",
            f"{member}: STOP SLAVE; RESET SLAVE ALL",
            *[f"{member}: {text}" for text in self._settings(ctx)],
            f"{member}: {OPEN}",
        ]

    def where(self, ctx: StepContext) -> str:
        return shown_candidate(ctx)

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        issued = False
        try:
            candidate = candidate_of(ctx)
            async with changing(ctx, candidate, deadline_s) as asking:
                why = await self._apply(ctx, asking)
                if why is not None:
                    return StepResult.failed(f"{candidate} can't be promoted: {why}")
                issued = True
                await asking.query("STOP SLAVE")
                await asking.query("RESET SLAVE ALL")
                for statement in self._settings(ctx):
                    await asking.query(statement)
                await asking.query(OPEN)
                state = await state_over(asking)
        except NoAnswerError as error:
            if not issued:
                return StepResult.failed(f"not issued: {error}")
            return StepResult.unknown(
                f"issued, and not seen to be done ({error}): nobody else may be promoted"
            )
        except BcmError as error:
            made = StepResult.unknown if issued else StepResult.failed
            return made(str(error))
        if not state.primary:
            return StepResult.failed(f"{candidate} is still a replica, or read-only")
        return StepResult.ok(_told(state), **_output(state))

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        """As a replica: issuing it again to the same member is safe, to another one it never is."""
        try:
            state = await read_state(ctx, candidate_of(ctx), deadline_s)
        except (BcmError, NoAnswerError) as error:
            return Reconciled.unknown(str(error))
        if not state.primary:
            return Reconciled.not_done(f"{state.member} is a replica, or read-only")
        return Reconciled.done(_told(state), **_output(state))

    async def _apply(self, ctx: StepContext, asking: Asking) -> str | None:
        """Until it has applied what it had received, and what the proof had seen of it; why it can't."""
        told = _proven(ctx.output("prove"), asking.member)
        while True:
            state = await state_over(asking)
            goal = furthest(state.received, parse_gtids(told))
            if covers(state.applied, goal):
                return None
            if not state.applying:
                return f"it does not apply what it has received: {state.fault or 'its SQL thread has ended'}"
            if asking.clock.monotonic_s() + _AGAIN_S >= asking.deadline_s:
                return f"it has applied {format_gtids(state.applied)} of {format_gtids(goal)} in time"
            await asking.clock.sleep(_AGAIN_S)

    def _settings(self, ctx: StepContext) -> list[str]:
        return statements(ctx, waits=True) if wanted(ctx) else []


def _proven(prove: Mapping[str, Any], member: str) -> str:
    position = prove.get("positions", {}).get(member, {})
    return str(position.get("gtid", ""))


def _told(state: MariadbState) -> str:
    return f"{state.member} is the primary, from {format_gtids(state.applied)}"


def _output(state: MariadbState) -> dict[str, object]:
    return {"member": state.member, "gtid": format_gtids(state.applied)}
