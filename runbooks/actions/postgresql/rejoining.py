"""What the steps of a rejoin have in common (POSTGRESQL P17)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from config.schema import Control, PostgresqlMember
from model.errors import BcmError
from model.ports import SqlError
from runbooks.actions.base import ActionOptions, StepContext
from runbooks.actions.inputs import variable
from runbooks.actions.postgresql.conninfo import conninfo_for
from runbooks.actions.postgresql.inputs import member_named, shown_candidate
from runbooks.actions.postgresql.locks import locks_of
from runbooks.actions.postgresql.server import Server
from runbooks.actions.postgresql.state import read_state
from runbooks.actions.together import explain

AUTO_CONF: Final = "postgresql.auto.conf"
STANDBY_SIGNAL: Final = "standby.signal"
_SOURCE_KEEPALIVE: Final = (
    "connect_timeout=10 keepalives_idle=5 keepalives_interval=5 keepalives_count=3 tcp_user_timeout=20000"
)


class RejoinOptions(ActionOptions):
    """member: whom to bring back; primary: whom it follows. Without them, in a rejoin the variables of these
    names; in a planned switch, which has no variable `member`, the old primary and the new one."""

    member: str | None = None
    primary: str | None = None


def rejoining_member(ctx: StepContext, options: RejoinOptions) -> PostgresqlMember:
    """Raises RunbookError."""
    return member_named(ctx, options.member or ctx.vars.get("member") or variable(ctx, "primary"))


def present_primary(ctx: StepContext, options: RejoinOptions) -> PostgresqlMember:
    """Raises RunbookError."""
    if options.primary is None and not ctx.vars.get("member"):
        promoted = ctx.output("promote").get("member")
        return member_named(ctx, str(promoted or shown_candidate(ctx)))
    return member_named(ctx, options.primary or variable(ctx, "primary"))


@dataclass(frozen=True, slots=True)
class Lineage:
    """What whoever follows the present primary must share with it."""

    primary: str
    system_identifier: str
    timeline: int


async def lineage_of(ctx: StepContext, primary: PostgresqlMember, deadline_s: float) -> Lineage:
    """Over the primary's lock session. Raises BcmError."""
    try:
        async with locks_of(ctx).session(primary.name, deadline_s) as locked:
            state = await read_state(locked)
    except SqlError as error:
        raise BcmError(f"{primary.name} can't be read: {explain(error)}") from None
    if state.in_recovery:
        raise BcmError(
            f"{primary.name} is no primary: nobody can follow it",
            hint="wait for the failover to end, or name the primary",
        )
    return Lineage(primary.name, state.system_identifier, state.timeline)


def refuse_stranger(member: str, system_identifier: str, timeline: int, lineage: Lineage) -> None:
    """A member of another system would wipe or be wiped, and one on a newer timeline may be the real primary:
    both are held (P17). Raises BcmError."""
    if system_identifier != lineage.system_identifier:
        raise BcmError(
            f"its data are of another system ({system_identifier}, {lineage.primary}'s is "
            f"{lineage.system_identifier}): held",
            where=member,
            hint="do not start it; find out what was restored there",
        )
    if timeline > lineage.timeline:
        raise BcmError(
            f"it is on timeline {timeline}, {lineage.primary} on {lineage.timeline}: held",
            where=member,
            hint="find out which of the two has the data that count",
        )


async def refuse_strange_files(server: Server, lineage: Lineage) -> None:
    """The same for a stopped member; one that comes back empty is held too. Raises BcmError."""
    member = server.member
    data = await server.control_data()
    if data is None:
        raise BcmError(
            f"{member.data_dir} is empty or no data directory: held",
            where=member.name,
            hint="find out why; for a new copy run pg_basebackup by hand",
        )
    refuse_stranger(member.name, data.system_identifier, data.timeline, lineage)


def source_conninfo(ctx: StepContext, member: PostgresqlMember, primary: PostgresqlMember) -> str:
    """For the tools that copy from the primary: the replication role. No secret in it. A primary that loses
    its power says nothing, and libpq by itself would wait for two hours."""
    return f"{conninfo_for(member, primary, ctx.pg)} {_SOURCE_KEEPALIVE}"


def passfile_env(member: PostgresqlMember) -> dict[str, str]:
    return {"PGPASSFILE": str(member.passfile)} if member.passfile is not None else {}


def config_file(member: PostgresqlMember) -> str | None:
    """Where the configuration lies outside of the data directory, as Debian has it."""
    if member.control_kind is not Control.PG_CTLCLUSTER:
        return None
    return f"/etc/postgresql/{member.control_target}/postgresql.conf"
