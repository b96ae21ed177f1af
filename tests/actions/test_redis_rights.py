"""The rights that docs/redis.md names are enough, and passwords do not show (S12)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.execution import ExecutionState
from tests.redis_bench import MEMBERS, RedisBench, Servers, three

PAGE = Path(__file__).parents[2] / "docs" / "redis.md"
PASSWORD = "correct horse battery"
ROLES = "+replicaof +config|set +config|get +client|pause +client|unpause +client|kill"
CONTROL_RIGHTS = f"{ROLES} +info +ping +set +get +wait"
MONITOR_RIGHTS = "+ping +info +pubsub|channels +set +get"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with three(tmp_path_factory.mktemp("redis")) as made:
        for name in MEMBERS:
            keys = ("~bcm:*", "~bcm-failover:*")
            made.ask(name, "ACL", "SETUSER", "bcm", "on", f">{PASSWORD}", *keys, *CONTROL_RIGHTS.split())
            made.ask(name, "ACL", "SETUSER", "eye", "on", f">{PASSWORD}", *keys, *MONITOR_RIGHTS.split())
        yield made


def test_the_page_names_these_rights() -> None:
    text = re.sub(r"\s+", " ", PAGE.read_text(encoding="utf-8"))
    assert CONTROL_RIGHTS in text
    assert "`+ping +info +pubsub|channels`, and `+set +get`" in text


async def test_with_these_rights_it_is_switched_failed_over_and_brought_back(
    guarded: Servers, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    password = {"file": str(secret)}
    accounts = {
        "user": "eye",
        "password": password,
        "control": {"user": "bcm", "password": password},
        "min_replicas": 1,
    }
    async with RedisBench(guarded, redis=accounts) as made:
        switched = await made.runbook("redis-switchover", candidate="r2")
        assert switched.state is ExecutionState.SUCCEEDED, switched
        back = await made.runbook("redis-failback", primary="r2", candidate="r1", standbys=["r1", "r3"])
        assert back.state is ExecutionState.SUCCEEDED, back
        guarded.ask("r2", "REPLICAOF", "NO", "ONE")
        rejoined = await made.runbook("redis-rejoin", member="r2", primary="r1")
        assert rejoined.state is ExecutionState.SUCCEEDED, rejoined
        guarded["r1"].kill()
        over = await made.runbook("redis-failover")
        assert over.state is ExecutionState.SUCCEEDED, over
        assert made.store is not None
        assert PASSWORD not in str([e.data for e in made.store.events()])
