"""sql.execute: one statement that changes something on a PostgreSQL member."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from config.document import Path
from model.errors import RunbookError
from model.execution import Effect, Reconciled, StepResult
from model.ports import SqlError
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.repeats import before_acting
from runbooks.actions.sql.statement import ROLE, Parameters, Role, SqlOptions, place, session, shown, why


class ExecuteOptions(SqlOptions):
    """A change, how it is seen, and what takes it back."""

    statement: str = Field(min_length=1, description="One statement. No template stands in it.")
    params: Parameters = Field((), description="Values of $1, $2, …: text, integers, true, false, null.")
    role: Role = Field("control", description=ROLE)
    effect: str = Field(
        "",
        description="A query that says whether the effect is there: one row with true or false; anything "
        "else: not known. Without it the outcome of an interrupted run stays unknown.",
    )
    effect_params: Parameters = Field((), description="Its parameters.")
    undo: str = Field("", description="A statement that takes it back, and may be run twice.")
    undo_params: Parameters = Field((), description="Its parameters.")


class Execute(Action):
    """Runs one statement as a transaction of its own. It succeeds when the server has acknowledged it and,
    where `effect` is given, the effect is seen. A wait for a synchronous standby that somebody has
    cancelled is no acknowledgement.

    Output: `row_count`: rows that it returned (with RETURNING); `member`; `changed`: false where the effect
    was there before and nothing was run.
    """

    name: ClassVar[str] = "sql.execute"
    Options: ClassVar[type[ActionOptions]] = ExecuteOptions
    outputs: ClassVar[tuple[str, ...] | None] = ("row_count", "member", "changed")
    literal: ClassVar[tuple[Path, ...]] = (("statement",), ("effect",), ("undo",), ("role",))

    def __init__(self, options: ExecuteOptions) -> None:
        super().__init__(options)
        self._options = options

    @classmethod
    def repeatable(cls, written: Mapping[str, Any]) -> bool:
        return bool(written.get("effect"))

    @classmethod
    def observable(cls, written: Mapping[str, Any]) -> bool:
        return bool(written.get("effect"))

    @classmethod
    def reversible(cls, written: Mapping[str, Any]) -> bool:
        return bool(written.get("undo"))

    def describe(self, ctx: StepContext) -> list[str]:
        given = self._options
        lines = [shown(given.statement, given.params)]
        lines += [f"effect: {shown(given.effect, given.effect_params)}"] if given.effect else []
        return lines + ([f"undo: {shown(given.undo, given.undo_params)}"] if given.undo else [])

    def where(self, ctx: StepContext) -> str:
        return place(ctx, self._options, self._options.role)

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        given = self._options
        if given.effect:
            before = await self._effect(ctx, deadline_s)
            settled = before_acting(ctx, before, "its effect is there already; it is not run")
            if settled is not None:
                return settled
        try:
            async with session(ctx, given, given.role, deadline_s) as (member, opened):
                rows = await opened.query(given.statement, given.params, timeout_s=ctx.left_s(deadline_s))
        except SqlError as error:
            return (StepResult.unknown if error.outcome_unknown else StepResult.failed)(why(error))
        except RunbookError as error:
            return StepResult.failed(why(error))
        found = {"row_count": len(rows), "member": member, "changed": True}
        if not given.effect:
            return StepResult.ok(f"{member} has done it", **found)
        seen = await self._effect(ctx, deadline_s)
        match seen.effect:
            case Effect.DONE:
                return StepResult.ok(f"{member} has done it; {seen.detail}", **found)
            case Effect.NOT_DONE:
                return StepResult.failed(f"{member} has done it, but {seen.detail}", **found)
            case Effect.UNKNOWN:
                return StepResult.unknown(f"{member} has done it, but {seen.detail}", **found)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        if not self._options.effect:
            return Reconciled.unknown("the runbook names no query that says whether its effect is there")
        return await self._effect(ctx, deadline_s)

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        given = self._options
        if ctx.output(ctx.step).get("changed") is False:
            return StepResult.ok("it was not run")
        if given.effect and (await self._effect(ctx, deadline_s)).effect is Effect.NOT_DONE:
            return StepResult.ok("its effect is not there")
        if not given.undo:
            return StepResult.failed("the runbook names no statement that takes it back")
        try:
            async with session(ctx, given, given.role, deadline_s) as (_member, opened):
                await opened.query(given.undo, given.undo_params, timeout_s=ctx.left_s(deadline_s))
        except SqlError as error:
            return (StepResult.unknown if error.outcome_unknown else StepResult.failed)(why(error))
        except RunbookError as error:
            return StepResult.failed(why(error))
        if given.effect and (await self._effect(ctx, deadline_s)).effect is not Effect.NOT_DONE:
            return StepResult.failed("what takes it back was run, and its effect is not seen to be gone")
        return StepResult.ok("taken back")

    async def _effect(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        given = self._options
        try:
            async with session(ctx, given, given.role, deadline_s) as (member, opened):
                rows = await opened.query(given.effect, given.effect_params, timeout_s=ctx.left_s(deadline_s))
        except (SqlError, RunbookError) as error:
            return Reconciled.unknown(f"its effect can't be looked at: {why(error)}")
        match rows:
            case [(True,)]:
                return Reconciled.done("its effect is there", row_count=0, member=member, changed=True)
            case [(False,)]:
                return Reconciled.not_done("its effect is not there")
            case _:
                return Reconciled.unknown("the query that looks at its effect gave no single true or false")
