"""Where a load balancer leads clients, against who is primary."""

from __future__ import annotations

from typing import Any

from config.schema import Estate, Service
from controller.remedies.endpoint import misled, runbook_of
from model.health import ProbeState
from model.observation import Observation, Outcome


def service(endpoint: dict[str, Any] | None = None) -> Service:
    member = {"data_dir": "/d", "bin_dir": "/b", "control": "pg_ctl"}
    behind = {
        "type": "haproxy", "host": "lb", "port": 5000, "sockets": ["/run/a", "/run/b"], "backend": "pg",
        "servers": {"pg2": "second"},
    }  # fmt: skip
    return Estate.model_validate(
        {
            "configVersion": 1,
            "sites": {"one": {"role": "primary"}},
            "nodes": {n: {"site": "one", "address": "127.0.0.1"} for n in ("n1", "n2")},
            "services": {
                "orders": {
                    "engine": "postgresql",
                    "endpoint": endpoint or behind,
                    "postgresql": {"roles": {r: {"user": r} for r in ("monitor", "control", "replication")}},
                    "members": {
                        "pg1": {**member, "node": "n1", "role": "primary"},
                        "pg2": {**member, "node": "n2", "role": "standby"},
                    },
                }
            },
        }
    ).service("orders")


def told(**servers: str) -> ProbeState:
    facts = {"servers": {name: {"status": status} for name, status in servers.items()}}
    seen = Observation(
        target="probe/endpoint:orders:1", probe="haproxy", outcome=Outcome.SUCCEEDED, facts=facts,
        started_s=1.0, ended_s=1.0, wall_s=1.0, observer="ops1",
    )  # fmt: skip
    return ProbeState(seen.target, seen.probe, last=seen)


def test_nobody_is_misled_while_the_primary_alone_takes_traffic() -> None:
    assert misled(service(), "pg1", {"/run/a": told(pg1="no check", second="MAINT")}) == ()
    assert misled(service(), "pg2", {"/run/a": told(pg1="MAINT", second="UP")}) == ()


def test_a_restarted_balancer_leads_nowhere() -> None:
    found = misled(service(), "pg1", {"/run/a": told(pg1="MAINT", second="MAINT")})
    assert found == ("/run/a: pg1, the primary, is MAINT",)


def test_somebody_else_who_takes_traffic_is_named_on_every_balancer() -> None:
    balancers = {
        "/run/a": told(pg1="UP", second="MAINT"),
        "/run/b": told(pg1="UP", second="DOWN 1/2"),
    }
    assert misled(service(), "pg1", balancers) == ("/run/b: pg2 is DOWN 1/2, and is not the primary",)


def test_a_primary_that_haproxy_finds_down_is_not_for_haproxy_to_be_told() -> None:
    assert misled(service(), "pg1", {"/run/a": told(pg1="DOWN", second="MAINT")}) == ()


def test_a_balancer_that_does_not_answer_is_not_told_anything() -> None:
    assert misled(service(), "pg1", {"/run/a": ProbeState("probe/x", "haproxy")}) == ()


def test_where_the_primary_is_not_known_nothing_is_wrong() -> None:
    assert misled(service(), None, {"/run/a": told(pg1="MAINT", second="MAINT")}) == ()


def test_each_kind_of_endpoint_has_its_runbook() -> None:
    assert runbook_of(service()) == "endpoint-haproxy"
    assert (
        runbook_of(service({"type": "vip", "address": "192.0.2.9/24", "interface": "eth0"})) == "endpoint-vip"
    )
    assert runbook_of(service({"type": "dsn"})) is None
