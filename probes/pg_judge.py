"""Why a write does not return: a second connection looks what its backend waits for (POSTGRESQL P15)."""

from __future__ import annotations

import asyncio

from model.errors import BcmError
from model.observation import Failure
from probes.base import Reading
from probes.pg_errors import PgError
from probes.pg_options import PgDoor
from probes.pg_readings import reading_of
from probes.pg_session import PgSession

LOOK_EVERY_S = 0.05

# The write's own backend, and whoever it waits for, and whom those wait for: a canary whose session was lost
# may still wait for a standby, and holds the row.
_WAITS = """
WITH RECURSIVE chain(pid) AS (
  VALUES ($1::int) UNION SELECT unnest(pg_blocking_pids(c.pid)) FROM chain c
)
SELECT a.wait_event_type, a.wait_event FROM chain JOIN pg_stat_activity a USING (pid)"""

# What a backend waits for while another one writes or flushes the log for it.
_LOG_LOCKS = frozenset({"WALWrite", "WALInsert", "WALBufMapping"})


class Judge:
    """Looks again and again until it is let go of. `verdict` is the last that was seen, `known` is done as
    soon as there is one. None: the server does not answer, or the backend waits for nothing."""

    def __init__(self, door: PgDoor, backend_pid: int) -> None:
        self.verdict: Reading | None = None
        self.known: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._door = door
        self._backend_pid = backend_pid
        self._session: PgSession | None = None
        self._task = asyncio.create_task(self._look(), name="canary judge")

    def let_go(self) -> None:
        self._task.cancel()
        if self._session is not None:
            self._session.abort()
        self.known.cancel()

    async def _look(self) -> None:
        session = self._session = self._door.session()
        try:
            await self._door.open(session)
            while True:
                rows = await session.query(_WAITS, (self._backend_pid,))
                self._say(_verdict([(kind or "", event or "") for kind, event in rows]))
                await asyncio.sleep(LOOK_EVERY_S)
        except PgError as error:
            if error.sqlstate is not None:  # the server speaks, though not to us
                self._say(reading_of(error))
        except BcmError as error:
            self._say(Reading.unknown(Failure.LOCAL, error.what))
        finally:
            session.abort()

    def _say(self, verdict: Reading | None) -> None:
        if verdict is None:
            return
        self.verdict = verdict
        if not self.known.done():
            self.known.set_result(None)


def _verdict(waits: list[tuple[str, str]]) -> Reading | None:
    """Of the (type, event) of the write's backend and of all that it waits for."""
    if any(event == "SyncRep" for _kind, event in waits):
        return Reading.failed(Failure.SYNC_BLOCKED, "the write waits for a synchronous standby")
    for kind, event in waits:
        if kind == "IO" or (kind == "LWLock" and event in _LOG_LOCKS):
            return Reading.failed(Failure.IO_BLOCKED, f"the write waits for the disk ({event})")
    if any(kind == "Lock" for kind, _event in waits):
        return Reading.unknown(Failure.LOCK_BLOCKED, "the write waits for a lock that somebody holds")
    return None
