"""mariadb.lock: take the members for this controller alone."""

from __future__ import annotations

from typing import ClassVar

from model.errors import BcmError
from model.execution import Precheck, Reconciled, StepResult
from model.ports import NoAnswerError
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.inputs import members_in
from runbooks.actions.mariadb.asking import control_user, looking, member_of
from runbooks.actions.mariadb.locks import NAME, RESOURCE, Locks
from runbooks.actions.together import on_each, reasons


class LockOptions(ActionOptions):
    """members: whom to lock; the variable `standbys`, if not given. required: those that must be among them;
    else one is enough, and what has to be had of the others is the proof's to say."""

    members: tuple[str, ...] | None = None
    required: tuple[str, ...] = ()


class Lock(Action):
    """Output: `locked`, `left_out` with the reasons.

    Repeated after a restart it is content with whom it gets: taking back must not depend on everybody.
    """

    name: ClassVar[str] = "mariadb.lock"
    Options: ClassVar[type[ActionOptions]] = LockOptions
    # It changes nothing that a service feels: sessions of controllers that have lost their leadership end.
    changing: ClassVar[bool] = False
    per_process: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...] | None] = ("locked", "left_out")

    def __init__(self, options: LockOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        return [f"{m}: GET_LOCK('{NAME}') in a session that lasts" for m in self._members(ctx)]

    def where(self, ctx: StepContext) -> str:
        return f"{', '.join(self._members(ctx))} as {control_user(ctx)}"

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        deadline_s = ctx.ports.clock.monotonic_s() + 2.0
        return [await _reachable(ctx, member, deadline_s) for member in self._members(ctx)]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        try:
            members = self._members(ctx)
            for name in members:
                member_of(ctx, name)
        except BcmError as error:
            return StepResult.failed(str(error))
        before = ctx.resources.pop(RESOURCE, None)
        if isinstance(before, Locks):
            before.close()
        locks = ctx.resources[RESOURCE] = Locks(ctx)
        ctx.stack.callback(locks.close)
        repeated = bool(ctx.output(ctx.step or "lock").get("locked"))

        def enough(done: object) -> bool:
            return not repeated and all(m in locks.members for m in self._options.required or members[:1])

        locked, left_out = await on_each(
            members,
            lambda member: locks.acquire(member, deadline_s),
            clock=ctx.ports.clock,
            deadline_s=deadline_s,
            enough=enough,
        )
        output = {"locked": list(locked), "left_out": left_out}
        missing = [m for m in self._options.required if m not in locked]
        if not locked or (missing and not repeated):
            who = ", ".join(missing) or "nobody"
            return StepResult.failed(f"not locked: {who}{reasons(left_out)}", **output)
        # After the locks, not before: whoever takes the leadership from here on ends these sessions first.
        if not ctx.ports.lease.held():
            locks.close()
            return StepResult.failed("the leadership was lost while the locks were taken")
        return StepResult.ok(f"locked: {', '.join(locked)}{reasons(left_out)}", **output)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        return Reconciled.not_done("locks end with the process that took them")

    def _members(self, ctx: StepContext) -> list[str]:
        chosen = self._options.members
        wanted = members_in(ctx, "standbys") if chosen is None else chosen
        return list(dict.fromkeys((*wanted, *self._options.required)))


async def _reachable(ctx: StepContext, member: str, deadline_s: float) -> Precheck:
    try:
        async with looking(ctx, member, deadline_s) as asking:
            ok, result = True, f"version {await asking.value('VERSION()')}"
    except (BcmError, NoAnswerError) as error:
        ok, result = False, str(error)
    return Precheck(
        what=f"{member} lets us in",
        how="log in over a fresh connection",
        ok=ok,
        result=result,
        why="every change goes over a session that holds a lock there",
        if_failed="it is left out, and can't be promoted",
    )
