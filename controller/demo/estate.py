"""The estate file of the demo: the cluster as a user would declare it."""

from __future__ import annotations

import getpass
import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from controller.demo.cluster import Cluster
from controller.demo.node import Node
from controller.demo.settings import (
    CANARY_DATABASE,
    CONTROL_ROLE,
    LOOPBACK,
    MONITOR_ROLE,
    REPLICATION_ROLE,
)

SERVICE = "orders"
_SITE_ROLES = {"dc1": "primary", "dc2": "standby", "dr": "dr"}


def demo_estate(
    cluster: Cluster,
    *,
    state_dir: Path,
    socket: Path,
    http: str = f"{LOOPBACK}:0",
    profile: str = "balanced",
    mode: str = "act",
    endpoint: Mapping[str, Any] | None = None,
) -> str:
    """YAML. http: address of the daemon's own HTTP port; 0 lets it choose one. endpoint: how clients reach
    the service; by a DSN of all hosts, if not given."""
    person = invoking_user()
    names = cluster.options.synchronous_standby_names
    estate: dict[str, Any] = {
        "configVersion": 1,
        "daemon": {"name": "demo", "state_dir": str(state_dir), "socket": str(socket), "http": http},
        "sites": {site: {"role": _SITE_ROLES[site]} for site in dict.fromkeys(n.site for n in cluster.nodes)},
        "nodes": {
            _host(node): {"site": node.site, "address": LOOPBACK, "access": "local"} for node in cluster.nodes
        },
        "people": {person: {"name": person, "os_users": [person]}},
        "services": {
            SERVICE: {
                "engine": "postgresql",
                "mode": mode,
                "importance": "critical",
                "objectives": {"rto": "30s", "rpo": "0s", "mtpd": "4h"},
                "profile": profile,
                "endpoint": dict(endpoint or {"type": "dsn"}),
                "postgresql": {
                    # Rights on functions are of one database: that in which roles_sql grants them.
                    "database": "postgres",
                    "canary_database": CANARY_DATABASE,
                    "roles": {
                        kind: {"user": role, "password": {"file": str(cluster.secret_file(role))}}
                        for kind, role in (
                            ("monitor", MONITOR_ROLE),
                            ("control", CONTROL_ROLE),
                            ("replication", REPLICATION_ROLE),
                        )
                    },
                    "synchronous_standby_names": names,
                },
                "members": {node.name: _member(node) for node in cluster.nodes},
            }
        },
    }
    return yaml.safe_dump(estate, sort_keys=False)


def invoking_user() -> str:
    """The account that runs the demo, also where its uid has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return os.environ.get("USER") or getpass.getuser()


def _member(node: Node) -> dict[str, Any]:
    return {
        "node": _host(node),
        "role": node.role,
        "port": node.port,
        "data_dir": str(node.data_dir),
        "bin_dir": str(node.bin_dir),
        "control": "pg_ctl",
        "os_user": node.account.name,
        "application_name": node.name,
        "passfile": str(node.passfile),
        "log_file": str(node.log_file),
    }


def _host(node: Node) -> str:
    return "node" + node.name.removeprefix("pg")
