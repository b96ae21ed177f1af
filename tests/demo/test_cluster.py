"""The demo's cluster is a real one, and nothing of it is left behind."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from controller.demo import processes
from controller.demo.cluster import Cluster, ClusterOptions, free_ports
from controller.demo.servers import Server
from controller.demo.settings import CANARY_DATABASE, CONTROL_ROLE, MONITOR_ROLE, REPLICATION_ROLE, Sizing
from controller.demo.wire import Host, Wire, WireError

pytestmark = pytest.mark.postgres
INSERT = b"INSERT INTO ledger (writer, n) VALUES (99, $1)"


def app_host(cluster: Cluster, name: str = "pg1") -> Host:
    return Host(cluster.node(name).port, cluster.app_dsn(name) + " sslmode=disable gssencmode=disable")


def segments() -> set[int]:
    """Of the whole machine: other clusters may come and go beside this one."""
    lines = Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()[1:]
    return {int(line.split()[1]) for line in lines}


def segments_of(nodes: Cluster) -> set[int]:
    found = (processes.shared_memory_id(node.data_dir) for node in nodes.nodes)
    return {segment for segment in found if segment is not None}


@pytest.mark.parametrize("version", [18, 15])
def test_three_nodes_replicate_and_an_acknowledged_row_is_on_a_standby(cluster, version: int) -> None:
    nodes = cluster(version)
    wire = Wire.connect(app_host(nodes), time.monotonic() + 2)
    wire.execute(INSERT, (b"1",), time.monotonic() + 2)
    assert nodes.current_primary() is nodes.node("pg1")
    assert processes.wait_until(
        lambda: nodes.node("pg2").query("SELECT n FROM ledger", database="app") == [(1,)], timeout_s=5
    )
    nodes.node("pg2").stop_tree()
    nodes.node("pg3").stop_tree()
    with pytest.raises(WireError, match="timeout"):
        wire.execute(INSERT, (b"2",), time.monotonic() + 0.5)
    nodes.node("pg3").cont_tree()
    wire = Wire.connect(app_host(nodes), time.monotonic() + 2)
    wire.execute(INSERT, (b"3",), time.monotonic() + 2)
    wire.close()
    assert nodes.node("pg1").query("SHOW server_version_num")[0][0].startswith(str(version))


def test_a_stop_leaves_nothing(cluster) -> None:
    nodes: Cluster = cluster()
    own = segments_of(nodes)
    assert own <= segments()
    assert len(own) == 3
    nodes.node("pg1").kill_tree()
    nodes.node("pg1").start()
    nodes.node("pg2").restart()  # not our child any more
    nodes.node("pg3").kill_tree()
    everyone = [pid for node in nodes.nodes for pid in node.pids()]
    own |= segments_of(nodes)
    nodes.stop_all()
    assert not nodes.base.exists()
    assert processes.wait_until(
        lambda: not any(Path(f"/proc/{pid}/cwd").exists() for pid in everyone), timeout_s=5
    )
    assert not segments() & own
    nodes.stop_all()  # idempotent


def test_the_killed_tree_is_gone_at_once_and_starts_again(shared_cluster: Cluster) -> None:
    node = shared_cluster.node("pg1")
    postmaster = processes.postmaster_pid(node.data_dir)
    began = time.monotonic()
    killed = node.kill_tree()
    assert time.monotonic() - began < 0.5
    assert killed[0] == postmaster
    assert len(killed) > 4
    assert node.pids() == []
    node.start()
    shared_cluster.wait_streaming("pg1", {"pg2", "pg3"})


def test_a_frozen_tree_does_not_answer_and_thaws(shared_cluster: Cluster) -> None:
    node = shared_cluster.node("pg1")
    stopped = node.stop_tree()
    try:
        assert node.frozen()
        assert set(stopped) == set(node.pids())
        began = time.monotonic()
        with pytest.raises(WireError, match="timeout"):
            Wire.connect(app_host(shared_cluster), time.monotonic() + 0.3)
        assert time.monotonic() - began < 0.6
        assert shared_cluster.current_primary() is None
    finally:
        node.cont_tree()
    assert not node.frozen()
    assert shared_cluster.current_primary() is node


def test_a_restart_by_pg_ctl_keeps_settings_and_can_be_killed_and_started_at_once(
    shared_cluster: Cluster,
) -> None:
    node = shared_cluster.node("pg1")
    node.restart()
    assert node.ready()
    node.kill_tree()
    node.start()  # fails with `lock file already exists` while the killed postmaster is not reaped
    shared_cluster.wait_streaming("pg1", {"pg2", "pg3"})
    assert node.query("SHOW synchronous_standby_names") == [("ANY 1 (pg2, pg3)",)]


def test_secrets_are_private_and_in_no_setting_or_log(shared_cluster: Cluster) -> None:
    roles = (MONITOR_ROLE, CONTROL_ROLE, REPLICATION_ROLE)
    passwords = [shared_cluster.secret_file(role).read_text(encoding="utf-8").strip() for role in roles]
    assert len(set(passwords)) == 3
    for role in roles:
        assert stat.S_IMODE(shared_cluster.secret_file(role).stat().st_mode) == 0o600
    for node in shared_cluster.nodes:
        assert stat.S_IMODE(node.passfile.stat().st_mode) == 0o600
        assert node.passfile.stat().st_uid == node.account.uid
        conninfo = node.query("SHOW primary_conninfo")[0][0]
        for text in (conninfo, node.log_file.read_text(encoding="utf-8")):
            assert not any(password in text for password in passwords)
            assert "password=" not in text


def test_the_products_roles_can_log_in_and_the_canary_is_there(shared_cluster: Cluster) -> None:
    passfile = shared_cluster.base / "secrets" / "check.pass"
    for role in (MONITOR_ROLE, CONTROL_ROLE):
        password = shared_cluster.secret_file(role).read_text(encoding="utf-8").strip()
        passfile.write_text(f"127.0.0.1:*:*:{role}:{password}\n", encoding="utf-8")
        passfile.chmod(0o600)
        dsn = (
            f"host=127.0.0.1 port={shared_cluster.node('pg1').port} dbname={CANARY_DATABASE} user={role} "
            f"passfile={passfile} sslmode=disable gssencmode=disable"
        )
        wire = Wire.connect(Host(shared_cluster.node("pg1").port, dsn), time.monotonic() + 2)
        result = wire.execute(b"SELECT n FROM canary WHERE id = 1", (), time.monotonic() + 2)
        assert result.ntuples == 1
        wire.close()


def test_the_helper_of_the_superuser_does_not_wait_for_standbys(shared_cluster: Cluster) -> None:
    for name in ("pg2", "pg3"):
        shared_cluster.node(name).stop_tree()
    try:
        shared_cluster.node("pg1").query("CREATE TEMP TABLE t (); DROP TABLE t", timeout_s=2)
        shared_cluster.node("pg1").query("CREATE TABLE t ()", timeout_s=2)
        shared_cluster.node("pg1").query("DROP TABLE t", timeout_s=2)
    finally:
        for name in ("pg2", "pg3"):
            shared_cluster.node(name).cont_tree()


def test_ports_are_no_ephemeral_ones() -> None:
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    assert all(1024 < port < low for port in free_ports(20))


PROGRAM = """
import sys, time
from pathlib import Path
from controller.demo.processes import shared_memory_id
from controller.demo.client import ClientProcess
from controller.demo.cluster import Cluster
from controller.demo.servers import best_server
with Cluster(best_server()) as cluster:
    client = ClientProcess(cluster, cluster.base / "client.log")
    client.wait_writes(5)
    cluster.node("pg2").restart()
    print(*(shared_memory_id(node.data_dir) for node in cluster.nodes))
    print(cluster.base, client.pid, *(pid for node in cluster.nodes for pid in node.pids()), flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda n: n.name)
def test_nothing_is_left_behind_however_the_program_ends(number: signal.Signals) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert program.stdout is not None
        own = {int(segment) for segment in program.stdout.readline().split()}
        assert own <= segments()
        base, *pids = program.stdout.readline().split()
        assert len(pids) > 10
        os.killpg(program.pid, number)  # as a terminal does
        program.wait(timeout=20)
        gone = processes.wait_until(
            lambda: not Path(base).exists() and not any(Path(f"/proc/{pid}/exe").exists() for pid in pids),
            timeout_s=10,
        )
        assert gone
        assert processes.wait_until(lambda: not segments() & own, timeout_s=5)
    finally:
        program.kill()
        program.communicate()


def test_keep_leaves_it_running(pg_server_18: Server) -> None:
    with Cluster(pg_server_18, ClusterOptions(sizing=Sizing(fsync=False))) as nodes:
        nodes.keep()
    try:
        assert nodes.node("pg1").query("SELECT 1") == [(1,)]
    finally:
        nodes.stop_all()
    assert not nodes.base.exists()
