"""One row that is written to a MariaDB server, and what holds the write up if it takes too long.

The connection of a write that does not end is shut; the statement itself is never killed at the server,
because a commit whose wait for a replica is cancelled reports success. It goes on there, so the next attempt
first looks whether it still does: attempts must not pile up in a server that is blocked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from model.observation import Failure
from model.ports import Clock
from probes.base import Reading
from probes.mysql_errors import MyError, reading_of
from probes.mysql_session import MySession
from probes.trace import note

Opener = Callable[[], Awaitable[MySession]]

# So that a row that somebody else has locked is said to be locked, and waited for no longer.
_SETTINGS = "SET SESSION innodb_lock_wait_timeout = 1, SESSION lock_wait_timeout = 1"
# States of a statement, as the server names them in SHOW PROCESSLIST. They are never translated.
_STATES = (
    ("free space", Failure.DISK_FULL),  # it waits for somebody to make room, and gives no error
    ("semi-sync", Failure.SYNC_BLOCKED),
    ("lock", Failure.LOCK_BLOCKED),
)


class CanaryRow:
    """`table` is `database.table`, quoted by `quoted_table`; the row `id` 1 in it is ours."""

    def __init__(self, table: str, within_s: float, clock: Clock, open_session: Opener) -> None:
        self._table = table
        self._within_s = within_s
        self._clock = clock
        self._open = open_session
        self.number: int | None = None  # the last that was acknowledged
        self._held_up: int | None = None  # the connection of a write that did not end
        self._one = asyncio.Lock()

    async def write(self, session: MySession) -> Reading | None:
        """None if the row was written in time; one at a time. Raises MyError for what the server said."""
        async with self._one:
            return await self._write_in_time(session)

    async def _write_in_time(self, session: MySession) -> Reading | None:
        if self._held_up is not None:
            held_up = await self._state_of(session, self._held_up)
            if held_up is not None:
                return held_up
            self._held_up = None
        writing = asyncio.create_task(self._write(session), name="mariadb-write")
        limit = asyncio.ensure_future(self._clock.sleep(self._within_s))
        try:
            await asyncio.wait({writing, limit}, return_when=asyncio.FIRST_COMPLETED)
            if writing.done():
                return writing.result()
        finally:
            limit.cancel()
            writing.cancel()
            await asyncio.wait({writing})  # it waits for nothing but the loop, so it ends at once
        note("the row is not written after %s s: looking why", self._within_s)
        return await self._why(session.connection)

    async def _write(self, session: MySession) -> None:
        began_ns = time.perf_counter_ns()
        await session.query(_SETTINGS)
        # Seconds since 1970 come from the server: no clock of ours is mixed with its own.
        await session.query(
            f"INSERT INTO {self._table} (id, n, written_us) "
            "VALUES (1, 1, CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)) "
            "ON DUPLICATE KEY UPDATE n = n + 1, written_us = VALUES(written_us)"
        )
        # What another observer has written meanwhile is acknowledged too: it could not be read else.
        rows = await session.query(f"SELECT n FROM {self._table} WHERE id = 1")  # plain names
        text = (rows[0].get("n") or "") if rows else ""
        self.number = int(text) if text.isascii() and text.isdigit() else None
        note("the row was written in %.1f ms", (time.perf_counter_ns() - began_ns) / 1e6)

    async def _why(self, connection: int) -> Reading:
        """Through a second session: the first one is held up."""
        try:
            second = await self._open()
        except MyError as error:
            return reading_of(error)
        try:
            reading = await self._state_of(second, connection)
        except MyError as error:
            return reading_of(error)
        finally:
            second.close()
        if reading is None:
            return Reading.unknown(
                None, f"the write took longer than {self._within_s:g} s, and has ended since"
            )
        self._held_up = connection
        return reading

    async def _state_of(self, session: MySession, connection: int) -> Reading | None:
        """None if it is at nothing any more. Raises MyError."""
        rows = await session.query(
            "SELECT state, time_ms FROM information_schema.processlist "
            # After a restart the number may be another connection's.
            f"WHERE id = {connection} AND command = 'Query' AND info LIKE 'INSERT INTO %'"
        )
        if not rows:
            return None
        state = rows[0].get("state") or ""
        waited_ms = (rows[0].get("time_ms") or "0").partition(".")[0]
        text = f"a write waits for {waited_ms} ms: {state or 'no state'}"
        for mark, failure in _STATES:
            if mark in state.lower():
                return Reading.failed(failure, text)
        return Reading.failed(Failure.IO_BLOCKED, text)


def quoted_table(name: str) -> str:
    """`database.table`, which was checked to be two plain names."""
    return ".".join(f"`{part}`" for part in name.split("."))
