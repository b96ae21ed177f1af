"""postgresql.lock: take the members for this controller alone (POSTGRESQL P7)."""

from __future__ import annotations

from typing import ClassVar

from model.errors import BcmError
from model.execution import Precheck, Reconciled, StepResult
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.inputs import members_in
from runbooks.actions.postgresql.glance import precheck_reachable
from runbooks.actions.postgresql.inputs import member_named, role_user, settings_in_force, shortfall
from runbooks.actions.postgresql.locks import APPLICATION_PREFIX, RESOURCE, Locks
from runbooks.actions.postgresql.rights import precheck_rights
from runbooks.actions.together import on_each, reasons


class LockOptions(ActionOptions):
    """members: whom to lock; the variable `standbys`, if not given. required: those that must be among them.
    quorum: enough of them to hold every acknowledged write must be locked (n − k + 1 of n)."""

    members: tuple[str, ...] | None = None
    required: tuple[str, ...] = ()
    quorum: bool = True


class Lock(Action):
    """Output: `locked`, `left_out` with the reasons, `enough` (true), `ever`: whom this execution has locked,
    now or in a run before.

    Repeated after a restart it is content with whom it gets: taking back must not depend on everybody, least
    of all on a server that this very execution has stopped. A promotion looks at the quorum again.
    """

    name: ClassVar[str] = "postgresql.lock"
    Options: ClassVar[type[ActionOptions]] = LockOptions
    # It changes nothing that a service feels: sessions of controllers that have lost their leadership end.
    changing: ClassVar[bool] = False
    per_process: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...] | None] = ("locked", "left_out", "enough", "ever")

    def __init__(self, options: LockOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        epoch = ctx.ports.lease.epoch
        return [
            f"{m}: pg_advisory_lock over a session named {APPLICATION_PREFIX}{epoch}"
            for m in self._members(ctx)
        ]

    def where(self, ctx: StepContext) -> str:
        return f"{', '.join(self._members(ctx))} as {role_user(ctx.pg, 'control')}"

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        why = "every change goes over a session that holds a lock there (P7)"
        return [
            row
            for member in self._members(ctx)
            for row in (
                await precheck_reachable(ctx, member, why=why),
                await precheck_rights(ctx, member),
            )
        ]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        try:
            members = self._members(ctx)
            settings = settings_in_force(ctx) if self._options.quorum else ()
            named = {m: member_named(ctx, m) for m in members}
        except BcmError as error:
            return StepResult.failed(str(error))
        before = ctx.resources.pop(RESOURCE, None)
        if isinstance(before, Locks):
            await before.close()
        locks = ctx.resources[RESOURCE] = _new_locks(ctx)
        ctx.stack.push_async_callback(locks.close)

        repeated = ctx.output("lock").get("enough") is True
        earlier = [str(m) for m in ctx.output("lock").get("ever", ())]

        def short(locked: list[str]) -> str | None:
            if repeated:
                return None if locked else "nobody"
            missing = [m for m in self._options.required if m not in locked]
            if missing:
                return f"{', '.join(missing)} must be locked"
            return shortfall(settings, [named[m] for m in locked]) if self._options.quorum else None

        locked, left_out = await on_each(
            members,
            lambda member: locks.acquire(member, deadline_s),
            clock=ctx.ports.clock,
            deadline_s=deadline_s,
            enough=lambda done: not repeated and short(list(done)) is None,
        )
        problem = short(list(locked))
        if problem is not None:
            return StepResult.failed(
                f"too few members could be locked: {problem}{reasons(left_out)}",
                locked=list(locked),
                left_out=left_out,
            )
        # After the locks, not before: whoever takes the leadership from here on ends these sessions first.
        if not ctx.ports.lease.held():
            await locks.close()
            return StepResult.failed("the leadership was lost while the locks were taken")
        return StepResult.ok(
            f"locked: {', '.join(locked)}{reasons(left_out)}",
            locked=list(locked),
            left_out=left_out,
            enough=True,
            ever=[m for m in members if m in locked or m in earlier],
        )

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        return Reconciled.not_done("locks end with the process that took them")

    def _members(self, ctx: StepContext) -> list[str]:
        chosen = self._options.members
        wanted = members_in(ctx, "standbys") if chosen is None else chosen
        return list(dict.fromkeys((*wanted, *self._options.required)))


def _new_locks(ctx: StepContext) -> Locks:
    return Locks(
        sql=ctx.ports.sql,
        clock=ctx.ports.clock,
        service=ctx.service.name,
        database=ctx.pg.postgresql.database,
        epoch=ctx.ports.lease.epoch,
        leads=ctx.ports.lease.held,
    )
