"""postgresql.widen: the member that is back counts as a synchronous standby again (POSTGRESQL P11).

The last step of a rejoin. A larger n is a loosening (P2): the intent that is journaled first says so.
"""

from __future__ import annotations

from typing import ClassVar

from config.schema import PostgresqlMember, PostgresqlService
from model.errors import BcmError
from model.execution import Reconciled, StepResult
from model.ports import SqlError
from model.quorum import SyncSetting, format_names, meant_names, parse_synchronous_standby_names
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.postgresql.locks import locks_of
from runbooks.actions.postgresql.rejoining import RejoinOptions, present_primary, rejoining_member
from runbooks.actions.postgresql.set_names import NAME
from runbooks.actions.postgresql.settings import alter_and_see, current
from runbooks.actions.postgresql.slots import drop_stale_slots
from runbooks.actions.together import explain


class Widen(Action):
    """Output: `setting`, `previous`, `member` (the primary)."""

    name: ClassVar[str] = "postgresql.widen"
    Options: ClassVar[type[ActionOptions]] = RejoinOptions
    outputs: ClassVar[tuple[str, ...] | None] = ("setting", "previous", "member")

    def __init__(self, options: RejoinOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        member, primary = rejoining_member(ctx, self._options), present_primary(ctx, self._options)
        if not intended(ctx.pg).synchronous:
            return [f"{primary.name}: nothing: replication is asynchronous"]
        return [f"{primary.name}: ALTER SYSTEM SET {NAME}: add {member.application_name}"]

    def where(self, ctx: StepContext) -> str:
        return present_primary(ctx, self._options).name

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        try:
            member, primary = rejoining_member(ctx, self._options), present_primary(ctx, self._options)
            async with locks_of(ctx).session(primary.name, deadline_s) as locked:
                previous = await current(locked, NAME)
                setting = widened(previous, member, primary, ctx.pg)
                if setting != previous:
                    await alter_and_see(locked, NAME, setting)
        except BcmError as error:
            return StepResult.failed(str(error))
        except (SqlError, ValueError) as error:
            text = explain(error) if isinstance(error, SqlError) else str(error)
            return StepResult.failed(f"{NAME} could not be widened: {text}")
        dropped = await drop_stale_slots(ctx, member)
        note = (
            f"; dropped on {member.name}, which keeps WAL for nobody: {', '.join(dropped)}" if dropped else ""
        )
        return StepResult.ok(
            f"{primary.name}: {NAME} = {setting!r}{note}",
            setting=setting,
            previous=previous,
            member=primary.name,
        )

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        member, primary = rejoining_member(ctx, self._options), present_primary(ctx, self._options)
        async with locks_of(ctx).session(primary.name, deadline_s) as locked:
            now = await current(locked, NAME)
        if widened(now, member, primary, ctx.pg) != now:
            return Reconciled.not_done(f"{primary.name}: {NAME} = {now!r}")
        return Reconciled.done(
            f"{primary.name}: {NAME} = {now!r}", setting=now, previous=now, member=primary.name
        )


def intended(service: PostgresqlService) -> SyncSetting:
    """Raises ValueError."""
    return parse_synchronous_standby_names(service.postgresql.synchronous_standby_names)


def widened(now: str, member: PostgresqlMember, primary: PostgresqlMember, service: PostgresqlService) -> str:
    """`now` with the member, if the estate means it to be a synchronous standby. Raises ValueError.

    k is the estate's: it was lowered while there were too few.
    """
    plan = intended(service)
    if not plan.synchronous:
        return now
    home = [m.application_name for m in service.members.values() if m.role == "primary"]
    meant = meant_names(plan, home, primary.application_name)
    setting = parse_synchronous_standby_names(now)
    there = {n.lower() for n in setting.names} | {member.application_name.lower()}
    others = [n for n in setting.names if n.lower() not in {m.lower() for m in meant}]
    names = [n for n in dict.fromkeys(meant) if n.lower() in there] + others
    text = format_names(plan.method, plan.k, names)
    return now if not names or _same(setting, text) else text


def _same(setting: SyncSetting, text: str) -> bool:
    other = parse_synchronous_standby_names(text)
    return (setting.method, setting.k, setting.names) == (other.method, other.k, other.names)
