"""`/http_sd`: what Prometheus finds there of an estate."""

from __future__ import annotations

import yaml

from config.schema import Estate
from controller.api.discovery import target_groups
from tests.fake_daemon import ESTATE

PROBES = {
    "web": {"type": "http", "service": "orders", "options": {"url": "https://shop.example/pay?token=x#y"}},
    "six": {"type": "tcp", "site": "dc2", "options": {"host": "fd00::1", "port": 22}},
    "ping": {"type": "icmp", "node": "node1", "options": {"host": "10.0.0.1"}},
    "job": {"type": "heartbeat", "options": {"within": "1h"}},
}


def estate() -> Estate:
    return Estate.model_validate({**yaml.safe_load(ESTATE), "probes": PROBES})


def test_every_member_node_and_probe_with_an_address_is_a_target() -> None:
    groups = list(target_groups(estate()))
    assert [group["targets"] for group in groups] == [
        ["10.0.0.1:5432"],
        ["10.0.0.2:5432"],
        ["10.0.0.1"],
        ["10.0.0.2"],
        ["https://shop.example/pay"],
        ["[fd00::1]:22"],
        ["10.0.0.1"],
    ]
    found = {group["targets"][0]: group["labels"] for group in groups}
    assert found["10.0.0.2:5432"] == {
        "__meta_bcm_kind": "member",
        "__meta_bcm_service": "orders",
        "__meta_bcm_member": "pg2",
        "__meta_bcm_role": "standby",
        "__meta_bcm_engine": "postgresql",
        "__meta_bcm_node": "node2",
        "__meta_bcm_site": "dc2",
        "__meta_bcm_site_role": "standby",
        "__meta_bcm_importance": "normal",
    }


def test_one_kind_can_be_asked_for() -> None:
    kinds = {kind: [g["targets"][0] for g in target_groups(estate(), kind)] for kind in ("node", "probe")}
    assert kinds["node"] == ["10.0.0.1", "10.0.0.2"]
    assert kinds["probe"] == ["https://shop.example/pay", "[fd00::1]:22", "10.0.0.1"]


def test_a_query_that_may_hold_a_token_is_not_told() -> None:
    assert "token" not in str(list(target_groups(estate())))


def test_a_probe_says_what_it_tells_about() -> None:
    labels = [g["labels"] for g in target_groups(estate(), "probe")]
    assert [(m["__meta_bcm_probe"], m["__meta_bcm_type"], m["__meta_bcm_about"]) for m in labels] == [
        ("web", "http", "service/orders"),
        ("six", "tcp", "site/dc2"),
        ("ping", "icmp", "node/node1"),
    ]
