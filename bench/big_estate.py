"""A large estate for the benchmarks: N services of three members, on nodes at two sites and a DR site.

Three services share a node at each site; every fourth service needs the one before it; each rack of forty
nodes has a switch that is watched. Not a benchmark by itself.
"""

from __future__ import annotations

from typing import Any

SITES = {"dc1": "primary", "dc2": "standby", "far": "dr"}
SERVICES_PER_NODE = 3
NODES_PER_SWITCH = 40
_ROLES = {"dc1": "primary", "dc2": "standby", "far": "dr"}


def declared(services: int, *, state_dir: str = "/var/lib/bcm-failover") -> dict[str, Any]:
    """As an estate file has it."""
    racks = (services + SERVICES_PER_NODE - 1) // SERVICES_PER_NODE
    return {
        "configVersion": 1,
        "daemon": {"state_dir": state_dir, "reference_targets": ["10.255.0.1:53"]},
        "sites": {site: {"role": role} for site, role in SITES.items()},
        "nodes": {
            f"{site}-n{n:05}": {"site": site, "address": _address(place, n), "access": "ssh", "ping": True}
            for place, site in enumerate(SITES)
            for n in range(racks)
        },
        "people": {"wang": {"name": "Wang", "os_users": ["wang"]}},
        "pager": {"exec": {"command": ["/usr/local/bin/page"]}},
        "services": {f"svc{n:05}": _service(n) for n in range(services)},
    }


def _address(place: int, n: int) -> str:
    return f"10.{10 + place}.{n // 250}.{n % 250 + 1}"


def _service(n: int) -> dict[str, Any]:
    roles = {
        role: {"user": f"bcm_{role}", "password": {"file": f"/etc/bcm-failover/{role}"}}
        for role in ("monitor", "control", "replication")
    }
    members = {
        f"pg{place + 1}": {
            "node": f"{site}-n{n // SERVICES_PER_NODE:05}",
            "role": _ROLES[site],
            "port": 5432 + n % SERVICES_PER_NODE,
            "data_dir": f"/var/lib/postgresql/15/svc{n:05}",
            "bin_dir": "/usr/lib/postgresql/15/bin",
            "control": f"pg_ctlcluster:15/svc{n:05}",
        }
        for place, site in enumerate(SITES)
    }
    service: dict[str, Any] = {
        "engine": "postgresql",
        "mode": "act",
        "importance": ("low", "normal", "high", "critical")[n % 4],
        "objectives": {"rto": "60s", "rpo": "0s"},
        "postgresql": {"roles": roles, "synchronous_standby_names": "ANY 1 (pg1, pg2, pg3)"},
        "members": members,
    }
    if n % 4 == 3:
        service["depends_on"] = [f"svc{n - 1:05}"]
    return service
