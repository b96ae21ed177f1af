"""Estates that scenarios are played on, made of a few traits. Equal traits give the same estate."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from config.schema import Estate

SERVICE: Final = "orders"
SITES: Final = {"dc1": "primary", "dc2": "standby", "far": "dr", "wit": "witness"}
# Where the gateways stand that tell whether the own network works.
REFERENCES: Final = ("dc1", "dc2")
# The controller that acts, and the observers beside it.
ACTING: Final = "bcm-failover"
OTHERS: Final = ("ops2", "ops3")


@dataclass(frozen=True, slots=True)
class Shape:
    """sites: of each member, the home primary first. excluded: numbers of members (from 0). sync: k of the
    synchronous setting; 0: asynchronous. rpo_s: recovery point objective. observers:
    sites of this controller and of OTHERS; empty: it observes alone."""

    sites: tuple[str, ...] = ("dc1", "dc1", "dc2")
    sync: int = 1
    method: str = "ANY"
    mode: str = "act"
    profile: str = "balanced"
    access: bool = True
    rpo_s: int = 0
    excluded: tuple[int, ...] = ()
    budget: int = 50
    single_copy: str | None = None
    observers: tuple[str, ...] = ()

    @property
    def members(self) -> tuple[str, ...]:
        return tuple(f"pg{i + 1}" for i in range(len(self.sites)))


@lru_cache(maxsize=4096)
def estate_of(shape: Shape) -> Estate:
    return Estate.model_validate(_raw(shape))


def _raw(shape: Shape) -> dict[str, Any]:
    members = shape.members
    standbys = ", ".join(members[1:])
    names = f"{shape.method} {shape.sync} ({standbys})" if shape.sync else ""
    roles = {r: {"user": f"bcm_{r}"} for r in ("monitor", "control", "replication")}
    postgresql: dict[str, Any] = {"roles": roles, "synchronous_standby_names": names}
    if shape.single_copy is not None:
        postgresql["when_single_copy"] = shape.single_copy
    access = "local" if shape.access else "none"
    return {
        "configVersion": 1,
        "daemon": {
            "name": ACTING,
            "state_dir": "/var/lib/bcm-failover",
            "reference_targets": [f"gateway-{site}:53" for site in REFERENCES],
            "failover_budget": {"count": shape.budget, "per": "1h"},
        },
        "sites": {site: {"role": role} for site, role in SITES.items()},
        "nodes": {
            f"db{i + 1}": {"site": site, "address": f"10.0.0.{i + 1}", "access": access}
            for i, site in enumerate(shape.sites)
        },
        "observers": {n: {"site": s} for n, s in zip((ACTING, *OTHERS), shape.observers, strict=False)},
        "people": {p: {"name": p, "os_users": [p]} for p in ("wang", "li")},
        "services": {
            SERVICE: {
                "engine": "postgresql",
                "mode": shape.mode,
                "profile": shape.profile,
                "objectives": {"rpo": f"{shape.rpo_s}s"},
                "postgresql": postgresql,
                "members": {m: _member(shape, i) for i, m in enumerate(members)},
            }
        },
    }


def _member(shape: Shape, number: int) -> dict[str, Any]:
    role = "primary" if number == 0 else ("dr" if SITES[shape.sites[number]] == "dr" else "standby")
    member = f"pg{number + 1}"
    return {
        "node": f"db{number + 1}",
        "role": role,
        "host": f"10.0.0.{number + 1}",
        "port": 5432,
        "data_dir": f"/data/{member}",
        "bin_dir": "/usr/bin",
        "control": "pg_ctl",
        "excluded": number in shape.excluded,
    }
