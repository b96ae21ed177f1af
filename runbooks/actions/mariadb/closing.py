"""How a primary is closed for writes, and how that is seen: by a write that it refuses.

MariaDB has no super_read_only: whoever has READ ONLY ADMIN writes to a server that is read-only. What holds
instead: no account of an application has that right, its sessions are ended, and the account that looks,
which has no such right either, is refused a write. Nobody who waits for a replica's acknowledgement is
ended: the server would tell that client that its write is safe.
"""

from __future__ import annotations

from typing import Final

from model.errors import DeclinedError
from probes.mariadb_write import quoted_table
from runbooks.actions.base import StepContext
from runbooks.actions.mariadb.asking import ANSWER_S, Asking, looking, service_of
from runbooks.actions.mariadb.quoting import quoted

_GONE: Final = 1094  # no such connection: it has ended by itself
READ_ONLY: Final = frozenset({1290, 1836})
CLOSE: Final = "SET GLOBAL read_only = 1"
OPEN: Final = "SET GLOBAL read_only = 0"


async def close(ctx: StepContext, asking: Asking) -> int:
    """Number of sessions that were ended; whoever comes back finds it read-only. It may have to wait for
    commits that wait for a replica: then it is declined, and nothing has changed. Raises NoAnswerError,
    DeclinedError."""
    await asking.query(CLOSE)
    return await end_clients(ctx, asking)


async def end_clients(ctx: StepContext, asking: Asking) -> int:
    settings = service_of(ctx).mariadb
    ours = [a.user for a in (settings.monitor, settings.control, settings.replication) if a is not None]
    names = ", ".join(quoted(user) for user in ("system user", "event_scheduler", *ours))
    rows = await asking.query(
        "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() "  # quoted
        f"AND user NOT IN ({names}) AND command NOT IN ('Binlog Dump', 'Daemon', 'Killed') "
        "AND COALESCE(state, '') NOT LIKE '%semi-sync%'",
        within_s=ANSWER_S,
    )
    ended = 0
    for row in rows:
        try:
            await asking.query(f"KILL CONNECTION {int(row.get('id') or 0)}", within_s=ANSWER_S)
            ended += 1
        except DeclinedError as error:
            if error.code != _GONE:
                raise
    return ended


async def refuses_writes(ctx: StepContext, member: str, deadline_s: float) -> str | None:
    """What shows that it takes no writes from those without READ ONLY ADMIN; None: nothing does. Raises
    NoAnswerError, and DeclinedError where the server lets nobody in."""
    table = service_of(ctx).mariadb.write_table
    async with looking(ctx, member, deadline_s) as asking:
        if not table:
            return "read_only is on" if await asking.value("@@GLOBAL.read_only") == "1" else None
        try:
            # It would change nothing if it were taken.
            await asking.query(f"UPDATE {quoted_table(table)} SET n = n WHERE id = 1", within_s=ANSWER_S)
        except DeclinedError as error:
            return error.what if error.code in READ_ONLY else None
        return None
