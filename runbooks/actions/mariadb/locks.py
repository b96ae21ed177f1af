"""The lock sessions: how a stale controller is fenced at the resource (POSTGRESQL P7, for MariaDB).

A check of the epoch before a step loses to a freeze between check and act. So every change to a member goes
over a session that holds GET_LOCK there. A newer epoch kills the older one's session and takes the lock; what
the older one still sends goes over a session that is gone, and it gets no new one.

GET_LOCK belongs to one server and one session, works on replicas and on a read-only server, and ends with the
session. A second lock tells the epoch of whoever holds the first.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from model.errors import BcmError, DeclinedError
from model.ports import MysqlSession
from runbooks.actions.base import StepContext
from runbooks.actions.mariadb.asking import ANSWER_S, Asking
from runbooks.actions.mariadb.rights import missing_rights

RESOURCE: Final = "mariadb-locks"
NAME: Final = "bcm-failover"
# Epochs grow by one with each change of the leader: nobody sleeps through more of them.
_EPOCHS_AHEAD: Final = 32
_POLL_S: Final = 0.005
_GONE: Final = 1094  # no such thread: it has ended by itself


class LockError(BcmError):
    """A member can't be locked, or the lock on it is broken: nothing may be changed there."""


@dataclass(slots=True)
class _Held:
    session: MysqlSession
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Locks:
    """The locks that this process holds for one execution. Closed with the execution's run."""

    def __init__(self, ctx: StepContext) -> None:
        self._ports = ctx.ports
        self._service = ctx.service.name
        self._held: dict[str, _Held] = {}

    @property
    def members(self) -> tuple[str, ...]:
        return tuple(m for m, held in self._held.items() if not held.session.closed)

    async def acquire(self, member: str, deadline_s: float) -> None:
        """Take the lock, ending the session of an older epoch.

        Raises LockError if a newer epoch is there, if this controller does not lead any more (looked at with
        the lock in hand: whoever leads later ends this session first), if the lock is not free in time, or if
        the account may not do there what the steps after it do;
        NoAnswerError and DeclinedError if the member can't be reached.
        """
        clock = self._ports.clock
        left_s = max(deadline_s - clock.monotonic_s(), 0.001)
        session = await self._ports.mysql.connect(self._service, member, role="control", timeout_s=left_s)
        try:
            asking = Asking(member, session, clock, deadline_s)
            lacks = await missing_rights(asking)
            if lacks:
                raise LockError(f"the account lacks {', '.join(lacks)}", where=member)
            await self._take(asking)
            if not self._ports.lease.held():
                raise LockError("this controller does not lead any more", where=member)
        except BaseException:
            session.close()
            raise
        before = self._held.pop(member, None)
        if before is not None:
            before.session.close()
        self._held[member] = _Held(session)

    async def _take(self, asking: Asking) -> None:
        epoch = self._ports.lease.epoch
        await self._refuse_newer(asking, epoch)
        while await asking.value(f"GET_LOCK('{NAME}', 0)") != "1":
            holder = await asking.value(f"IS_USED_LOCK('{NAME}')")
            if holder.isdigit():
                await _kill(asking, int(holder))
            if asking.clock.monotonic_s() + _POLL_S >= asking.deadline_s:
                raise LockError("its lock was not free in time", where=asking.member)
            await asking.clock.sleep(_POLL_S)
        await asking.value(f"GET_LOCK('{_of_epoch(epoch)}', 0)")

    async def _refuse_newer(self, asking: Asking, epoch: int) -> None:
        ahead = ", ".join(f"IS_USED_LOCK('{_of_epoch(epoch + n)}')" for n in range(1, _EPOCHS_AHEAD + 1))
        if await asking.value(f"COALESCE({ahead})"):
            raise LockError(
                f"a newer controller is at work there; this one has epoch {epoch}",
                where=asking.member,
                hint="this controller has lost its leadership: it changes nothing any more",
            )

    @contextlib.asynccontextmanager
    async def session(self, member: str, deadline_s: float) -> AsyncIterator[Asking]:
        """The member's session, seen to hold its lock unbroken; one user at a time.

        Raises LockError if the lock was never taken or is broken, NoAnswerError if the server does not
        answer.
        """
        held = self._held.get(member)
        if held is None or held.session.closed:
            raise LockError("its lock is not held", where=member)
        async with held.turn:
            asking = Asking(member, held.session, self._ports.clock, deadline_s)
            if await asking.value(f"IS_USED_LOCK('{NAME}') = CONNECTION_ID()") != "1":
                raise LockError("its lock is broken", where=member)
            yield asking

    def close(self) -> None:
        """Ends every session, and with it the lock."""
        held, self._held = self._held, {}
        for entry in held.values():
            entry.session.close()


def locks_of(ctx: StepContext) -> Locks:
    """Of the execution. Raises LockError before the step `mariadb.lock`."""
    locks = ctx.resources.get(RESOURCE)
    if not isinstance(locks, Locks):
        raise LockError(
            "no lock session is open", hint="put a step with the action mariadb.lock before this one"
        )
    return locks


@contextlib.asynccontextmanager
async def changing(
    ctx: StepContext, member: str, deadline_s: float, *, late: bool = False
) -> AsyncIterator[Asking]:
    """The session over which a member is changed. late: one that could not be locked before is locked now, as
    an old primary that answers after all. Raises LockError, NoAnswerError, DeclinedError."""
    locks = locks_of(ctx)
    if late and member not in locks.members:
        end_s = min(deadline_s, ctx.ports.clock.monotonic_s() + ANSWER_S)
        await locks.acquire(member, end_s)
    async with locks.session(member, deadline_s) as asking:
        yield asking


def locked_among(ctx: StepContext, members: Sequence[str]) -> list[str]:
    held = locks_of(ctx).members
    return [m for m in members if m in held]


async def _kill(asking: Asking, connection: int) -> None:
    with contextlib.suppress(DeclinedError):
        await asking.query(f"KILL CONNECTION {connection}", within_s=ANSWER_S)


def _of_epoch(epoch: int) -> str:
    return f"{NAME}:epoch:{epoch}"
