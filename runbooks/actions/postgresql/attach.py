"""Let a standby stream from somebody, at once.

How fast: a changed `primary_conninfo` takes effect immediately if the startup process sleeps between two
attempts, because SIGHUP wakes it (seen on 15 and 18 with wal_retrieve_retry_interval = 5 s: 14 ms). If its
first attempt fails (the upstream is not ready, or ends the stream as it is promoted), it sleeps for the rest
of that interval, 5 s by default; another reload wakes it again. So it is reloaded until it streams.
"""

from __future__ import annotations

from typing import Final

from model.ports import SqlError
from runbooks.actions.postgresql.locks import Locked
from runbooks.actions.postgresql.settings import alter

POLL_S: Final = 0.003
NUDGE_S: Final = 0.1  # an attempt on a good network takes a third of this
_STATUS: Final = "SELECT status FROM pg_stat_wal_receiver"


async def attach(locked: Locked, conninfo: str) -> bool:
    """Set it and wait until it streams or the session's deadline comes. Does it stream? Raises SqlError if
    the setting could not be made."""
    await alter(locked, "primary_conninfo", conninfo)
    nudged_s = locked.clock.monotonic_s()
    while locked.clock.monotonic_s() + POLL_S < locked.deadline_s:
        try:
            if await locked.query(_STATUS) == [("streaming",)]:
                return True
            if locked.clock.monotonic_s() - nudged_s >= NUDGE_S:
                nudged_s = locked.clock.monotonic_s()
                await locked.query("SELECT pg_reload_conf()")
        except SqlError:
            if locked.session.closed:
                return False
            raise
        await locked.clock.sleep(POLL_S)
    return False
