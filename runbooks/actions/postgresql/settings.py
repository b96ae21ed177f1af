"""ALTER SYSTEM, and its effect."""

from __future__ import annotations

from typing import Final

from runbooks.actions.postgresql.locks import Locked

# What this product may set (P18: the rights that `init --grants postgresql` asks for).
OWNED: Final = ("primary_conninfo", "synchronous_standby_names", "default_transaction_read_only")
_POLL_S = 0.002  # a reload reaches a backend within a millisecond or two


def literal(value: str) -> str:
    """As PostgreSQL reads it, whatever standard_conforming_strings says."""
    quoted = value.replace("'", "''")
    return "E'" + quoted.replace("\\", "\\\\") + "'" if "\\" in quoted else f"'{quoted}'"


def alter_text(name: str, value: str | None) -> str:
    """`None` resets."""
    if name not in OWNED:
        raise ValueError(f"{name} is not ours to set")
    return f"ALTER SYSTEM RESET {name}" if value is None else f"ALTER SYSTEM SET {name} = {literal(value)}"


async def alter(locked: Locked, name: str, value: str | None) -> None:
    """Write it and reload. Raises SqlError."""
    await locked.query(alter_text(name, value))
    await locked.query("SELECT pg_reload_conf()")


async def current(locked: Locked, name: str) -> str:
    """In force in this session. Raises SqlError."""
    [(value,)] = await locked.query("SELECT current_setting($1)", name)
    return str(value)


async def alter_and_see(locked: Locked, name: str, value: str) -> None:
    """Write it, reload, and wait until the session has it: the postmaster tells its children only after it
    has read the file itself. Raises SqlError when the deadline comes first."""
    await alter(locked, name, value)
    while await current(locked, name) != value:
        await locked.clock.sleep(_POLL_S)
