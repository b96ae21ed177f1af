"""The estate file of the demo on MariaDB, as a user would declare it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from controller.demo.estate import invoking_user
from controller.demo.mariadb.cluster import CANARY, CONTROL, MONITOR, REPLICATION, MariadbCluster
from controller.demo.mariadb.node import MariadbNode
from controller.demo.settings import LOOPBACK

SERVICE: Final = "ledger"
# A server that is shut down looks like one that has crashed; the demo's are restarted by nobody but itself.
RESTART_GRACE: Final = "1s"


def mariadb_estate(
    cluster: MariadbCluster, state_dir: Path, socket: Path, *, profile: str = "fast", mode: str = "act"
) -> str:
    """YAML."""
    return yaml.safe_dump(estate_of(cluster, state_dir, socket, profile=profile, mode=mode), sort_keys=False)


def estate_of(
    cluster: MariadbCluster, state_dir: Path, socket: Path, *, profile: str = "fast", mode: str = "act"
) -> dict[str, Any]:
    person = invoking_user()
    return {
        "configVersion": 1,
        "daemon": {
            "name": "demo",
            "state_dir": str(state_dir),
            "socket": str(socket),
            "http": f"{LOOPBACK}:0",
            "failover_budget": {"count": 1000, "per": "1h"},
        },
        "sites": {"dc1": {"role": "primary"}},
        "nodes": {
            _host(node): {"site": "dc1", "address": LOOPBACK, "access": "local"} for node in cluster.nodes
        },
        "people": {person: {"name": person, "os_users": [person]}},
        "services": {
            SERVICE: {
                "engine": "mariadb",
                "mode": mode,
                "importance": "high",
                "objectives": {"rto": "5s", "rpo": "0s", "mtpd": "1h"},
                "profile": profile,
                "no_return": "0s",
                "mariadb": {
                    "monitor": _account(cluster, MONITOR),
                    "control": _account(cluster, CONTROL),
                    "replication": _account(cluster, REPLICATION),
                    "write_table": CANARY,
                    "restart_grace": RESTART_GRACE,
                },
                "members": {node.name: _member(node) for node in cluster.nodes},
            }
        },
    }


def ready(status: dict[str, Any]) -> bool:
    """Every member is up, and a number was acknowledged."""
    return (
        status.get("health") == "up"
        and status.get("last_acked_canary") is not None
        and all(m.get("health") == "up" for m in status.get("members", []))
    )


def _account(cluster: MariadbCluster, user: str) -> dict[str, Any]:
    return {"user": user, "password": {"file": str(cluster.password_file)}}


def _member(node: MariadbNode) -> dict[str, Any]:
    return {
        "node": _host(node),
        "role": "primary" if node.name == "m1" else "standby",
        "port": node.port,
        "control": f"pidfile:{node.pidfile}",
    }


def _host(node: MariadbNode) -> str:
    return f"node{node.name[1:]}"
