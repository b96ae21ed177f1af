"""What `check` says of a service of Redis: what it survives, and what it could never do by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from config.report import check_report

SENTINEL = {
    "manager": "sentinel",
    "redis": {"sentinel": {"master": "shop", "addresses": ["127.0.0.1:26379"]}},
}


def said(tmp_path: Path, **changes: Any) -> list[str]:
    unit = {"control": "systemd:redis.service"}
    members = {
        "r1": {"node": "db1", "role": "primary", **unit},
        "r2": {"node": "db2", "role": "standby", **unit},
    }
    estate = {
        "configVersion": 1,
        "daemon": {"name": "ops", "state_dir": "/var/lib/x", "socket": "/run/x.sock"},
        "sites": {"a": {"role": "primary"}},
        "nodes": {n: {"site": "a", "address": f"10.0.0.{n[-1]}"} for n in ("db1", "db2")},
        "services": {"cache": {"engine": "redis", "mode": "act", "members": members, **changes}},
    }
    path = tmp_path / "estate.yaml"
    path.write_text(yaml.safe_dump(estate))
    return check_report(path)[1]


@pytest.mark.parametrize(
    ("changes", "warns", "survives"),
    [
        ({}, True, "always holds and asks"),
        ({"mode": "ask"}, False, "always holds and asks"),
        ({"objectives": {"rpo": "0s"}}, True, "always holds and asks"),
        ({"objectives": {"rpo": "5s"}}, False, "with at most 5 s lost"),
        (SENTINEL, False, "Sentinel fails it over"),
    ],
)
def test_an_rpo_that_is_never_proven_is_told(
    tmp_path: Path, changes: dict[str, Any], warns: bool, survives: str
) -> None:
    lines = said(tmp_path, **changes)
    assert any("an RPO of 0 in mode act always holds" in line for line in lines) is warns, lines
    assert any(survives in line for line in lines), lines


def test_a_member_that_can_not_be_stopped_is_told(tmp_path: Path) -> None:
    members = {"r1": {"node": "db1", "role": "primary"}, "r2": {"node": "db2", "role": "standby"}}
    told = [line for line in said(tmp_path, members=members) if "can't be fenced while it is silent" in line]
    assert len(told) == 2
    assert not [line for line in said(tmp_path) if "can't be fenced" in line]
