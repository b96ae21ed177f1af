"""How a primary is closed for writes, and how that is seen: by a write that it refuses.

`min-replicas-to-write` above any number of replicas makes it refuse every write at once, for as long as its
process lives and without a timer. The sessions of its clients are ended too, so that they look for the new
primary. A replica refuses writes as such.
"""

from __future__ import annotations

from typing import Final

from model.ports import Refused
from runbooks.actions.base import StepContext
from runbooks.actions.redis.asking import ask, service_of, tell

MORE_THAN_ANY: Final = 1_000_000
_KEY: Final = "bcm-failover:fence"
# Read-only as a replica, or by min-replicas-to-write.
_CLOSED: Final = frozenset({"READONLY", "NOREPLICAS"})


def commands() -> list[tuple[str, ...]]:
    """Clients last: whoever comes back finds it closed."""
    return [
        ("CONFIG", "SET", "min-replicas-max-lag", "10"),
        ("CONFIG", "SET", "min-replicas-to-write", str(MORE_THAN_ANY)),
        ("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"),
        ("CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes"),
    ]


async def close(ctx: StepContext, member: str, deadline_s: float) -> int:
    """Number of clients' sessions that were ended. Raises NoAnswerError, RunbookError."""
    replies = await tell(ctx, member, *commands(), deadline_s=deadline_s)
    return sum(n for n in replies[2:] if isinstance(n, int))


async def open_again(ctx: StepContext, member: str, deadline_s: float) -> None:
    """As the estate has it. Raises NoAnswerError, RunbookError."""
    settings = service_of(ctx).redis
    await tell(
        ctx,
        member,
        ("CONFIG", "SET", "min-replicas-to-write", str(settings.min_replicas)),
        ("CONFIG", "SET", "min-replicas-max-lag", str(settings.min_replicas_max_lag)),
        deadline_s=deadline_s,
    )


async def refuses_writes(ctx: StepContext, member: str, deadline_s: float) -> str | None:
    """What it answers to a write, where that shows that it takes none; None: it took one, or it is not seen.
    The key is gone within a millisecond if it was taken. Raises NoAnswerError."""
    (reply,) = await ask(ctx, member, ("SET", _KEY, "closed?", "PX", "1"), deadline_s=deadline_s)
    return str(reply) if isinstance(reply, Refused) and reply.code in _CLOSED else None
