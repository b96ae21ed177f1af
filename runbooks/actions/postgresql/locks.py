"""The lock sessions: how a stale controller is fenced at the resource (POSTGRESQL P7).

A check of the epoch before a step loses to a freeze between check and act. So every change to a member goes
over a session that holds an advisory lock there. A newer epoch ends the older one's sessions and takes the
lock; what the older one still sends goes over a session that is gone, and it gets no new one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from model.errors import BcmError
from model.ports import Clock, Sql, SqlError, SqlSession
from runbooks.actions.base import StepContext

APPLICATION_PREFIX: Final = "bcm-failover:lock:"
RESOURCE: Final = "locks"
_KEY: Final = (0x62636D66, 1)  # "bcmf", 1: any fixed pair that no application is likely to use
_POLL_S = 0.005  # an ended session is gone within a few milliseconds

# The functions behind pg_stat_activity and pg_locks: planning the views costs a fresh session 3 ms more, and
# every failover waits for this.
_TAKE = f"""
SELECT pg_try_advisory_lock({_KEY[0]}, {_KEY[1]}), pg_backend_pid(),
  (SELECT string_agg(pid || ' ' || application_name, ',') FROM pg_stat_get_activity(NULL)
   WHERE application_name LIKE '{APPLICATION_PREFIX}%' AND pid <> pg_backend_pid())"""
_HELD = f"""
SELECT pg_backend_pid(), EXISTS (
  SELECT FROM pg_lock_status() WHERE locktype = 'advisory' AND classid = {_KEY[0]} AND objid = {_KEY[1]}
  AND objsubid = 2 AND granted AND pid = pg_backend_pid())"""


class LockError(BcmError):
    """A member can't be locked, or the lock on it is broken: nothing may be changed there."""


@dataclass(slots=True)
class Locked:
    """A member's session while it is used; every statement ends by `deadline_s` of the monotonic clock."""

    member: str
    session: SqlSession
    clock: Clock
    deadline_s: float

    async def query(self, statement: str, *params: Any) -> list[tuple[Any, ...]]:
        """Rows, [] if there are none. Raises SqlError."""
        left_s = self.deadline_s - self.clock.monotonic_s()
        if left_s <= 0:
            raise SqlError(f"{self.member}: no time was left for a statement")
        return await self.session.query(statement, params, timeout_s=left_s)


@dataclass(slots=True)
class _Held:
    session: SqlSession
    backend_pid: int
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def open(self) -> bool:
        """Looking whether a session has ended reads from its socket: never while somebody waits for an answer
        on it, who would miss that."""
        return self.turn.locked() or not self.session.closed


class Locks:
    """The locks that this process holds for one execution. Closed with the execution's run."""

    def __init__(
        self, *, sql: Sql, clock: Clock, service: str, database: str, epoch: int, leads: Callable[[], bool]
    ) -> None:
        self._sql = sql
        self._clock = clock
        self._service = service
        self._database = database
        self._epoch = epoch
        self._leads = leads
        self._held: dict[str, _Held] = {}

    @property
    def members(self) -> tuple[str, ...]:
        """Whose lock was taken and whose session has not ended since, as far as is known without asking."""
        return tuple(m for m, held in self._held.items() if held.open)

    def members_of(self, wanted: Sequence[str]) -> list[str]:
        """Those of `wanted` that are locked."""
        return [m for m in wanted if m in self.members]

    async def acquire(self, member: str, deadline_s: float) -> None:
        """Take the lock, ending the sessions of older epochs.

        Raises LockError if a newer epoch is there, if this controller does not lead any more (looked at with
        the lock in hand: whoever leads later ends this session first) or if the lock is not free in time,
        SqlError if the member can't be reached.
        """
        session = await self._sql.connect(
            self._service,
            member,
            role="control",
            database=self._database,
            timeout_s=max(deadline_s - self._clock.monotonic_s(), 0.001),
            application_name=f"{APPLICATION_PREFIX}{self._epoch}",
        )
        try:
            backend_pid = await self._take(Locked(member, session, self._clock, deadline_s))
            if not self._leads():
                raise LockError("this controller does not lead any more", where=member)
        except BaseException:
            await session.close()
            raise
        before = self._held.pop(member, None)
        if before is not None:
            await before.session.close()
        self._held[member] = _Held(session, backend_pid)

    async def _take(self, locked: Locked) -> int:
        while True:
            [(got, pid, others)] = await locked.query(_TAKE)
            self._refuse_pooler(locked, int(pid))
            older = self._older(locked.member, others)
            if got and not older:
                return int(pid)
            # All of them, also one that holds no lock: it may be in the middle of a change.
            for stale in older:
                await locked.query("SELECT pg_terminate_backend($1)", stale)
            if self._clock.monotonic_s() + _POLL_S >= locked.deadline_s:
                raise LockError("its lock was not free in time", where=locked.member)
            await self._clock.sleep(_POLL_S)

    def _refuse_pooler(self, locked: Locked, backend_pid: int) -> None:
        if backend_pid != locked.session.backend_pid:
            raise LockError(
                "something between here and the server (a connection pooler?) gives sessions to others",
                where=locked.member,
                hint="let `host` and `port` of the member lead to the server itself",
            )

    def _older(self, member: str, others: str | None) -> list[int]:
        """Pids of the lock sessions of this epoch and older ones. Raises LockError for a newer one."""
        stale: list[int] = []
        for entry in (others or "").split(","):
            pid, _, name = entry.partition(" ")
            epoch = name.removeprefix(APPLICATION_PREFIX)
            if not pid or not epoch.isdigit():
                continue
            if int(epoch) > self._epoch:
                raise LockError(
                    f"a newer controller (epoch {epoch}) is at work there; this one has epoch {self._epoch}",
                    where=member,
                    hint="this controller has lost its leadership: it changes nothing any more",
                )
            stale.append(int(pid))
        return stale

    @contextlib.asynccontextmanager
    async def session(self, member: str, deadline_s: float) -> AsyncIterator[Locked]:
        """The member's session, seen to hold its lock unbroken; one user at a time.

        Raises LockError if the lock was never taken or is broken, SqlError if the server does not answer.
        """
        held = self._held.get(member)
        if held is None or not held.open:
            raise LockError("its lock is not held", where=member)
        async with held.turn:
            locked = Locked(member, held.session, self._clock, deadline_s)
            [(pid, mine)] = await locked.query(_HELD)
            if not mine or int(pid) != held.backend_pid:
                raise LockError("its lock is broken", where=member)
            yield locked

    async def close(self) -> None:
        """Ends every session, and with it the lock."""
        held, self._held = self._held, {}
        for entry in held.values():
            with contextlib.suppress(SqlError):
                await entry.session.close()


def locks_of(ctx: StepContext) -> Locks:
    """Of the execution. Raises LockError before the step `postgresql.lock`."""
    locks = ctx.resources.get(RESOURCE)
    if not isinstance(locks, Locks):
        raise LockError(
            "no lock session is open", hint="put a step with the action postgresql.lock before this one"
        )
    return locks
