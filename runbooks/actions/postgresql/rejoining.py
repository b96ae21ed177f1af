"""What the steps of a rejoin have in common (POSTGRESQL P17)."""

from __future__ import annotations

from typing import Final

from config.schema import Control, Member
from model.errors import BcmError
from model.ports import SqlError
from runbooks.actions.base import ActionOptions, StepContext
from runbooks.actions.postgresql.conninfo import conninfo_for
from runbooks.actions.postgresql.inputs import member_named, variable
from runbooks.actions.postgresql.locks import locks_of
from runbooks.actions.postgresql.server import Server
from runbooks.actions.postgresql.together import explain

AUTO_CONF: Final = "postgresql.auto.conf"
STANDBY_SIGNAL: Final = "standby.signal"


class RejoinOptions(ActionOptions):
    """member: whom to bring back; primary: whom it follows. The variables of these names, if not given."""

    member: str | None = None
    primary: str | None = None


def rejoining_member(ctx: StepContext, options: RejoinOptions) -> Member:
    """Raises RunbookError."""
    return member_named(ctx, options.member or variable(ctx, "member"))


def present_primary(ctx: StepContext, options: RejoinOptions) -> Member:
    """Raises RunbookError."""
    return member_named(ctx, options.primary or variable(ctx, "primary"))


async def system_identifier(ctx: StepContext, primary: Member, deadline_s: float) -> str:
    """Of the present primary, over its lock session. Raises BcmError."""
    try:
        async with locks_of(ctx).session(primary.name, deadline_s) as locked:
            [(recovery, system)] = await locked.query(
                "SELECT pg_is_in_recovery(), (SELECT system_identifier::text FROM pg_control_system())"
            )
    except SqlError as error:
        raise BcmError(f"{primary.name} can't be read: {explain(error)}") from None
    if recovery:
        raise BcmError(
            f"{primary.name} is no primary: nobody can follow it",
            hint="wait for the failover to end, or name the primary",
        )
    return str(system)


async def refuse_stranger(server: Server, system: str) -> None:
    """A member that comes back empty or as another system is held: it would wipe, or be wiped (P17).

    Raises BcmError.
    """
    member = server.member
    data = await server.control_data()
    if data is None:
        raise BcmError(
            f"{member.data_dir} is empty or no data directory",
            where=member.name,
            hint="find out why; for a new copy run pg_basebackup by hand",
        )
    if data.system_identifier != system:
        raise BcmError(
            f"its data are of another system ({data.system_identifier}, the primary's is {system})",
            where=member.name,
            hint="do not start it; find out what was restored there",
        )


def source_conninfo(ctx: StepContext, member: Member, primary: Member) -> str:
    """For pg_rewind: the replication role, in the database that holds its rights. No secret in it."""
    text = conninfo_for(member, primary, ctx.service)
    return f"{text} dbname={ctx.service.postgresql.database}"


def passfile_env(member: Member) -> dict[str, str]:
    return {"PGPASSFILE": str(member.passfile)} if member.passfile is not None else {}


def config_file(member: Member) -> str | None:
    """Where the configuration lies outside of the data directory, as Debian has it."""
    if member.control_kind is not Control.PG_CTLCLUSTER:
        return None
    return f"/etc/postgresql/{member.control_target}/postgresql.conf"
