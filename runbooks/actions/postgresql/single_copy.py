"""postgresql.single_copy: what a new primary does that no standby attaches to (POSTGRESQL P11).

`block` leaves the names: commits wait rather than being acknowledged on one copy. `degrade` empties them, and
from then on no verdict is ZERO_PROVEN.
"""

from __future__ import annotations

from typing import ClassVar, Final

from model.errors import BcmError
from model.execution import Reconciled, StepResult
from model.ports import SqlError
from runbooks.actions.base import Action, StepContext
from runbooks.actions.postgresql.inputs import candidate_of, shown_candidate
from runbooks.actions.postgresql.locks import Locked, locks_of
from runbooks.actions.postgresql.set_names import NAME
from runbooks.actions.postgresql.settings import alter_and_see, alter_text, current
from runbooks.actions.together import explain

_POLL_S: Final = 0.01
_GUARDED: Final = """
SELECT current_setting('synchronous_standby_names') = '' OR EXISTS (
  SELECT FROM pg_stat_replication WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum'))"""


class SingleCopy(Action):
    """Output: `degraded`; and, if it is true, `setting` and `previous`."""

    name: ClassVar[str] = "postgresql.single_copy"
    outputs: ClassVar[tuple[str, ...] | None] = ("degraded", "setting", "previous")

    def describe(self, ctx: StepContext) -> list[str]:
        candidate, policy = shown_candidate(ctx), _policy(ctx)
        if policy == "block":
            return [f"{candidate}: if no standby attaches, commits wait (when_single_copy: block)"]
        wait_s = ctx.pg.postgresql.reattach_wait
        return [f"{candidate}: if no standby attaches within {wait_s:g} s, {alter_text(NAME, '')}"]

    def where(self, ctx: StepContext) -> str:
        return shown_candidate(ctx)

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        end_s = min(deadline_s, ctx.ports.clock.monotonic_s() + ctx.pg.postgresql.reattach_wait)
        try:
            candidate = candidate_of(ctx)
            async with locks_of(ctx).session(candidate, deadline_s) as locked:
                if await _guarded(locked, end_s if _policy(ctx) == "degrade" else 0.0):
                    return StepResult.ok(f"a standby guards {candidate}", degraded=False)
                if _policy(ctx) == "block":
                    return StepResult.ok(
                        f"no standby guards {candidate}: commits wait for one (when_single_copy: block)",
                        degraded=False,
                    )
                previous = await current(locked, NAME)
                await alter_and_see(locked, NAME, "")
        except BcmError as error:
            return StepResult.failed(str(error))
        except SqlError as error:
            return StepResult.unknown(f"{NAME} may have been emptied: {explain(error)}")
        return StepResult.ok(
            f"no standby guards {candidate}: it acknowledges on a single copy (when_single_copy: degrade)",
            degraded=True,
            setting="",
            previous=previous,
        )

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        if _policy(ctx) == "block":
            return Reconciled.not_done("it changes nothing")
        async with locks_of(ctx).session(candidate_of(ctx), deadline_s) as locked:
            now = await current(locked, NAME)
        if now:
            return Reconciled.not_done(f"{NAME} = {now!r}")
        return Reconciled.done("the names are empty", degraded=True, setting="", previous="")


def _policy(ctx: StepContext) -> str:
    chosen = ctx.pg.postgresql.when_single_copy
    return chosen or ("block" if ctx.service.objectives.rpo == 0 else "degrade")


async def _guarded(locked: Locked, end_s: float) -> bool:
    while True:
        [(guarded,)] = await locked.query(_GUARDED)
        if guarded or locked.clock.monotonic_s() >= end_s:
            return bool(guarded)
        await locked.clock.sleep(_POLL_S)
