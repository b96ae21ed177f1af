"""The SQL that an administrator runs once: three roles, their rights, and the canary (P15, P18)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from config.schema import PostgresqlSettings
from model.errors import UsageError

VERSIONS = range(14, 19)
# What the product sets on members; ALTER SYSTEM can be granted for each parameter from 15 on.
CONTROLLED_PARAMETERS = (
    "primary_conninfo",
    "synchronous_standby_names",
    "default_transaction_read_only",
)
CONTROL_FUNCTIONS = (
    "pg_promote(boolean, integer)",
    "pg_reload_conf()",
    "pg_wal_replay_resume()",
    "pg_wal_replay_pause()",
)
REWIND_FUNCTIONS = (
    "pg_ls_dir(text, boolean, boolean)",
    "pg_stat_file(text, boolean)",
    "pg_read_binary_file(text)",
    "pg_read_binary_file(text, bigint, bigint, boolean)",
)
_PLAIN = re.compile(r"bcm_[a-z0-9_]+")


@dataclass(frozen=True, slots=True)
class GrantNames:
    monitor: str = "bcm_monitor"
    control: str = "bcm_control"
    replication: str = "bcm_replication"
    canary_database: str = "bcm_canary"

    @classmethod
    def of(cls, settings: PostgresqlSettings) -> GrantNames:
        roles = settings.roles
        return cls(roles.monitor.user, roles.control.user, roles.replication.user, settings.canary_database)


@dataclass(frozen=True, slots=True)
class Statement:
    """database: '' for any (the first one), else the canary's. unless: a query; where it gives a row, there
    is nothing to do, so that the script can be run again."""

    sql: str
    database: str = ""
    unless: str = ""


def grant_statements(version: int, names: GrantNames | None = None) -> list[Statement]:
    """In order, for a superuser on the primary. No passwords. Raises UsageError for another version."""
    if version not in VERSIONS:
        raise UsageError(
            f"PostgreSQL {version} is not supported", hint=f"name one of {VERSIONS[0]} to {VERSIONS[-1]}"
        )
    names = names or GrantNames()
    return [
        *_monitor(names),
        *(_control(names) if version >= 15 else _control_before_15(names)),
        *_replication(names),
        *_canary(names),
    ]


def grants_sql(
    engine: str = "postgresql", version: int = 18, settings: PostgresqlSettings | None = None
) -> str:
    """A script for psql, run once as superuser on the primary; it may be run again. Raises UsageError."""
    if engine != "postgresql":
        raise UsageError(f"no grants are known for {engine!r}", hint="name postgresql")
    names = GrantNames.of(settings) if settings else GrantNames()
    roles = (names.monitor, names.control, names.replication)
    lines = [
        f"-- Roles, rights and canary of bcm-failover for PostgreSQL {version}.",
        "-- Run once on the primary as superuser; standbys get it by replication. It may be run again:",
        "-- In the database of the locks: rights on functions are of one database.",
        f"--   psql -X -d {shlex.quote(settings.database if settings else 'postgres')} -f grants.sql",
        *_notes(version, names),
        r"\set ON_ERROR_STOP on",
    ]
    database = ""
    for statement in grant_statements(version, names):
        if statement.database != database:
            lines.append(f"\\connect {_connect_argument(statement.database)}")
            database = statement.database
        lines.append(_for_psql(statement))
    lines += [
        "-- Passwords are typed, so that they stand in no file, history or server log:",
        *(f"--   \\password {quote_identifier(role)}" for role in roles),
        "-- pg_hba.conf needs, for the addresses of the ops hosts and of the members:",
        *(f"--   host  all          {quote_identifier(role)}  ADDRESS/32  scram-sha-256" for role in roles),
        f"--   host  replication  {quote_identifier(names.replication)}  ADDRESS/32  scram-sha-256",
    ]
    return "\n".join(lines) + "\n"


def _notes(version: int, names: GrantNames) -> list[str]:
    if version >= 15:
        return []
    return [
        f"-- PostgreSQL {version} can't grant ALTER SYSTEM, so {names.control} must be a superuser there.",
        "-- Guard its password accordingly, or upgrade to 15 or later, where it needs no such right.",
    ]


def _role(name: str, options: str) -> Statement:
    return Statement(
        f"CREATE ROLE {quote_identifier(name)} LOGIN{options}",
        unless=f"SELECT FROM pg_catalog.pg_roles WHERE rolname = {quote_literal(name)}",
    )


def _monitor(names: GrantNames) -> Iterator[Statement]:
    yield _role(names.monitor, "")
    yield Statement(f"GRANT pg_monitor TO {quote_identifier(names.monitor)}")


def _control(names: GrantNames) -> Iterator[Statement]:
    control = quote_identifier(names.control)
    yield _role(names.control, "")
    # pg_signal_backend ends client sessions, save a superuser's; pg_checkpoint: before a rewind (P17).
    yield Statement(f"GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO {control}")
    for parameter in CONTROLLED_PARAMETERS:
        yield Statement(f"GRANT ALTER SYSTEM ON PARAMETER {parameter} TO {control}")
    for function in CONTROL_FUNCTIONS:
        yield Statement(f"GRANT EXECUTE ON FUNCTION pg_catalog.{function} TO {control}")


def _control_before_15(names: GrantNames) -> Iterator[Statement]:
    yield _role(names.control, " SUPERUSER")


def _replication(names: GrantNames) -> Iterator[Statement]:
    yield _role(names.replication, " REPLICATION")
    for function in REWIND_FUNCTIONS:
        replication = quote_identifier(names.replication)
        yield Statement(f"GRANT EXECUTE ON FUNCTION pg_catalog.{function} TO {replication}")


def _canary(names: GrantNames) -> Iterator[Statement]:
    """A database of its own: in the application's it breaks `FOR ALL TABLES` subscribers (P15)."""
    database = names.canary_database
    users = f"{quote_identifier(names.monitor)}, {quote_identifier(names.control)}"
    yield Statement(
        f"CREATE DATABASE {quote_identifier(database)}",
        unless=f"SELECT FROM pg_catalog.pg_database WHERE datname = {quote_literal(database)}",
    )
    # fillfactor 10: updates stay in one page.
    yield Statement(
        "CREATE TABLE IF NOT EXISTS public.canary (id int PRIMARY KEY, n bigint NOT NULL, token text, "
        "written timestamptz) WITH (fillfactor = 10)",
        database,
    )
    yield Statement(
        "INSERT INTO public.canary VALUES (1, 0, '', now()) ON CONFLICT (id) DO NOTHING", database
    )
    yield Statement(f"GRANT SELECT, UPDATE ON public.canary TO {users}", database)


def _for_psql(statement: Statement) -> str:
    if not statement.unless:
        return f"{statement.sql};"
    return f"SELECT {quote_literal(statement.sql)} WHERE NOT EXISTS ({statement.unless}) \\gexec"


def _connect_argument(database: str) -> str:
    r"""For `\\connect`. A name that psql could take for a connection string is given inside one."""
    if _PLAIN.fullmatch(database):
        return database
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return '-reuse-previous=on "' + f"dbname='{escaped}'".replace('"', '""') + '"'


def quote_identifier(name: str) -> str:
    """As PostgreSQL writes it; without quotes only where it can be no keyword."""
    return name if _PLAIN.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
