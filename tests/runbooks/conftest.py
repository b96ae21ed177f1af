"""Runbooks of the tests act on a small world; the actions are registered for the test only."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from config.schema import Estate
from runbooks import registry
from tests.runbooks import runbook_world
from tests.runbooks.runbook_stage import Stage
from tests.runbooks.runbook_world import ACTIONS


@pytest.fixture(autouse=True)
def _test_actions(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    points = dict(registry._points())
    for kind in ACTIONS.values():
        points[kind.name] = EntryPoint(kind.name, f"{runbook_world.__name__}:{kind.__name__}", registry.GROUP)
    monkeypatch.setattr(registry, "_points", lambda: points)
    registry.action_type.cache_clear()
    yield
    registry.action_type.cache_clear()


@pytest.fixture(scope="session")
def estate() -> Estate:
    member = {"data_dir": "/d", "bin_dir": "/b", "control": "pg_ctl"}
    return Estate.model_validate(
        {
            "configVersion": 1,
            "sites": {"one": {"role": "primary"}},
            "nodes": {n: {"site": "one", "address": "127.0.0.1"} for n in ("n1", "n2", "n3")},
            "services": {
                "orders": {
                    "engine": "postgresql",
                    "postgresql": {"roles": {r: {"user": r} for r in ("monitor", "control", "replication")}},
                    "members": {
                        "pg1": {**member, "node": "n1", "role": "primary"},
                        "pg2": {**member, "node": "n2", "role": "standby"},
                        "pg3": {**member, "node": "n3", "role": "dr"},
                    },
                }
            },
        }
    )


@pytest.fixture
def stage(estate: Estate) -> Stage:
    return Stage(estate)
