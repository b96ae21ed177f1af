"""How actions speak to members: statements over one session, until a moment of the clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from config.mariadb import MariadbMember, MariadbService
from model.errors import RunbookError
from model.ports import Clock, MysqlSession, NoAnswerError
from runbooks.actions.base import StepContext

# Of one statement that looks: a server that hangs answers none, and its neighbours are waited for no longer.
ANSWER_S: Final = 0.5

Row = dict[str, str | None]


@dataclass(slots=True)
class Asking:
    """A member's session while it is used."""

    member: str
    session: MysqlSession
    clock: Clock
    deadline_s: float

    async def query(self, statement: str, *, within_s: float | None = None) -> list[Row]:
        """Until the deadline, or within a shorter time. Raises NoAnswerError, DeclinedError."""
        left_s = self.deadline_s - self.clock.monotonic_s()
        if left_s <= 0:
            raise NoAnswerError(f"{self.member}: no time was left for a statement")
        return await self.session.query(
            statement, timeout_s=left_s if within_s is None else min(left_s, within_s)
        )

    async def value(self, expression: str) -> str:
        """Of a SELECT; '' for NULL."""
        [row] = await self.query(f"SELECT {expression} AS found", within_s=ANSWER_S)  # never a value
        return row.get("found") or ""


def service_of(ctx: StepContext) -> MariadbService:
    """Raises RunbookError for a service of another engine."""
    return ctx.service_as(MariadbService)


def member_of(ctx: StepContext, name: str) -> MariadbMember:
    """Raises RunbookError."""
    members = service_of(ctx).members
    if name not in members:
        raise RunbookError(
            f"{name!r} is no member of {ctx.service.name}", hint=f"its members are {', '.join(members)}"
        )
    return members[name]


def address_of(ctx: StepContext, name: str) -> tuple[str, int]:
    """As its replicas are told it. Raises RunbookError."""
    member = member_of(ctx, name)
    return member.host, member.port


@asynccontextmanager
async def looking(
    ctx: StepContext, member: str, deadline_s: float, *, within_s: float = ANSWER_S
) -> AsyncIterator[Asking]:
    """A fresh session of the account that looks. Raises NoAnswerError, DeclinedError."""
    member_of(ctx, member)
    clock = ctx.ports.clock
    until_s = min(deadline_s, clock.monotonic_s() + within_s)
    session = await ctx.ports.mysql.connect(
        ctx.service.name, member, role="monitor", timeout_s=max(until_s - clock.monotonic_s(), 0.02)
    )
    try:
        yield Asking(member, session, clock, deadline_s)
    finally:
        session.close()


def control_user(ctx: StepContext) -> str:
    """For people."""
    control = service_of(ctx).mariadb.control
    return "nobody" if control is None else control.user
