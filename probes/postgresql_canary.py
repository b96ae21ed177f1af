"""Probe type `postgresql-canary`: a numbered row is written to the primary a few times a second.

It is the write check of the application layer, the mark by which the age of a standby's data is told, and
the empirical half of the RPO proof: an acknowledged number must be found after a failover (POSTGRESQL P15).
It keeps an idle cluster writing WAL.

Every write reads the synchronous setting in its own statement (P2), *before* its commit waits for standbys.
So an acknowledged canary tells which setting its session had when the wait began. The walsenders, who end
the wait, take up a changed setting at about the same time, not at the same instant, and the setting may be
changed right after: whoever must rely on it counts what was in force before and after a change together.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Annotated, Any, ClassVar

from pydantic import Field

from model.errors import BcmError
from model.observation import Failure, Layer
from probes.base import Probe, ProbeOptions, ProbePorts, Reading
from probes.pg_errors import PgError
from probes.pg_judge import Judge
from probes.pg_options import PgDoor, PgOptions
from probes.pg_readings import reading_of, reading_of_broken, reading_of_end
from probes.pg_session import PgSession, Row, SessionEnd

# Numbers only grow: over restarts of this process, over promotions, and with another controller beside.
_WRITE = """
UPDATE public.canary SET n = greatest(n, $1::bigint) + 1, token = $2, written = now() WHERE id = 1
RETURNING n, current_setting('synchronous_standby_names'), current_setting('synchronous_commit'),
  current_setting('fsync')::boolean, pg_is_in_recovery(), (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint,
  ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int"""
_FACTS = (
    "canary_n",
    "sync_names",
    "synchronous_commit",
    "fsync",
    "in_recovery",
    "current_lsn",
    "timeline",
)

_NO_TABLE = frozenset({"3D000", "42P01", "3F000", "42703"})
_GRANTS_HINT = "see `bcm-failover init --grants postgresql`"


class CanaryOptions(PgOptions):
    """answer_within_s: after so long a write that is blocked is judged. Below the shortest time-out of an
    attempt (0.25 s), so that the verdict is there before the scheduler's own."""

    application_name: str = Field("bcm-failover:canary", description="As it stands in pg_stat_activity.")
    answer_within_s: Annotated[float, Field(gt=0)] = Field(
        0.2, description="Seconds after which a write that is blocked is judged."
    )


class PostgresqlCanaryProbe(Probe):
    """The canary of one service, on its primary. A success is an acknowledged write.

    Facts: `canary_n`, the acknowledged number; `sync_names`, synchronous_standby_names as the write found it;
    `synchronous_commit` of this session, that is the default for its role and database; `fsync`;
    `in_recovery`; `current_lsn` in bytes, just before the commit; `timeline`.

    One write at a time is under way, and none is ever cancelled at the server, where that would make it
    succeed (P8). A write that is judged blocked goes on, and later attempts wait for the same one: another
    would only wait for its row, and each lost session leaves a backend behind. When an attempt is cancelled,
    for nothing has answered, the socket is shut.
    """

    type: ClassVar[str] = "postgresql-canary"
    layer: ClassVar[Layer] = Layer.APPLICATION
    Options = CanaryOptions

    def __init__(self, target: str, options: ProbeOptions, ports: ProbePorts) -> None:
        super().__init__(target, options, ports)
        assert isinstance(options, CanaryOptions)  # noqa: S101  # narrows the type
        self._half_s = options.answer_within_s / 2
        self._door = PgDoor(options, ports)
        self._token = secrets.token_hex(8)  # tells in the row which process wrote it
        self._acknowledged_n = 0
        self._session: PgSession | None = None
        self._sent = False  # the write that is under way is past the opening of its session
        self._write: asyncio.Task[Reading] | None = None
        self._idle = asyncio.Event()
        self._watcher: asyncio.Task[SessionEnd] | None = None

    async def check(self) -> Reading:
        if self._write is not None and self._write.done():
            # Blocked before, ended since: of when it ended nobody knows, so another is written.
            self._write.result()
            self._write = None
        if self._write is None:
            self._write = asyncio.create_task(self._write_once(), name=f"canary {self.target}")
        try:
            reading = await self._await_write(self._write)
        except BaseException:
            self._drop()
            raise
        if self._write is not None and self._write.done():
            self._write = None
        return reading

    async def hold(self) -> Reading | None:
        """Watches the session between the writes; how it ends during one, the write tells."""
        while (session := self._session) is not None:
            await self._idle.wait()
            if self._session is not session:
                return None
            watcher = self._watcher = asyncio.create_task(session.wait_end(), name="canary session")
            try:
                await asyncio.wait({watcher})
            finally:
                watcher.cancel()
            if watcher.cancelled():
                continue  # a write has begun
            if watcher.exception() is not None:
                return None  # closed on this side
            if self._session is session:
                self._forget_session()
            return reading_of_end(watcher.result())
        return None

    def abandon(self) -> None:
        self._drop()

    async def aclose(self) -> None:
        write = self._write
        self._drop()
        if write is not None:
            await asyncio.wait({write})

    async def _await_write(self, write: asyncio.Task[Reading]) -> Reading:
        await asyncio.wait({write}, timeout=self._half_s)
        while not write.done() and not self._sent:
            await asyncio.wait({write}, timeout=self._half_s)
        session = self._session
        if write.done() or session is None:
            return await asyncio.shield(write)
        judge = Judge(self._door, session.backend_pid)
        try:
            await asyncio.wait({write}, timeout=self._half_s)
            either: set[asyncio.Future[Any]] = {write, judge.known}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            return write.result() if write.done() or judge.verdict is None else judge.verdict
        finally:
            judge.let_go()

    async def _write_once(self) -> Reading:
        """The number, acknowledged, or why not."""
        self._idle.clear()
        if self._watcher is not None:
            self._watcher.cancel()
        session = self._session
        if session is not None and session.ended() is not None:
            session = None  # it was idle, so nothing is lost with it: a fresh one tells more
        self._sent = False
        try:
            if session is None:
                session = self._session = self._door.session()
                await self._door.open(session)
            self._sent = True
            rows = await session.query(_WRITE, (self._acknowledged_n, self._token))
        except BcmError as error:
            return Reading.unknown(Failure.LOCAL, error.what)
        except PgError as error:
            if session is not None and session.closed and self._session is session:
                self._forget_session()
            return _reading_of(error, established=self._sent)
        finally:
            if session is not None and self._session is session:
                self._idle.set()
        if not rows:
            return Reading.unknown(None, f"the canary's row is missing: {_GRANTS_HINT}")
        return self._acknowledged(rows[0])

    def _acknowledged(self, row: Row) -> Reading:
        self._acknowledged_n = row[0]
        return Reading.ok(**dict(zip(_FACTS, row, strict=True)))

    def _drop(self) -> None:
        """Let go of everything at once; what the write's outcome is, nobody will know."""
        write, self._write = self._write, None
        self._forget_session()
        if write is not None:
            write.cancel()

    def _forget_session(self) -> None:
        session, self._session = self._session, None
        self._idle.set()
        if session is not None:
            session.abort()


def _reading_of(error: PgError, *, established: bool) -> Reading:
    if error.sqlstate in _NO_TABLE:
        return Reading.unknown(None, f"{error.sqlstate}: {error} ({_GRANTS_HINT})")
    if established and error.sqlstate is None and not error.function:
        return reading_of_broken(error.cause)
    return reading_of(error)
