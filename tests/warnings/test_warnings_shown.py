"""Early warnings in `status` and `explain`."""

from __future__ import annotations

import json

from tests.cli.conftest import Shell, _no_settings_from_outside, bcm, daemon  # noqa: F401  # fixtures
from tests.fake_daemon import FakeDaemon, status_body

WARNING = {
    "code": "DiskFilling", "about": "service/orders/pg1", "part": "data", "severity": "warning",
    "sentence": "pg1: data directory will be full in about 3 h (12 % free, 1.1 GiB an hour)",
    "meaning": "A member's disk is nearly full.", "meaning_zh": "成员磁盘即将写满。",
    "since": "2026-11-25T03:00:00.000000Z",
}  # fmt: skip


def test_status_shows_what_will_be_an_outage_and_since_when(bcm: Shell, daemon: FakeDaemon) -> None:  # noqa: F811
    daemon.control.answers["status"] = {**status_body(), "warnings": [WARNING]}
    said = bcm("status")
    assert (
        "DiskFilling (service/orders/pg1): pg1: data directory will be full in about 3 h "
        "(12 % free, 1.1 GiB an hour), since 2026-11-25 03:00 UTC"
    ) in said.out
    assert said.code == 0
    assert json.loads(bcm("status", "-o", "json").out)["warnings"] == [WARNING]


def test_explain_shows_them_beside_the_decision(bcm: Shell, daemon: FakeDaemon) -> None:  # noqa: F811
    daemon.control.answers["explain"] = {"service": "orders", "warnings": [WARNING]}
    assert "early warning DiskFilling: pg1: data directory will be full" in bcm("explain", "orders").out
