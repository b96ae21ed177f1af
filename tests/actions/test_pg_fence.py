"""POSTGRESQL P8: the old primary is made read-only, emptied of clients and stopped, whenever it answers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import psycopg
import pytest

from controller.demo import processes
from controller.demo.cluster import Cluster
from model.execution import Effect, StepState
from runbooks.actions.postgresql.fence import Fence, FenceOptions
from tests.actions.conftest import BenchFactory

pytestmark = pytest.mark.postgres
READ_ONLY = "SHOW default_transaction_read_only"


@pytest.fixture
def alive(calm: Cluster) -> Iterator[Cluster]:
    """As `calm`, with the primary started again after the test."""
    yield calm
    primary = calm.node("pg1")
    primary.cont_tree()
    if not primary.running():
        auto_conf = primary.data_dir / "postgresql.auto.conf"
        kept = [x for x in auto_conf.read_text().splitlines() if "read_only" not in x]
        auto_conf.write_text("\n".join(kept) + "\n")
        primary.start()
    primary.wait_ready()


async def test_a_running_primary_is_stopped_and_no_waiting_commit_is_reported_as_done(
    alive: Cluster, bench: BenchFactory
) -> None:
    made = bench(alive)
    await made.lock()
    for node in (alive.node("pg2"), alive.node("pg3")):
        node.query("ALTER SYSTEM SET primary_conninfo = ''")
        node.query("SELECT pg_reload_conf()")
    gone = "SELECT count(*) FROM pg_stat_replication"
    assert processes.wait_until(lambda: made.sql_of("pg1", gone) == 0, timeout_s=5)
    outcome: list[str] = []

    def write() -> None:
        try:
            with psycopg.connect(alive.app_dsn("pg1"), autocommit=True) as session:
                session.execute("INSERT INTO ledger VALUES (9, 1, now())")
            outcome.append("acknowledged")
        except psycopg.Error as error:
            outcome.append(type(error).__name__)

    writer = threading.Thread(target=write)
    writer.start()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND usename = 'app'"
    assert processes.wait_until(lambda: made.sql_of("pg1", waiting) == 1, timeout_s=5)
    fence = Fence(FenceOptions(must="stopped", settle_ms=100))
    assert (await made.check(fence)).effect is Effect.NOT_DONE
    result = await made.ok("fence", fence, timeout_s=15)
    assert result.output["old_primary"] == "stopped"
    assert not alive.node("pg1").running()
    writer.join(5)
    assert outcome
    assert outcome != ["acknowledged"]
    assert (await made.check(fence)).effect is Effect.DONE


async def test_without_node_access_it_is_read_only_and_has_no_clients(
    alive: Cluster, bench: BenchFactory
) -> None:
    made = bench(alive)
    made.no_access.add("node1")
    await made.lock()
    with psycopg.connect(alive.app_dsn("pg1")) as session:
        result = await made.ok("fence", Fence(FenceOptions()), timeout_s=10)
        assert result.output["old_primary"] == "read_only"
        assert result.output["ended_sessions"] >= 1
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    assert made.sql_of("pg1", READ_ONLY) == "on"
    with pytest.raises(psycopg.OperationalError, match="read-only"):
        psycopg.connect(alive.app_dsn("pg1"))
    names = made.sql_of("pg1", "SHOW synchronous_standby_names")
    assert names == "ANY 1 (pg2, pg3)"  # never emptied
    stopped = await made.run("fence", Fence(FenceOptions(must="stopped")), timeout_s=1)
    assert (stopped.outcome, stopped.output["old_primary"]) == (StepState.FAILED, "read_only")


async def test_who_runs_as_a_standby_by_now_is_left_alone(alive: Cluster, bench: BenchFactory) -> None:
    """A controller that slept while another one brought the old primary back."""
    made = bench(alive)
    await made.lock()
    result = await made.ok("fence", Fence(FenceOptions(member="pg3")), timeout_s=5)
    assert (result.output["old_primary"], result.output["how"]) == ("read_only", "it runs as a standby")
    assert alive.node("pg3").running()
    assert made.sql_of("pg3", READ_ONLY) == "off"


async def test_a_controller_that_does_not_lead_any_more_fences_nobody(
    alive: Cluster, bench: BenchFactory
) -> None:
    """It slept in the middle of the step; meanwhile another one leads, and brought the member back."""
    made = bench(alive)
    await made.lock()
    made.lease.is_held = False
    result = await made.run("fence", Fence(FenceOptions(must="stopped")), timeout_s=2)
    assert (result.outcome, result.output["old_primary"]) == (StepState.FAILED, "unreachable")
    assert alive.node("pg1").running()
    assert made.sql_of("pg1", READ_ONLY) == "off"


async def test_a_hung_primary_is_killed(alive: Cluster, bench: BenchFactory) -> None:
    made = bench(alive)
    await made.lock()
    alive.node("pg1").stop_tree()
    result = await made.ok("fence", Fence(FenceOptions(settle_ms=100)), timeout_s=15)
    assert result.output["old_primary"] == "stopped"
    assert "kill -9" in result.output["how"]
    assert not alive.node("pg1").running()


async def test_one_that_can_be_reached_in_no_way_is_said_to_be_unreachable(
    alive: Cluster, bench: BenchFactory
) -> None:
    made = bench(alive)
    made.no_access.add("node1")
    made.sql.unreachable.add("pg1")
    await made.lock()
    result = await made.run("fence", Fence(FenceOptions()), timeout_s=0.5)
    assert (result.outcome, result.output["old_primary"]) == (StepState.FAILED, "unreachable")


async def test_one_that_its_manager_starts_again_in_place_is_stopped_again(
    alive: Cluster, bench: BenchFactory
) -> None:
    made = bench(alive)
    await made.lock()
    primary = alive.node("pg1")
    primary.kill_tree()
    fencing = asyncio.create_task(made.run("fence", Fence(FenceOptions()), timeout_s=30))
    await asyncio.sleep(0.1)  # as long as a service manager waits
    primary.spawn()
    result = await fencing
    assert result.output["old_primary"] == "stopped"
    assert "and again" in result.output["how"]
    assert not primary.running()


async def test_only_the_members_own_processes_are_touched(alive: Cluster, bench: BenchFactory) -> None:
    """Others run the same program on the same host, even in the same tree of directories."""
    made = bench(alive)
    await made.lock()
    pids = alive.node("pg2").pids()
    await made.ok("fence", Fence(FenceOptions(settle_ms=0)), timeout_s=15)
    assert pids[0] in alive.node("pg2").pids()
