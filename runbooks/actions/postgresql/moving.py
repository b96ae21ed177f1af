"""How far a long program of the server is: told while it works, so that one that moves is not ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final

from model.errors import BcmError
from model.ports import CommandResult
from runbooks.actions.base import StepContext
from runbooks.actions.postgresql.server import Server

_LOOK_EVERY_S: Final = 2.0  # one short command on the node each time


async def while_moving(
    ctx: StepContext, server: Server, program: str, work: Awaitable[CommandResult]
) -> CommandResult:
    """The result of `work`, in which `program` works on the server's data directory.

    What can't be seen counts as movement: a program is ended for standing still, not for being out of sight.
    """
    working = asyncio.ensure_future(work)
    unseen = 0
    try:
        while not working.done():
            await asyncio.wait({working}, timeout=_LOOK_EVERY_S)
            if working.done():
                break
            moved = await _look(server, program)
            unseen -= moved is None
            ctx.moved(unseen if moved is None else moved)
    except asyncio.CancelledError:
        working.cancel()
        await asyncio.wait({working})
        raise
    return working.result()


async def _look(server: Server, program: str) -> int | None:
    try:
        return await server.bytes_moved(program)
    except BcmError:
        return None
