"""What a MariaDB server says of itself, as facts. Names that are not there on a version are left out as None.

The pure half takes the rows as the server sent them; `read_facts` asks for them, in three short statements.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from probes.mysql_errors import MyError
from probes.mysql_session import MySession, Row
from probes.texts import one_line
from probes.trace import note

_VARIABLES = (
    "gtid_binlog_pos", "gtid_binlog_state", "gtid_current_pos", "gtid_domain_id", "gtid_slave_pos", "log_bin",
    "log_slave_updates", "max_connections", "read_only", "rpl_semi_sync_master_enabled",
    "rpl_semi_sync_master_timeout", "rpl_semi_sync_master_wait_no_slave", "rpl_semi_sync_master_wait_point",
    "rpl_semi_sync_slave_enabled", "server_id", "super_read_only", "version", "wsrep_on",
)  # fmt: skip
_STATUS = (
    "rpl_semi_sync_master_clients", "rpl_semi_sync_master_status", "rpl_semi_sync_slave_status",
    "slaves_connected", "threads_connected", "threads_running", "uptime",
)  # fmt: skip


def _asking(what: str, names: tuple[str, ...]) -> str:
    return f"SHOW GLOBAL {what} WHERE Variable_name IN ({', '.join(repr(name) for name in names)})"


ASK_VARIABLES = _asking("VARIABLES", _VARIABLES)
ASK_STATUS = _asking("STATUS", _STATUS)
ASK_SOURCES = "SHOW ALL SLAVES STATUS"
# The statement is refused: the account may not look, or the server is no MariaDB and does not know it.
_NOT_ALLOWED = frozenset({1142, 1227})
_NOT_KNOWN = frozenset({1064})
_MOST_ERROR_CHARACTERS = 200


async def read_facts(session: MySession) -> dict[str, Any]:
    """Raises MyError."""
    variables = by_name(await session.query(ASK_VARIABLES))
    status = by_name(await session.query(ASK_STATUS))
    note("%d variables and %d figures were read", len(variables), len(status))
    return facts_of(variables, status, await _read_sources(session))


async def read_semi_sync(session: MySession) -> dict[str, Any]:
    """Does the primary wait for replicas now? Asked after a write: the write itself may have ended the wait.
    Raises MyError."""
    return _semi_sync_now(by_name(await session.query(ASK_STATUS)))


async def _read_sources(session: MySession) -> list[Row] | None:
    """From where it replicates; None where that can't be seen. Raises MyError."""
    try:
        rows = await session.query(ASK_SOURCES)
    except MyError as error:
        if error.code not in _NOT_ALLOWED | _NOT_KNOWN:
            raise
        note("where it replicates from can't be seen: %s", error)
        return None
    note("it replicates from %d source(s)", len(rows))
    return rows


def facts_of(
    variables: Mapping[str, str], status: Mapping[str, str], source_rows: list[Row] | None
) -> dict[str, Any]:
    """`variables` and `status` by their names in small letters."""
    sources = None if source_rows is None else [_source(row) for row in source_rows]
    replicas = _int(status.get("slaves_connected"))
    facts: dict[str, Any] = {
        "version": variables.get("version"),
        "server_id": _int(variables.get("server_id")),
        "uptime_s": _int(status.get("uptime")),
        "read_only": _bool(variables.get("read_only")),
        "super_read_only": _bool(variables.get("super_read_only")),
        "role": _role(sources, replicas),
        "gtid_binlog_pos": variables.get("gtid_binlog_pos"),
        "gtid_current_pos": variables.get("gtid_current_pos"),
        "gtid_slave_pos": variables.get("gtid_slave_pos"),
        "gtid_binlog_state": variables.get("gtid_binlog_state"),
        "gtid_domain_id": _int(variables.get("gtid_domain_id")),
        "log_bin": _bool(variables.get("log_bin")),
        "log_replica_updates": _bool(variables.get("log_slave_updates")),
        "threads_connected": _int(status.get("threads_connected")),
        "threads_running": _int(status.get("threads_running")),
        "max_connections": _int(variables.get("max_connections")),
        "replicas_connected": replicas,
        "semi_sync_enabled": _bool(variables.get("rpl_semi_sync_master_enabled")),
        **_semi_sync_now(status),
        "semi_sync_wait_point": variables.get("rpl_semi_sync_master_wait_point"),
        "semi_sync_timeout_ms": _int(variables.get("rpl_semi_sync_master_timeout")),
        "semi_sync_wait_no_replica": _bool(variables.get("rpl_semi_sync_master_wait_no_slave")),
        "semi_sync_replica_enabled": _bool(variables.get("rpl_semi_sync_slave_enabled")),
        "semi_sync_replica": _bool(status.get("rpl_semi_sync_slave_status")),
    }
    if _bool(variables.get("wsrep_on")):
        facts["other_manager"] = "galera"
    if sources:
        behind = [source["seconds_behind"] for source in sources]
        facts |= {
            "sources": sources,
            "io_running": all(source["io_running"] for source in sources),
            "sql_running": all(source["sql_running"] for source in sources),
            # Not known for one is not known for all.
            "seconds_behind": None if None in behind else max(behind),
        }
    return facts


def _role(sources: list[dict[str, Any]] | None, replicas: int | None) -> str | None:
    """By what it does, not by what it is meant to be; None where that can't be seen."""
    if sources is None:
        return None
    if sources:
        return "replica"
    return "primary" if replicas else "standalone"


def _semi_sync_now(status: Mapping[str, str]) -> dict[str, Any]:
    return {
        "semi_sync_active": _bool(status.get("rpl_semi_sync_master_status")),
        "semi_sync_clients": _int(status.get("rpl_semi_sync_master_clients")),
    }


def _source(row: Row) -> dict[str, Any]:
    """A source of replication. `Connecting` and `Preparing` are not running."""
    return {
        "name": row.get("Connection_name") or "",
        "host": row.get("Master_Host"),
        "port": _int(row.get("Master_Port")),
        "io_running": row.get("Slave_IO_Running") == "Yes",
        "sql_running": row.get("Slave_SQL_Running") == "Yes",
        "seconds_behind": _int(row.get("Seconds_Behind_Master")),
        "delay_s": _int(row.get("SQL_Delay")),
        "using_gtid": row.get("Using_Gtid"),
        "gtid_io_pos": row.get("Gtid_IO_Pos"),
        "user": row.get("Master_User"),
        "io_error": one_line(row.get("Last_IO_Error") or "", _MOST_ERROR_CHARACTERS),
        "sql_error": one_line(row.get("Last_SQL_Error") or "", _MOST_ERROR_CHARACTERS),
    }


def by_name(rows: list[Row]) -> dict[str, str]:
    return {(row.get("Variable_name") or "").lower(): row.get("Value") or "" for row in rows}


def _int(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


def _bool(text: str | None) -> bool | None:
    return None if text is None else text.upper() in ("ON", "1", "YES")
