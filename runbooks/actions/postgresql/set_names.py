"""postgresql.set_names: synchronous_standby_names on the candidate, before it is promoted (POSTGRESQL P11).

Without it the first second of the new primary acknowledges thousands of commits on a single copy.
"""

from __future__ import annotations

from typing import ClassVar, Final

from model.errors import BcmError
from model.execution import Reconciled, StepResult
from model.ports import SqlError
from model.quorum import names_after_failover
from runbooks.actions.base import Action, StepContext
from runbooks.actions.inputs import members_in
from runbooks.actions.postgresql.inputs import candidate_of, member_named, settings_in_force, shown_candidate
from runbooks.actions.postgresql.locks import Locked, locks_of
from runbooks.actions.postgresql.settings import alter, alter_and_see, alter_text, current
from runbooks.actions.together import explain

NAME: Final = "synchronous_standby_names"
_MEMORY: Final = "postgresql.set_names.previous"
_POLL_S: Final = 0.002
# The checkpointer hands the setting to everybody. While it syncs files it does not listen; waiting for that
# can take as long as the disk wants, so it is waited for this long at most.
_CHECKPOINTER_S: Final = 0.5
_CHECKPOINTER: Final = (
    "SELECT wait_event IN ('CheckpointerMain', 'CheckpointWriteDelay') FROM pg_stat_activity "
    "WHERE backend_type = 'checkpointer'"
)


class SetNames(Action):
    """Output: `setting`, `previous` (the candidate's own), `member`, `standbys` that are named."""

    name: ClassVar[str] = "postgresql.set_names"
    outputs: ClassVar[tuple[str, ...] | None] = ("setting", "previous", "member", "standbys")

    def describe(self, ctx: StepContext) -> list[str]:
        candidate = shown_candidate(ctx)
        if candidate not in ctx.pg.members:
            return [f"{candidate}: ALTER SYSTEM SET {NAME} = the standbys that remain"]
        setting, _names = _wanted(ctx, candidate, ctx.pg.members)
        return [f"{candidate}: {alter_text(NAME, setting)}; pg_reload_conf()"]

    def where(self, ctx: StepContext) -> str:
        return shown_candidate(ctx)

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        try:
            candidate = candidate_of(ctx)
            locks = locks_of(ctx)
            setting, names = _wanted(ctx, candidate, locks.members)
            async with locks.session(candidate, deadline_s) as locked:
                previous = await current(locked, NAME)
                ctx.resources[_MEMORY] = previous
                await alter_and_see(locked, NAME, setting)
                heard = await _checkpointer_heard(locked)
        except BcmError as error:
            return StepResult.failed(str(error))
        except SqlError as error:
            return StepResult.failed(f"the names could not be set: {explain(error)}")
        detail = f"{candidate}: {NAME} = {setting!r}"
        if not names and setting:
            detail += "; no standby is left, writes wait for one"
        if not heard:
            detail += "; its checkpointer is busy and may not have taken note yet"
        return StepResult.ok(detail, setting=setting, previous=previous, member=candidate, standbys=names)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        candidate = candidate_of(ctx)
        locks = locks_of(ctx)
        setting, names = _wanted(ctx, candidate, locks.members)
        async with locks.session(candidate, deadline_s) as locked:
            now = await current(locked, NAME)
        if now != setting:
            return Reconciled.not_done(f"{candidate}: {NAME} = {now!r}")
        return Reconciled.done(
            f"{candidate}: {NAME} = {now!r}", setting=setting, previous="", member=candidate, standbys=names
        )

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        """Its own old value again: a standby's value acts only once it is promoted."""
        previous = ctx.resources.get(_MEMORY, ctx.output("names").get("previous"))
        if previous is None:
            return StepResult.ok("nothing had been set")
        try:
            candidate = candidate_of(ctx)
            async with locks_of(ctx).session(candidate, deadline_s) as locked:
                await alter(locked, NAME, str(previous))
        except (BcmError, SqlError) as error:
            return StepResult.failed(f"{NAME} could not be set back: {error}")
        return StepResult.ok(f"{candidate}: {NAME} = {previous!r}")


def _wanted(ctx: StepContext, candidate: str, reachable: object) -> tuple[str, list[str]]:
    """The setting, and the members whose names it holds: only standbys that remain and can be reached."""
    counted = ctx.output("prove").get("readable")
    known = [str(m) for m in counted] if counted is not None else members_in(ctx, "standbys")
    inside = set(reachable) if isinstance(reachable, tuple | list | dict) else set(ctx.pg.members)
    remaining = {m: member_named(ctx, m).application_name for m in known if m != candidate and m in inside}
    settings = settings_in_force(ctx)
    if not settings:
        raise BcmError(f"{NAME} in force is not known", hint="give the variable `settings`")
    text = names_after_failover(settings[-1], remaining)
    return text, [m for m, app in remaining.items() if f'"{app}"' in text]


async def _checkpointer_heard(locked: Locked) -> bool:
    end_s = min(locked.clock.monotonic_s() + _CHECKPOINTER_S, locked.deadline_s)
    while locked.clock.monotonic_s() < end_s:
        rows = await locked.query(_CHECKPOINTER)
        if not rows or rows[0][0]:
            return True
        await locked.clock.sleep(_POLL_S)
    return False
