"""A statement on a member of a PostgreSQL service: where, as whom, and with which parameters.

The statement is written out in the runbook; values are its parameters ($1, $2, …) and are sent apart from
it, so none of them is ever read as SQL.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints

from model.errors import RunbookError
from model.ports import SqlError, SqlSession
from runbooks.actions.base import ActionOptions, StepContext

_APPLICATION: Final = "bcm-failover:runbook"


def _parameter(value: object) -> object:
    if value is not None and not isinstance(value, str | int | bool):
        raise ValueError("a parameter is a text, an integer, true, false or null")
    if isinstance(value, str) and "\0" in value:
        raise ValueError("a parameter holds no NUL character")
    return value


DatabaseName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.$-]{1,63}$")]
Parameters = tuple[Annotated[Any, AfterValidator(_parameter)], ...]


class SqlOptions(ActionOptions):
    """Where, and as whom."""

    member: str = Field("", description="The member; without it whoever takes writes, through the endpoint.")
    database: DatabaseName = Field("postgres", description="Name of the database.")


Role = Literal["monitor", "control"]
ROLE: Final = "One of the estate's `roles`: its rights are what the statement may do."


@asynccontextmanager
async def session(
    ctx: StepContext, options: SqlOptions, role: Role, deadline_s: float
) -> AsyncIterator[tuple[str, SqlSession]]:
    """(the member, a session there), closed at the end. Raises SqlError and RunbookError."""
    members, limit_s = ctx.pg.members, ctx.left_s(deadline_s)
    if not options.member:
        member, opened = await ctx.ports.sql.connect_endpoint(
            ctx.service.name, role=role, database=options.database, timeout_s=limit_s
        )
    elif options.member in members:
        member = options.member
        opened = await ctx.ports.sql.connect(
            ctx.service.name,
            member,
            role=role,
            database=options.database,
            timeout_s=limit_s,
            application_name=_APPLICATION,
        )
    else:
        raise RunbookError(
            f"{ctx.service.name} has no member {options.member!r}", hint=f"there are: {', '.join(members)}"
        )
    try:
        yield member, opened
    finally:
        await opened.close()


def place(ctx: StepContext, options: SqlOptions, role: Role) -> str:
    user = getattr(ctx.pg.postgresql.roles, role).user
    return f"{options.member or 'through the endpoint'} as {user}, database {options.database}"


def shown(statement: str, params: Sequence[Any]) -> str:
    text = " ".join(statement.split())
    return f"{text} {list(params)}" if params else text


def why(error: SqlError | RunbookError) -> str:
    return error.what if isinstance(error, RunbookError) else str(error)
