"""How actions speak to members: a few commands over a fresh connection, until a moment of the clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from config.redis import RedisMember, RedisService
from model.errors import RunbookError
from model.ports import NoAnswerError, Refused
from runbooks.actions.base import StepContext

# Of one conversation: a server that hangs answers none, and its neighbours are waited for no longer either.
ANSWER_S: Final = 0.5
LEAST_S: Final = 0.02


def service_of(ctx: StepContext) -> RedisService:
    """Raises RunbookError for a service of another engine."""
    return ctx.service_as(RedisService)


def member_of(ctx: StepContext, name: str) -> RedisMember:
    """Raises RunbookError."""
    members = service_of(ctx).members
    if name not in members:
        raise RunbookError(
            f"{name!r} is no member of {ctx.service.name}", hint=f"its members are {', '.join(members)}"
        )
    return members[name]


async def ask(
    ctx: StepContext,
    target: str,
    *commands: Sequence[str],
    deadline_s: float,
    within_s: float = ANSWER_S,
    monitor: bool = False,
) -> list[Any]:
    """The replies, refusals among them. Raises NoAnswerError."""
    left_s = deadline_s - ctx.ports.clock.monotonic_s()
    return await ctx.ports.redis.ask(
        ctx.service.name, target, commands, timeout_s=max(min(left_s, within_s), LEAST_S), monitor=monitor
    )


async def tell(ctx: StepContext, target: str, *commands: Sequence[str], deadline_s: float) -> list[Any]:
    """The same, of commands that must not be refused. Raises NoAnswerError, and RunbookError where one is."""
    replies = await ask(ctx, target, *commands, deadline_s=deadline_s)
    for words, reply in zip(commands, replies, strict=True):
        if isinstance(reply, Refused):
            raise RunbookError(
                f"{target} refused {shown(words)}: {reply}",
                hint="the account in `redis: {control: …}` needs the right to it",
            )
    return replies


def shown(words: Sequence[str]) -> str:
    """A command as people write it."""
    return " ".join(word or '""' for word in words)


async def within_reach(ctx: StepContext, target: str, deadline_s: float) -> str | None:
    """Why it can't be spoken to, or None."""
    try:
        (reply,) = await ask(ctx, target, ("PING",), deadline_s=deadline_s)
    except NoAnswerError as error:
        return str(error)
    return str(reply) if isinstance(reply, Refused) else None
