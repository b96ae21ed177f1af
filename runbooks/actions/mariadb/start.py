"""mariadb.start: one that is down is started on its node, and closed for writes with its first answer."""

from __future__ import annotations

from typing import ClassVar

from model.errors import BcmError
from model.ports import NoAnswerError
from runbooks.actions.base import StepContext
from runbooks.actions.mariadb.asking import looking
from runbooks.actions.mariadb.closing import close
from runbooks.actions.mariadb.fence import server_of
from runbooks.actions.mariadb.locks import changing
from runbooks.actions.process import Server
from runbooks.actions.starting import Starting


class Start(Starting):
    """One that answers is left as it is. Output: `started`."""

    name: ClassVar[str] = "mariadb.start"

    def server(self, ctx: StepContext, member: str) -> Server:
        return server_of(ctx, member)

    async def why_silent(self, ctx: StepContext, member: str, deadline_s: float) -> str | None:
        try:
            async with looking(ctx, member, deadline_s) as asking:
                await asking.value("1")
        except NoAnswerError as error:
            return str(error)
        except BcmError:
            return None  # it says something: it runs
        return None

    async def close(self, ctx: StepContext, member: str, deadline_s: float) -> None:
        async with changing(ctx, member, deadline_s, late=True) as asking:
            await close(ctx, asking)
