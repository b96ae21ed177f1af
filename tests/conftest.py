"""Real PostgreSQL servers for every test that wants them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pg_servers import server_or_skip

from controller.demo.cluster import PART, Cluster, ClusterOptions
from controller.demo.servers import Server
from tests.pg_pair import BIN_DIRS, PgPair, running_pair

# A shell that starts the tests in its background ignores Ctrl-C for them, and their children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


# `gw0`, `gw1`, … where several processes run the tests: each has its own part of the demo's ports.
_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
if _WORKER.startswith("gw"):
    os.environ[PART] = f"{int(_WORKER[2:]) % 8 + 1}/8"

ClusterFactory = Callable[..., Cluster]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For `pytest -n 2 --dist loadgroup`: a file's tests stay together, since they share servers. The whole
    failovers begin first and run one after the other: two at once would take each other's processor."""
    items.sort(key=lambda item: not _is_whole_failover(item))
    for item in items:
        group = "failovers" if _is_whole_failover(item) else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


def _is_whole_failover(item: pytest.Item) -> bool:
    return item.path.parent.name == "e2e"


@pytest.fixture(scope="session")
def pg_server_18() -> Server:
    return server_or_skip(18)


@pytest.fixture(scope="session")
def pg_server_15() -> Server:
    return server_or_skip(15)


@pytest.fixture(scope="session")
def pg_bin_18(pg_server_18: Server) -> Path:
    return pg_server_18.bin_dir


@pytest.fixture(scope="session")
def pg_bin_15(pg_server_15: Server) -> Path:
    return pg_server_15.bin_dir


@pytest.fixture
def cluster() -> Iterator[ClusterFactory]:
    """`cluster(version=18, **ClusterOptions)` starts three nodes; they are gone after the test."""
    with ExitStack() as stack:

        def start(version: int = 18, **options: object) -> Cluster:
            return stack.enter_context(
                Cluster(server_or_skip(version), ClusterOptions(**options))  # type: ignore[arg-type]
            )

        yield start


@pytest.fixture(scope="module")
def shared_cluster() -> Iterator[Cluster]:
    """One PostgreSQL 18 cluster for a whole module, for tests that leave it as they found it."""
    with Cluster(server_or_skip(18)) as cluster:
        yield cluster


@pytest.fixture(scope="session", params=sorted(BIN_DIRS))
def shared_pg_pair(request: pytest.FixtureRequest) -> Iterator[PgPair]:
    """A primary and a standby of each version, for the whole run."""
    if not BIN_DIRS[request.param].exists():
        pytest.skip(f"PostgreSQL {request.param} is not installed")
    with running_pair(request.param) as pair:
        yield pair


@pytest.fixture
def pg_pair(shared_pg_pair: PgPair) -> PgPair:
    """Both are up and streaming, whatever the test before has done to them."""
    shared_pg_pair.ready()
    return shared_pg_pair
