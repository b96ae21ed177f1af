"""What the members of a situation are called and say while all is well, by engine."""

from __future__ import annotations

from typing import Any

SYSTEM = "7000000000000000001"
AT = 16 << 20  # where everybody is
HISTORY = "a" * 40  # of Redis

# A generic service has no members that are looked at: its declared probes are its `seen`.
MEMBERS: dict[str, list[str]] = {
    "postgresql": ["pg1", "pg2", "pg3"],
    "mariadb": ["db1", "db2"],
    "redis": ["r1", "r2"],
    "http": ["web1", "web2", "web3"],
    "generic": [],
}
SITES = {"pg1": "a", "pg2": "a", "db1": "a", "r1": "a", "web1": "a", "web2": "a"}


def facts_of(engine: str, member: str, *, primary: bool) -> dict[str, Any]:
    match engine:
        case "postgresql":
            return _postgresql(primary)
        case "mariadb":
            return _mariadb(int(member[-1]), primary)
        case "redis":
            return _redis(primary)
        case _:
            return {}


def _postgresql(primary: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "in_recovery": not primary,
        "system_identifier": SYSTEM,
        "timeline": 1,
        "position": AT,
        "walreceiver": not primary,
    }
    return {**facts, "current_lsn": AT} if primary else facts


def _mariadb(server_id: int, primary: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "role": "primary" if primary else "replica",
        "read_only": not primary,
        "server_id": server_id,
        "gtid_current_pos": "0-1-100",
        "gtid_binlog_pos": "0-1-100",
        "gtid_binlog_state": "0-1-100",
        "gtid_domain_id": 0,
        "log_bin": True,
        "log_replica_updates": True,
        "threads_connected": 10,
        "max_connections": 151,
        "semi_sync_enabled": primary,
        "semi_sync_active": primary,
        "semi_sync_wait_point": "AFTER_SYNC",
        "semi_sync_wait_no_replica": True,
        "semi_sync_timeout_ms": 86_400_000,
        "semi_sync_clients": 1 if primary else 0,
        "semi_sync_replica_enabled": not primary,
    }
    if primary:
        return {**facts, "canary_n": 7}
    source = {
        "io_running": True,
        "sql_running": True,
        "io_error": "",
        "sql_error": "",
        "gtid_io_pos": "0-1-100",
    }
    return {**facts, "io_running": True, "sql_running": True, "seconds_behind": 0, "sources": [source]}


def _redis(primary: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "role": "master" if primary else "replica",
        "replication_offset": AT,
        "replid": HISTORY,
        "used_memory_bytes": 1 << 20,
        "max_memory_bytes": 1 << 30,
        "connected_clients": 10,
        "max_clients": 10000,
        "last_save_ok": True,
    }
    return facts if primary else {**facts, "link_up": True, "lag_s": 0}
