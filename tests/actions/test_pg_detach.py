"""POSTGRESQL P5, P6: detached means that the receiver is gone, and it can be taken back."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import psycopg
import pytest

from controller.demo import processes
from controller.demo.client import ClientProcess
from controller.demo.cluster import Cluster
from model.execution import StepState
from runbooks.actions.base import ActionOptions
from runbooks.actions.postgresql.detach import Detach
from tests.action_bench import ActionBench
from tests.actions.conftest import BenchFactory

pytestmark = pytest.mark.postgres
DETACH = Detach(ActionOptions())
RECEIVERS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walreceiver'"


def receivers(bench: ActionBench) -> list[int]:
    return [bench.sql_of(m, RECEIVERS) for m in ("pg2", "pg3")]


@pytest.mark.parametrize("version", [18, 15])
async def test_a_detached_primary_acknowledges_nothing_until_it_is_taken_back(
    small: Callable[[int], Cluster], bench: BenchFactory, client: Callable[[Cluster], ClientProcess],
    version: int,
) -> None:  # fmt: skip
    cluster = small(version)
    tried = bench(cluster)
    writer = client(cluster)
    await tried.lock()
    done = await tried.ok("detach", DETACH)
    assert done.output["detached"] == ["pg2", "pg3"]
    assert receivers(tried) == [0, 0]
    before = writer.acknowledged()
    assert not processes.wait_until(lambda: writer.acknowledged() > before + 1, timeout_s=0.3)
    assert (await tried.check(DETACH)).effect == "done"
    undone = await tried.undo(DETACH)
    assert undone.outcome is StepState.SUCCEEDED, undone
    writer.wait_writes(20, timeout_s=3.0)
    cluster.wait_streaming("pg1", {"pg2", "pg3"})
    assert (await tried.check(DETACH)).effect == "not_done"
    # Taking back what was never done is a success.
    assert (await tried.undo(DETACH)).outcome is StepState.SUCCEEDED
    assert (await tried.check(DETACH)).effect == "not_done"


async def test_a_new_process_takes_a_detaching_back_without_its_record(
    calm: Cluster, bench: BenchFactory
) -> None:
    cluster = calm
    dead, next_one = bench(cluster, epoch=1), bench(cluster, epoch=2)
    await dead.lock()
    await dead.ok("detach", DETACH)
    await next_one.lock()
    assert (await next_one.undo(DETACH)).outcome is StepState.SUCCEEDED
    cluster.wait_streaming("pg1", {"pg2", "pg3"})
    assert "application_name=pg2" in next_one.sql_of("pg2", "SHOW primary_conninfo")


async def test_a_standby_whose_lock_was_lost_meanwhile_is_locked_again_and_re_attached(
    calm: Cluster, bench: BenchFactory
) -> None:
    dead, next_one = bench(calm, epoch=1), bench(calm, epoch=2)
    locked = await dead.lock()
    assert locked.output["ever"] == ["pg2", "pg3"]
    await dead.ok("detach", DETACH)
    next_one.ctx.vars["steps"]["lock"] = dict(locked.output)
    next_one.sql.unreachable.add("pg3")
    assert (await next_one.lock()).output == {
        "locked": ["pg2"], "left_out": {"pg3": "cut off by the test"}, "enough": True, "ever": ["pg2", "pg3"],
    }  # fmt: skip
    late = asyncio.get_running_loop().call_later(0.2, next_one.sql.unreachable.clear)
    assert (await next_one.undo(DETACH)).outcome is StepState.SUCCEEDED
    late.cancel()
    calm.wait_streaming("pg1", {"pg2", "pg3"})


async def test_a_standby_that_can_not_be_asked_is_not_said_to_be_re_attached(
    calm: Cluster, bench: BenchFactory
) -> None:
    made = bench(calm)
    await made.lock()
    await made.ok("detach", DETACH)
    await made.ctx.resources["locks"].close()
    made.sql.unreachable.add("pg3")
    undone = await made.undo(DETACH, timeout_s=1.0)
    assert (undone.outcome, "pg3 (cut off" in undone.detail) == (StepState.FAILED, True)


async def test_paused_replay_keeps_the_receiver_so_it_is_resumed(calm: Cluster, bench: BenchFactory) -> None:
    cluster = calm
    tried = bench(cluster)
    cluster.node("pg3").query("SELECT pg_wal_replay_pause()")
    cluster.node("pg1").query("CREATE TABLE after_pause ()")
    await tried.lock()
    done = await tried.ok("detach", DETACH)
    assert "pg3: replay was paused, resumed" in done.detail
    assert receivers(tried) == [0, 0]


async def test_sessions_that_hold_up_replay_are_ended(calm: Cluster, bench: BenchFactory) -> None:
    cluster = calm
    tried = bench(cluster)
    node = cluster.node("pg3")
    node.query("ALTER SYSTEM SET max_standby_streaming_delay = -1")
    node.query("SELECT pg_reload_conf()")
    with psycopg.connect(cluster.app_dsn("pg3").replace("read-write", "any")) as reader:
        reader.execute("SELECT count(*) FROM ledger")  # and its transaction stays open
        cluster.node("pg1").query("TRUNCATE ledger", database="app")
        waits = "SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'startup'"
        assert processes.wait_until(lambda: tried.sql_of("pg3", waits) == "relation", timeout_s=5)
        await tried.lock()
        done = await tried.ok("detach", DETACH)
        assert "ended sessions that held up replay" in done.detail
        assert receivers(tried) == [0, 0]
        with pytest.raises(psycopg.OperationalError):
            reader.execute("SELECT 1")


async def test_a_delayed_standby_does_not_count_and_is_left_alone(calm: Cluster, bench: BenchFactory) -> None:
    cluster = calm
    tried = bench(cluster)
    cluster.node("pg3").query("ALTER SYSTEM SET recovery_min_apply_delay = '1h'")
    cluster.node("pg3").query("SELECT pg_reload_conf()")
    await tried.lock()
    result = await tried.run("detach", DETACH)
    assert result.outcome is StepState.FAILED
    assert "recovery_min_apply_delay" in result.output["left_out"]["pg3"]
    assert receivers(tried) == [0, 1]
    assert (await tried.undo(DETACH)).outcome is StepState.SUCCEEDED
    cluster.wait_streaming("pg1", {"pg2"})


async def test_a_conninfo_with_a_password_is_refused_and_shown_nowhere(
    calm: Cluster, bench: BenchFactory
) -> None:
    cluster = calm
    tried = bench(cluster)
    node = cluster.node("pg3")
    text = node.query("SHOW primary_conninfo")[0][0] + " password=hunter2"
    node.query(f"ALTER SYSTEM SET primary_conninfo = '{text}'")
    node.query("SELECT pg_reload_conf()")
    await tried.lock()
    result = await tried.run("detach", DETACH)
    assert result.outcome is StepState.FAILED
    assert "password" in result.output["left_out"]["pg3"]
    assert "hunter2" not in str(result)
    await tried.undo(DETACH)
    assert "hunter2" in tried.sql_of("pg3", "SHOW primary_conninfo")  # it was not touched


async def test_a_standby_that_does_not_answer_is_not_waited_for_once_there_are_enough(
    calm: Cluster, bench: BenchFactory
) -> None:
    cluster = calm
    tried = bench(cluster)
    tried.ctx.vars["settings"] = ["ANY 2 (pg2, pg3)"]
    await tried.lock()
    cluster.node("pg3").stop_tree()
    wake = threading.Timer(8, cluster.node("pg3").cont_tree)
    wake.start()
    began_s = time.monotonic()
    done = await tried.ok("detach", DETACH, timeout_s=5.0)
    assert time.monotonic() - began_s < 4.0  # of the 5 that it had
    assert done.output["detached"] == ["pg2"]
    assert "pg3" in done.output["left_out"]
    wake.cancel()
    cluster.node("pg3").cont_tree()
