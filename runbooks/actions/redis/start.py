"""redis.start: a server that is down is started on its node, and closed for writes with its first answer.

While it loads its data it refuses clients anyhow, and takes our settings.
"""

from __future__ import annotations

from typing import ClassVar

from runbooks.actions.base import StepContext
from runbooks.actions.process import Server
from runbooks.actions.redis.asking import member_of, within_reach
from runbooks.actions.redis.closing import close
from runbooks.actions.redis.fence import server_of
from runbooks.actions.starting import Starting


class Start(Starting):
    """One that answers is left as it is. Output: `started`."""

    name: ClassVar[str] = "redis.start"

    def server(self, ctx: StepContext, member: str) -> Server:
        return server_of(ctx, member)

    async def why_silent(self, ctx: StepContext, member: str, deadline_s: float) -> str | None:
        return await within_reach(ctx, member_of(ctx, member).name, deadline_s)

    async def close(self, ctx: StepContext, member: str, deadline_s: float) -> None:
        await close(ctx, member, deadline_s)
