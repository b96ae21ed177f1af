"""Each fault does what its name says, and its healing takes it back."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from controller.demo import processes, sockets
from controller.demo.client import ClientProcess
from controller.demo.cluster import Cluster
from controller.demo.faults import FAULTS, SILENCE_S, SMALL_DISK_MB, disk_full_supported
from controller.demo.settings import MONITOR_ROLE, Sizing
from controller.demo.verdict import judge, read_log
from model.errors import BcmError

pytestmark = pytest.mark.postgres


@pytest.fixture
def client(shared_cluster: Cluster, tmp_path: Path) -> Iterator[ClientProcess]:
    client = ClientProcess(shared_cluster, tmp_path / "client.log")
    client.wait_writes(10)
    yield client
    client.stop()


def as_monitor(cluster: Cluster) -> psycopg.Connection[tuple[object, ...]]:
    password = cluster.secret_file(MONITOR_ROLE).read_text(encoding="utf-8").strip()
    port = cluster.node("pg1").port
    return psycopg.connect(
        host="127.0.0.1", port=port, dbname="postgres", user=MONITOR_ROLE, password=password, autocommit=True
    )


def kinds(client: ClientProcess) -> set[str]:
    return {kind for _ns, kind, _port in read_log(client.log).errors}


@pytest.mark.parametrize("name", ["restart", "backend-kill", "crash-restart"])
def test_a_server_that_comes_back_takes_writes_again(
    shared_cluster: Cluster, client: ClientProcess, name: str
) -> None:
    before = shared_cluster.node("pg1").pids()[0]
    fault = FAULTS[name].inject(shared_cluster)
    fault.heal()
    client.wait_writes(10)
    assert {"57P01", "closed", "refused"} & kinds(client)
    assert (shared_cluster.node("pg1").pids()[0] == before) == (name == "backend-kill")
    assert judge(client.stop(), shared_cluster.node("pg1").dsn("app"), after_ns=fault.at_ns).lost == 0
    shared_cluster.wait_streaming("pg1", {"pg2", "pg3"})


def test_silence_lasts_two_seconds_and_nothing_is_lost(
    shared_cluster: Cluster, client: ClientProcess
) -> None:
    fault = FAULTS["silence"].inject(shared_cluster)
    assert shared_cluster.node("pg1").frozen()
    fault.finish()
    assert (time.monotonic_ns() - fault.at_ns) / 1e9 >= SILENCE_S
    client.wait_writes(10)
    verdict = judge(client.stop(), shared_cluster.node("pg1").dsn("app"), after_ns=fault.at_ns)
    assert verdict.lost == 0
    assert verdict.gap_s is not None
    assert verdict.gap_s >= 0.9 * SILENCE_S  # a write that was under way may still get through


def test_a_hang_is_healed_by_sigcont(shared_cluster: Cluster) -> None:
    fault = FAULTS["hang"].inject(shared_cluster)
    node = shared_cluster.node(fault.node)
    assert all(processes.stopped_by_signal(pid) for pid in node.pids())
    fault.heal()
    assert node.query("SELECT 1") == [(1,)]


def test_a_saturated_server_has_no_room_until_it_is_healed(shared_cluster: Cluster) -> None:
    fault = FAULTS["saturate"].inject(shared_cluster)
    try:
        with pytest.raises(psycopg.OperationalError, match=r"remaining connection slots|too many clients"):
            as_monitor(shared_cluster)
    finally:
        fault.heal()
    assert processes.wait_until(lambda: _can_log_in(shared_cluster), timeout_s=5)


def test_hba_turns_the_monitor_away_until_it_is_healed(shared_cluster: Cluster) -> None:
    fault = FAULTS["hba-reject"].inject(shared_cluster)
    assert processes.wait_until(lambda: not _can_log_in(shared_cluster), timeout_s=5)
    fault.heal()
    assert processes.wait_until(lambda: _can_log_in(shared_cluster), timeout_s=5)


def test_idle_sessions_end_with_57p01_or_without_a_word(shared_cluster: Cluster) -> None:
    with as_monitor(shared_cluster) as held:
        FAULTS["idle-kill"].inject(shared_cluster)
        with pytest.raises(psycopg.errors.AdminShutdown):
            held.execute("SELECT 1")
    if sockets.unsupported():
        pytest.skip(sockets.unsupported() or "")
    before = shared_cluster.node("pg1").pids()[0]
    with as_monitor(shared_cluster) as held:
        FAULTS["idle-kill-tcp"].inject(shared_cluster)
        with pytest.raises(psycopg.OperationalError) as caught:
            held.execute("SELECT 1")
        assert caught.value.sqlstate is None
    assert shared_cluster.node("pg1").pids()[0] == before
    assert _can_log_in(shared_cluster)


def test_a_crash_leaves_no_process_and_no_primary(shared_cluster: Cluster) -> None:
    fault = FAULTS["crash"].inject(shared_cluster)
    node = shared_cluster.node(fault.node)
    try:
        assert node.pids() == []
        assert shared_cluster.current_primary() is None
        with pytest.raises(BcmError, match="no primary"):
            FAULTS["none"].inject(shared_cluster)
    finally:
        node.start()
    shared_cluster.wait_streaming("pg1", {"pg2", "pg3"})
    FAULTS["none"].inject(shared_cluster).heal()


def test_a_full_disk_refuses_writes_until_room_is_made(cluster, tmp_path: Path) -> None:
    reason = disk_full_supported()
    if reason:
        pytest.skip(reason)
    nodes: Cluster = cluster(
        small_disk_mb={"pg1": SMALL_DISK_MB}, sizing=Sizing(wal_segment_mb=1, wal_keep_mb=32)
    )
    client = ClientProcess(nodes, tmp_path / "client.log")
    client.wait_writes(10)
    fault = FAULTS["disk-full"].inject(nodes)
    assert os.statvfs(nodes.node("pg1").data_dir).f_bavail == 0
    assert processes.wait_until(lambda: bool({"53100", "closed"} & kinds(client)), timeout_s=30)
    fault.heal()
    if not nodes.node("pg1").ready():  # a full pg_wal ends the server
        nodes.node("pg1").stop("immediate")
        nodes.node("pg1").start()
    client.wait_writes(10)
    assert judge(client.stop(), nodes.node("pg1").dsn("app"), after_ns=fault.at_ns).lost == 0


def test_a_disk_that_is_not_ours_is_not_filled(shared_cluster: Cluster) -> None:
    with pytest.raises(BcmError, match="small file system"):
        FAULTS["disk-full"].inject(shared_cluster)


def _can_log_in(cluster: Cluster) -> bool:
    try:
        as_monitor(cluster).close()
    except psycopg.OperationalError:
        return False
    return True
