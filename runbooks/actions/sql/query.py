"""sql.query: ask a PostgreSQL member something, in a transaction that can't write."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from pydantic import Field

from config.document import Path
from model.errors import RunbookError
from model.execution import StepResult
from model.ports import SqlError
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.sql.statement import ROLE, Parameters, Role, SqlOptions, place, session, shown, why

_MOST_ROWS: Final = 100
_MOST_CHARACTERS: Final = 2000  # of one value
_READ_ONLY: Final = "SET default_transaction_read_only = on"
ANY: Final = "(any)"


class QueryOptions(SqlOptions):
    """A question."""

    statement: str = Field(min_length=1, description="One statement. No template stands in it.")
    params: Parameters = Field((), description="Values of $1, $2, …: text, integers, true, false, null.")
    role: Role = Field("monitor", description=ROLE)
    expect: Any = Field(
        ANY, description="What the first column of the first row must be; anything, if left out."
    )


class Query(Action):
    """Runs one statement in a transaction that is read-only.

    Output: `rows`, at most 100, each a list of integers, true, false, null, and text for everything else;
    `row_count`; `value`: the first column of the first row, null without one; `member` that answered.
    """

    name: ClassVar[str] = "sql.query"
    Options: ClassVar[type[ActionOptions]] = QueryOptions
    changing: ClassVar[bool] = False
    outputs: ClassVar[tuple[str, ...] | None] = ("rows", "row_count", "value", "member")
    literal: ClassVar[tuple[Path, ...]] = (("statement",), ("role",))

    def __init__(self, options: QueryOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        return [shown(self._options.statement, self._options.params)]

    def where(self, ctx: StepContext) -> str:
        return place(ctx, self._options, self._options.role)

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        given = self._options
        try:
            async with session(ctx, given, given.role, deadline_s) as (member, opened):
                await opened.query(_READ_ONLY, timeout_s=ctx.left_s(deadline_s))
                rows = await opened.query(given.statement, given.params, timeout_s=ctx.left_s(deadline_s))
        except SqlError as error:
            # A refusal by the server is an answer; none is none.
            return (StepResult.failed if error.sqlstate else StepResult.unknown)(why(error))
        except RunbookError as error:
            return StepResult.failed(why(error))
        value = rows[0][0] if rows and rows[0] else None
        found = {
            "rows": [[_cut(value) for value in row] for row in rows[:_MOST_ROWS]],
            "row_count": len(rows),
            "value": _cut(value),
            "member": member,
        }
        expected = given.expect
        if expected != ANY and (value != expected or isinstance(value, bool) != isinstance(expected, bool)):
            return StepResult.failed(f"{member} says {_cut(value)!r}, expected {expected!r}", **found)
        return StepResult.ok(f"{len(rows)} rows from {member}", **found)


def _cut(value: Any) -> Any:
    return value[:_MOST_CHARACTERS] if isinstance(value, str) else value
