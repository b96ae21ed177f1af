"""The estate file of the demo on Redis, as a user would declare it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from controller.demo.estate import invoking_user
from controller.demo.redis.cluster import RedisCluster, RedisNode
from controller.demo.settings import LOOPBACK

SERVICE: Final = "cache"
# A server that is shut down looks like one that has crashed; the demo's are restarted by nobody but itself.
RESTART_GRACE: Final = "1s"


def redis_estate(
    cluster: RedisCluster, state_dir: Path, socket: Path, *, profile: str = "fast", mode: str = "act"
) -> str:
    """YAML."""
    person = invoking_user()
    estate: dict[str, Any] = {
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
                "engine": "redis",
                "mode": mode,
                "importance": "high",
                "objectives": {"rto": "5s", "rpo": "5s", "mtpd": "1h"},
                "profile": profile,
                "no_return": "0s",
                "redis": {
                    "write_key": "bcm-failover:canary",
                    "min_replicas": 1,
                    "restart_grace": RESTART_GRACE,
                },
                "members": {node.name: _member(node) for node in cluster.nodes},
            }
        },
    }
    return yaml.safe_dump(estate, sort_keys=False)


def ready(status: dict[str, Any]) -> bool:
    """Every member is up, and a number was acknowledged under the key."""
    return (
        status.get("health") == "up"
        and status.get("last_acked_canary") is not None
        and all(m.get("health") == "up" for m in status.get("members", []))
    )


def _member(node: RedisNode) -> dict[str, Any]:
    return {
        "node": _host(node),
        "role": "primary" if node.name == "r1" else "standby",
        "port": node.port,
        "control": f"pidfile:{node.pidfile}",
    }


def _host(node: RedisNode) -> str:
    return f"node{node.name.removeprefix('r')}"
