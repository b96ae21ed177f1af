"""The estate file of the demo of a pool, as a user would declare it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from controller.demo.estate import invoking_user
from controller.demo.haproxy import DemoHaproxy
from controller.demo.pool.web import Web
from controller.demo.settings import LOOPBACK

SERVICE: Final = "shop"
MINIMUM: Final = 2


def pool_estate(
    webs: Sequence[Web], balancer: DemoHaproxy, state_dir: Path, socket: Path, *, profile: str = "fast"
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
        },
        "sites": {"dc1": {"role": "primary"}},
        "nodes": {_host(web): {"site": "dc1", "address": LOOPBACK} for web in webs},
        "people": {person: {"name": person, "os_users": [person]}},
        "services": {
            SERVICE: {
                "engine": "http",
                "mode": "act",
                "importance": "high",
                "objectives": {"rto": "5s", "rpo": "0s", "mtpd": "1h"},
                "profile": profile,
                "endpoint": balancer.endpoint(),
                "http": {"minimum": MINIMUM, "path": "/"},
                "members": {
                    web.name: {"node": _host(web), "role": "pool", "host": LOOPBACK, "port": web.port}
                    for web in webs
                },
            }
        },
    }
    return yaml.safe_dump(estate, sort_keys=False)


def ready(status: dict[str, Any]) -> bool:
    """Every member is up."""
    return status.get("health") == "up" and all(m.get("health") == "up" for m in status.get("members", []))


def _host(web: Web) -> str:
    return "node" + web.name.removeprefix("web")
