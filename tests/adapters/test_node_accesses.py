from __future__ import annotations

from pathlib import Path

import pytest

from config.schema import Estate
from controller.adapters.clock import SystemClock
from controller.adapters.nodes import NodeAccesses
from controller.adapters.secrets import SecretStore
from model.errors import NodeAccessError
from model.ports import Clock


def estate() -> Estate:
    member = {"data_dir": "/data", "bin_dir": "/bin", "control": "pg_ctl"}
    role = {"user": "bcm"}
    return Estate.model_validate(
        {
            "configVersion": 1,
            "sites": {"dc1": {"role": "primary"}},
            "nodes": {
                "here": {"site": "dc1", "address": "127.0.0.1", "access": "local"},
                "there": {
                    "site": "dc1",
                    "address": "db2.example",
                    "access": "ssh",
                    "ssh": {"user": "ops", "known_hosts": str(Path("/etc/known_hosts"))},
                },
                "closed": {"site": "dc1", "address": "db3.example"},
            },
            "services": {
                "shop": {
                    "engine": "postgresql",
                    "postgresql": {"roles": {"monitor": role, "control": role, "replication": role}},
                    "members": {
                        "m1": {"node": "here", "role": "primary", **member},
                        "m2": {"node": "there", "role": "standby", **member},
                    },
                }
            },
        }
    )


async def test_each_node_is_reached_as_the_estate_says() -> None:
    nodes = NodeAccesses(estate(), SecretStore())
    assert set(nodes.all()) == {"here", "there"}
    assert nodes.access("here").describe(["id"]) == "id"
    assert nodes.access("there").describe(["id"]) == "ssh ops@db2.example id"
    assert (await nodes.access("here").run(["true"], timeout_s=10.0)).ok
    await nodes.aclose()


def test_a_node_without_access_says_what_to_set() -> None:
    nodes = NodeAccesses(estate(), SecretStore())
    with pytest.raises(NodeAccessError, match="node closed: no access to this node is configured"):
        nodes.access("closed")
    with pytest.raises(NodeAccessError, match="there is no node of this name") as caught:
        nodes.access("elsewhere")
    assert "here, there, closed" in caught.value.hint


async def test_the_clocks_are_the_hosts_own() -> None:
    clock: Clock = SystemClock()
    assert isinstance(clock, Clock)
    began_s = clock.monotonic_s()
    await clock.sleep(0.01)
    assert clock.monotonic_s() - began_s >= 0.009
    assert clock.wall_s() > 1_700_000_000
