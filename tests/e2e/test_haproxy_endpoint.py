"""PostgreSQL behind a real HAProxy whose servers start disabled: the client knows nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pg_servers import server_or_skip

from controller.demo.client import ClientOptions, ClientProcess
from controller.demo.cluster import Cluster, ClusterOptions, free_ports
from controller.demo.daemon import DaemonProcess
from controller.demo.haproxy import DemoHaproxy, haproxy_program
from controller.demo.scenario import RunOptions, RunResult, Scenario
from controller.demo.settings import Sizing
from model.errors import BcmError

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(150)]


@pytest.fixture(autouse=True)
def _installed() -> None:
    try:
        haproxy_program()
    except BcmError as error:
        pytest.skip(str(error))


def run(tmp_path: Path, fault: str) -> RunResult:
    options = RunOptions(fault=fault, endpoint="haproxy", profile="fast")
    return Scenario(server_or_skip(18), options, print, tmp_path).run()


@pytest.mark.parametrize("fault", ["crash", "hang", "switchover"])
def test_clients_are_led_to_the_new_primary_and_nothing_is_lost(tmp_path: Path, fault: str) -> None:
    """A hung primary keeps its sessions open: without HAProxy ending them the client would wait for its own
    deadline, once more after the promotion."""
    result = run(tmp_path, fault)
    assert (result.client.lost, result.unguarded) == (0, 0)
    assert result.rpo["verdict"] == "ZERO_PROVEN"
    assert result.client.gap is not None
    assert not result.client.gap.open


@pytest.fixture
def behind() -> Iterator[tuple[Cluster, DaemonProcess, DemoHaproxy]]:
    with ExitStack() as stack:
        sizing = Sizing(fsync=False, wal_segment_mb=1)
        cluster = stack.enter_context(Cluster(server_or_skip(18), ClusterOptions(sizing=sizing)))
        [port] = free_ports(1)
        balancer = DemoHaproxy(cluster.base, port, {node.name: node.port for node in cluster.nodes})
        stack.callback(balancer.stop)
        balancer.start()
        daemon = DaemonProcess(cluster, endpoint=balancer.endpoint())
        stack.callback(daemon.stop)
        daemon.start()
        yield cluster, daemon, balancer


def test_a_restarted_haproxy_is_told_again_who_is_primary(
    behind: tuple[Cluster, DaemonProcess, DemoHaproxy],
) -> None:
    """P9: what it was told is gone, and its servers start disabled."""
    cluster, daemon, balancer = behind
    client = ClientProcess(cluster, cluster.base / "client.log", ClientOptions(through=balancer.port))
    try:
        client.wait_writes(20)
        balancer.stop()
        balancer.start()
        client.wait_writes(20)
    finally:
        client.stop()
    assert cluster.current_primary() is cluster.node("pg1")
    assert daemon.status() is not None
