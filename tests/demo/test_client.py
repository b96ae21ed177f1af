"""The demo's client counts what was acknowledged, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from controller.demo import processes
from controller.demo.client import ClientProcess
from controller.demo.cluster import Cluster
from controller.demo.verdict import judge, longest_gap, read_log
from controller.demo.wire import Host, Wire, WireError

pytestmark = pytest.mark.postgres
ROOT = Path(__file__).resolve().parents[2]
INSERT = b"INSERT INTO ledger (writer, n) VALUES (77, 1)"


def app_host(cluster: Cluster, name: str) -> Host:
    return Host(cluster.node(name).port, cluster.app_dsn(name) + " sslmode=disable gssencmode=disable")


def test_a_cancelled_wait_for_replication_is_no_acknowledgement(shared_cluster: Cluster) -> None:
    primary = shared_cluster.node("pg1")
    standbys = [shared_cluster.node(name) for name in ("pg2", "pg3")]
    wire = Wire.connect(app_host(shared_cluster, "pg1"), time.monotonic() + 2)
    for standby in standbys:
        standby.stop_tree()

    def cancel_the_waiting_one() -> None:
        statement = (
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
            " WHERE usename = 'app' AND wait_event = 'SyncRep'"
        )
        processes.wait_until(lambda: bool(primary.query(statement)), timeout_s=5)

    canceller = threading.Thread(target=cancel_the_waiting_one)
    canceller.start()
    try:
        with pytest.raises(WireError, match="warning"):
            wire.execute(INSERT, (), time.monotonic() + 5)
    finally:
        canceller.join()
        for standby in standbys:
            standby.cont_tree()
    assert primary.query("SELECT count(*) FROM ledger WHERE writer = 77", database="app") == [(1,)]


def test_a_statement_ends_at_the_clients_deadline_and_is_not_cancelled(shared_cluster: Cluster) -> None:
    primary = shared_cluster.node("pg1")
    wire = Wire.connect(app_host(shared_cluster, "pg1"), time.monotonic() + 2)
    primary.stop_tree()
    began = time.monotonic()
    try:
        with pytest.raises(WireError, match="timeout"):
            wire.execute(b"SELECT pg_sleep(0)", (), began + 0.3)
        assert 0.25 < time.monotonic() - began < 0.6
    finally:
        primary.cont_tree()
    assert "canceling" not in primary.log_file.read_text(encoding="utf-8").split("app@app")[-1]


def test_a_standby_is_no_host_for_writes(shared_cluster: Cluster) -> None:
    with pytest.raises(WireError) as caught:
        Wire.connect(app_host(shared_cluster, "pg2"), time.monotonic() + 2)
    assert caught.value.kind == "25006"


def test_the_verdict_counts_lost_and_doubled_rows(shared_cluster: Cluster, tmp_path: Path) -> None:
    primary = shared_cluster.node("pg1")
    primary.query("TRUNCATE ledger", database="app")
    client = ClientProcess(shared_cluster, tmp_path / "client.log")
    client.wait_writes(30)
    client.stop()
    assert judge(client.log, primary.dsn("app")).lost == 0
    primary.query("DELETE FROM ledger WHERE n IN (5, 6)", database="app")
    primary.query("INSERT INTO ledger SELECT * FROM ledger WHERE n = 7", database="app")
    verdict = judge(client.log, primary.dsn("app"))
    assert (verdict.lost, verdict.duplicated) == (2, 1)
    assert verdict.lost_rows == ((0, 5), (0, 6))
    assert verdict.acknowledged == client.acknowledged() >= 30


def test_the_client_ends_with_its_parent(shared_cluster: Cluster, tmp_path: Path) -> None:
    client = ClientProcess(shared_cluster, tmp_path / "client.log")
    client.wait_writes(1)
    client.stop()
    assert not Path(f"/proc/{client.pid}").exists()
    assert read_log(client.log).end_ns >= read_log(client.log).acks[-1].ns


def test_the_gap_is_the_longest_one_that_ended_after_the_fault(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("A 10 0 1 5\nA 900 0 2 5\nE 1000 0 closed 5\nA 1100 0 3 6\nA 1110 1 1 6\nQ 1120\n")
    before = longest_gap(read_log(log))
    after = longest_gap(read_log(log), after_ns=950)
    assert before is not None
    assert after is not None
    assert (before.start_ns, before.end_ns) == (10, 900)
    assert (after.start_ns, after.end_ns, after.open) == (900, 1100, False)


def test_writes_that_never_came_back_are_an_open_gap(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("A 10 0 1 5\nA 20 0 2 5\nE 30 0 closed 5\nQ 5000\nA 60")  # cut off: not counted
    gap = longest_gap(read_log(log), after_ns=25)
    assert gap is not None
    assert (gap.start_ns, gap.end_ns, gap.open) == (20, 5000, True)


@pytest.mark.parametrize("version", ["18", "15"])
def test_an_omniscient_script_shows_the_floor_and_loses_nothing(version: str) -> None:
    answer = subprocess.run(
        [sys.executable, "bench/floor.py", "--runs", "1", "--json", "--version", version],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    run = json.loads(answer.stdout)["runs"][0]
    assert 0.01 < run["gap_s"] < 1.5
    assert (run["lost"], run["duplicated"], run["unguarded"]) == (0, 0, 0)
    assert run["acknowledged"] >= 300
