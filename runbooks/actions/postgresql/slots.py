"""Physical replication slots of members that use one: there when a standby needs it, gone where nobody does.

A slot belongs to its upstream and does not move with a switch. One that is missing keeps a standby from
streaming; one that is left behind keeps WAL for nobody until the disk is full.
"""

from __future__ import annotations

import contextlib
from typing import Final

from config.schema import PostgresqlMember
from model.ports import SqlError
from runbooks.actions.base import StepContext
from runbooks.actions.postgresql.glance import looking

_TIMEOUT_S: Final = 2.0  # a catalogue look-up and a small file
_THERE: Final = "SELECT FROM pg_replication_slots WHERE slot_name = $1"
_CREATE: Final = "SELECT pg_create_physical_replication_slot($1)"
_DROP: Final = (
    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
    "WHERE slot_name = $1 AND slot_type = 'physical' AND NOT active"
)


async def ensure_slot(ctx: StepContext, member: PostgresqlMember, upstream: PostgresqlMember) -> None:
    """Works on a standby that is about to be promoted, too. Raises SqlError."""
    if member.slot is None:
        return
    end_s = ctx.ports.clock.monotonic_s() + _TIMEOUT_S
    async with looking(ctx, upstream.name, end_s, role="replication") as session:
        if not await session.query(_THERE, member.slot):
            await session.query(_CREATE, member.slot)


async def drop_stale_slots(ctx: StepContext, standby: PostgresqlMember) -> list[str]:
    """The slots that other members used on `standby` while it was the primary. What was dropped; a failure
    leaves them to the warning of the disk."""
    names = [m.slot for m in ctx.pg.members.values() if m.slot is not None and m.name != standby.name]
    dropped: list[str] = []
    if not names:
        return dropped
    end_s = ctx.ports.clock.monotonic_s() + _TIMEOUT_S
    with contextlib.suppress(SqlError):
        async with looking(ctx, standby.name, end_s, role="replication") as session:
            dropped += [name for name in names if await session.query(_DROP, name)]
    return dropped
