"""The daemon may die, or freeze, at any instant of a failover. All: tests/crash_point_run.py --all."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from crash_point_run import KILLED_DAEMON, run_point
from frozen_daemon_run import run_frozen
from pg_servers import server_or_skip

from controller.demo import processes
from controller.demo.client import ClientProcess
from controller.demo.cluster import Cluster, ClusterOptions
from controller.demo.daemon import DaemonProcess
from controller.demo.faults import FAULTS
from controller.demo.settings import Sizing
from controller.demo.verdict import judge
from controller.store.reader import read_events
from model import events as ev
from model.errors import BcmError

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(170)]
# P6: a healthy primary gets its standbys back within this time of the daemon's start.
WRITES_AGAIN_S = 3.0


@pytest.mark.parametrize(
    ("when", "point"),
    [
        ("after", "execution.opened:"),
        ("after", "step.result:detach"),
        ("after", "step.intent:promote"),
        ("before", "step.result:promote"),
        ("before", "execution.closed:"),
    ],
)
def test_a_killed_daemon_ends_its_failover_after_the_restart_and_does_no_step_twice(
    when: str, point: str
) -> None:
    result = run_point(server_or_skip(18), when, point)
    assert result.died
    assert result.closed, result.line()
    assert result.twice == ()
    assert result.lost == 0
    assert result.verified


@pytest.mark.parametrize("point", ["step.intent:detach", "step.intent:promote"])
def test_a_thawed_daemon_changes_nothing_after_somebody_took_over(point: str) -> None:
    result = run_frozen(server_or_skip(18), "after", point)
    assert result.froze
    assert result.break_glass == 0, result.said
    assert result.unchanged
    assert result.wrote == 0
    assert result.lost == 0


@pytest.fixture
def detached(tmp_path: Path) -> Iterator[tuple[Cluster, DaemonProcess, ClientProcess]]:
    """A primary that hung, whose standbys were detached, and whose controller died right then."""
    options = ClusterOptions(sizing=Sizing(fsync=False))
    with Cluster(server_or_skip(18), options) as cluster:
        daemon = DaemonProcess(cluster, profile="fast")
        whole = list(daemon.program)
        daemon.program = [sys.executable, str(KILLED_DAEMON), "after", "step.result:detach"]
        daemon.start()
        client = ClientProcess(cluster, tmp_path / "client.log")
        client.wait_writes(50)
        FAULTS["hang"].inject(cluster)
        assert processes.wait_until(lambda: daemon.ended() is not None, timeout_s=30)
        daemon.program = whole
        yield cluster, daemon, client
        client.stop()
        daemon.stop()


def test_a_healthy_primary_gets_its_writes_back_when_the_daemon_that_detached_its_standbys_is_back(
    detached: tuple[Cluster, DaemonProcess, ClientProcess],
) -> None:
    cluster, daemon, client = detached
    cluster.node("pg1").cont_tree()
    before = client.acknowledged()
    daemon.start(wait=False)
    assert processes.wait_until(lambda: daemon.status() is not None, timeout_s=20)
    ready_s = time.monotonic()
    assert processes.wait_until(lambda: client.acknowledged() > before + 20, timeout_s=20)
    assert time.monotonic() - ready_s < WRITES_AGAIN_S
    closed = [e for e in read_events(daemon.state_dir) if e.type == ev.EXECUTION_CLOSED]
    assert [e.data["state"] for e in closed] == ["undone"]
    assert cluster.current_primary() is cluster.node("pg1")
    assert judge(client.stop(), cluster.node("pg1").dsn("app")).lost == 0


def test_a_second_daemon_on_the_same_state_directory_observes_and_does_not_act(tmp_path: Path) -> None:
    with Cluster(server_or_skip(18), ClusterOptions(sizing=Sizing(fsync=False))) as cluster:
        first = DaemonProcess(cluster)
        first.start()
        second = DaemonProcess(cluster)
        second.socket = first.socket.with_name("second.sock")
        text = first.config.read_text(encoding="utf-8").replace(str(first.socket), str(second.socket))
        second.config = first.config.with_name("second.yaml")
        second.config.write_text(text, encoding="utf-8")
        try:
            second.start(wait=False)
            assert processes.wait_until(lambda: second.status() is not None, timeout_s=20)
            about = second.ask("GET", "/v1/status")["daemon"]
            assert about["leader"] is False
            assert str(first.pid) in str(about["why_not_leader"])
            with pytest.raises(BcmError, match="owns this journal"):
                second.ask("POST", "/v1/services/orders/pause", {"for": "1h", "reason": "test"})
        finally:
            second.stop()
            first.stop()
