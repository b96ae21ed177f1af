"""Clusters for the tests of actions: small WAL segments and no fsync, since nothing is measured here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from controller.demo.client import ClientProcess
from controller.demo.cluster import Cluster, ClusterOptions
from controller.demo.settings import Sizing
from tests.action_bench import ActionBench
from tests.conftest import ClusterFactory, server_or_skip

SIZING = Sizing(fsync=False, wal_segment_mb=1)
BenchFactory = Callable[..., ActionBench]


@pytest.fixture(scope="session")
def lasting_cluster() -> Iterator[Cluster]:
    """One for all tests that leave it as they found it; ask for `calm` instead."""
    with Cluster(server_or_skip(18), ClusterOptions(sizing=SIZING)) as cluster:
        yield cluster


@pytest.fixture
def calm(lasting_cluster: Cluster) -> Iterator[Cluster]:
    """A cluster that is put right after the test, whatever was set on it."""
    before = {
        node.name: (node.data_dir / "postgresql.auto.conf").read_text() for node in lasting_cluster.nodes
    }
    yield lasting_cluster
    for node in lasting_cluster.nodes:
        node.cont_tree()
        (node.data_dir / "postgresql.auto.conf").write_text(before[node.name])
        node.reload()
    for name in ("pg2", "pg3"):
        lasting_cluster.node(name).query("SELECT pg_wal_replay_resume()")
    lasting_cluster.wait_streaming("pg1", {"pg2", "pg3"})


@pytest.fixture
def small(cluster: ClusterFactory) -> Callable[[int], Cluster]:
    """`small(version)` starts a cluster of its own for the test."""
    return lambda version=18: cluster(version, sizing=SIZING)


@pytest.fixture
async def bench() -> AsyncIterator[BenchFactory]:
    """`bench(cluster, epoch=1, …)`; closed after the test."""
    async with AsyncExitStack() as stack:

        def make(cluster: Cluster, **changes: object) -> ActionBench:
            made = ActionBench(cluster, **changes)  # type: ignore[arg-type]
            stack.push_async_callback(made.close)
            return made

        yield make


@pytest.fixture
def client() -> Iterator[Callable[[Cluster], ClientProcess]]:
    """`client(cluster)` writes all the time, until the test ends."""
    started: list[ClientProcess] = []

    def start(cluster: Cluster) -> ClientProcess:
        started.append(ClientProcess(cluster, cluster.base / f"client{len(started)}.log"))
        started[-1].wait_writes(20)
        return started[-1]

    yield start
    for process in started:
        process.stop()
