"""POSTGRESQL P17 and the shipped runbooks as a whole: fail over, come back, nothing is lost."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from controller.demo import processes
from controller.demo.client import ClientProcess
from controller.demo.cluster import Cluster
from controller.demo.guard import GuardWatch
from controller.demo.verdict import judge, read_log
from model.errors import NodeAccessError
from model.execution import ExecutionState, StepState
from runbooks.actions.postgresql import moving
from runbooks.actions.postgresql.base_backup import BaseBackup
from runbooks.actions.postgresql.fence import Fence, FenceOptions
from runbooks.actions.postgresql.lock import Lock, LockOptions
from runbooks.actions.postgresql.rejoining import RejoinOptions, passfile_env
from runbooks.actions.postgresql.rewind import Rewind
from runbooks.actions.postgresql.server import Server
from runbooks.actions.postgresql.start import Start
from tests.action_bench import ActionBench
from tests.actions.conftest import BenchFactory

pytestmark = pytest.mark.postgres
DIVERGENT = "SELECT count(*) FROM ledger WHERE writer = 99"


def write_what_nobody_else_has(cluster: Cluster) -> None:
    """Rows on pg1, committed locally while no standby streamed; then it crashes."""
    primary = cluster.node("pg1")
    for name in ("pg2", "pg3"):
        cluster.node(name).query("ALTER SYSTEM SET primary_conninfo = ''")
        cluster.node(name).query("SELECT pg_reload_conf()")
    alone = "SELECT count(*) FROM pg_stat_replication"
    assert processes.wait_until(lambda: primary.query(alone)[0][0] == 0, timeout_s=5)
    primary.query("INSERT INTO ledger SELECT 99, n, now() FROM generate_series(1, 5) n", database="app")
    primary.query("CHECKPOINT")
    primary.kill_tree()


@pytest.mark.parametrize("version", [18, 15])
async def test_a_crashed_primary_is_replaced_and_comes_back_without_its_divergent_rows(
    small: Callable[[int], Cluster], bench: BenchFactory, client: Callable[[Cluster], ClientProcess],
    version: int,
) -> None:  # fmt: skip
    cluster = small(version)
    made = bench(cluster)
    writer, watch = client(cluster), GuardWatch(cluster)
    watch.start()
    write_what_nobody_else_has(cluster)
    at_ns = time.monotonic_ns()
    result = await made.runbook("postgresql-failover", last_acked_canary=0)
    assert result.state is ExecutionState.SUCCEEDED, result
    assert result.outputs["fence"]["old_primary"] == "stopped"
    assert result.outputs["verify"]["canary_written"] == 1
    assert made.sql_of("pg2", "SHOW synchronous_standby_names") == 'ANY 1 ("pg3")'
    writer.wait_writes(50)
    back = await made.runbook("postgresql-rejoin", member="pg1", primary="pg2")
    assert back.state is ExecutionState.SUCCEEDED, back
    assert back.outputs["rewind"]["rewound"] is True
    assert "copy" not in back.outputs or not back.outputs["copy"]
    cluster.wait_streaming("pg2", {"pg1", "pg3"})
    assert made.sql_of("pg1", DIVERGENT, database="app") == 0
    assert made.sql_of("pg1", "SHOW default_transaction_read_only") == "off"
    assert "application_name=pg1" in made.sql_of("pg1", "SHOW primary_conninfo")
    assert made.sql_of("pg2", "SHOW synchronous_standby_names") == 'ANY 1 ("pg3", "pg1")'
    verdict = judge(writer.stop(), cluster.node("pg2").dsn("app"), after_ns=at_ns)
    watch.stop()
    assert verdict.lost == 0
    assert watch.verdict(read_log(writer.log).acks, since_ns=at_ns).unguarded == 0


async def test_a_failover_whose_primary_answers_is_taken_back(
    calm: Cluster, bench: BenchFactory, client: Callable[[Cluster], ClientProcess]
) -> None:
    made = bench(calm)
    writer = client(calm)
    result = await made.runbook("postgresql-failover")
    assert result.state is ExecutionState.UNDONE, result
    assert "pg1 answers" in result.reason
    writer.wait_writes(20)
    assert [made.sql_of(m, "SELECT pg_is_in_recovery()") for m in ("pg2", "pg3")] == [True, True]


async def test_a_failover_without_proof_gives_the_primary_its_writes_back(
    calm: Cluster, bench: BenchFactory, client: Callable[[Cluster], ClientProcess]
) -> None:
    made = bench(calm)
    writer = client(calm)
    marks = {m: {"timeline": 1, "lsn": 1 << 60} for m in ("pg2", "pg3")}
    # The primary is healthy, and only this controller can't reach it.
    made.sql.unreachable.add("pg1")
    result = await made.runbook("postgresql-failover", high_water=marks)
    assert result.state is ExecutionState.UNDONE, result
    writer.wait_writes(20, timeout_s=3.0)
    calm.wait_streaming("pg1", {"pg2", "pg3"})


async def test_a_detached_standby_comes_back_without_being_stopped(
    calm: Cluster, bench: BenchFactory
) -> None:
    made = bench(calm)
    node = calm.node("pg3")
    postmaster = node.pids()[0]
    node.query("ALTER SYSTEM SET primary_conninfo = ''")
    node.query("SELECT pg_reload_conf()")
    result = await made.runbook("postgresql-rejoin", member="pg3", primary="pg1")
    assert result.state is ExecutionState.SUCCEEDED, result
    assert node.pids()[0] == postmaster
    calm.wait_streaming("pg1", {"pg2", "pg3"})


def without_pg_rewind(cluster: Cluster) -> Path:
    """The server's programs, with a pg_rewind that can't."""
    programs = cluster.base / "programs"
    tree = cluster.node("pg1").bin_dir.parent
    shutil.copytree(tree / "bin", programs / "bin", symlinks=True)
    for part in tree.iterdir():
        if part.name != "bin":
            (programs / part.name).symlink_to(part)
    broken = programs / "bin" / "pg_rewind"
    broken.unlink()
    broken.write_text("#!/bin/sh\necho 'could not find common ancestor' >&2\nexit 1\n")
    broken.chmod(0o755)
    return programs / "bin"


async def test_where_a_rewind_is_impossible_a_new_copy_is_made_beside_the_old_one(
    small: Callable[[int], Cluster], bench: BenchFactory
) -> None:
    cluster = small(15)  # its programs find their libraries wherever they are
    made = bench(cluster, pg1={"bin_dir": str(without_pg_rewind(cluster))})
    write_what_nobody_else_has(cluster)
    assert (await made.runbook("postgresql-failover")).state is ExecutionState.SUCCEEDED
    back = await made.runbook("postgresql-rejoin", member="pg1", primary="pg2")
    assert back.state is ExecutionState.SUCCEEDED, back
    assert back.outputs["rewind"]["rewound"] is False
    assert back.outputs["copy"]["old_copy"].endswith("data.bcm-old")
    cluster.wait_streaming("pg2", {"pg1", "pg3"})
    assert made.sql_of("pg1", DIVERGENT, database="app") == 0
    assert not list(cluster.node("pg1").home.glob("data.bcm-*"))


async def test_who_starts_by_hand_what_could_not_be_brought_back_gets_no_second_primary(
    small: Callable[[int], Cluster], bench: BenchFactory
) -> None:
    cluster = small(15)
    made = bench(cluster, pg1={"bin_dir": str(without_pg_rewind(cluster))})
    write_what_nobody_else_has(cluster)
    assert (await made.runbook("postgresql-failover")).state is ExecutionState.SUCCEEDED
    node = cluster.node("pg1")
    node.data_dir.with_name("data.bcm-old").mkdir()
    back = await made.runbook("postgresql-rejoin", member="pg1", primary="pg2")
    assert (back.state, "still there from before" in back.reason) == (ExecutionState.FAILED, True)
    node.start()
    assert made.sql_of("pg1", "SELECT pg_is_in_recovery()") is True


@pytest.mark.parametrize("version", [18, 15])
async def test_whoever_starts_by_hand_what_was_just_rewound_gets_no_second_primary(
    small: Callable[[int], Cluster], bench: BenchFactory, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    """Also where the node can't be reached any more after pg_rewind: with the new primary's data it would be
    a second one, on the same timeline."""
    cluster = small(version)
    made = bench(cluster)
    write_what_nobody_else_has(cluster)
    assert (await made.runbook("postgresql-failover")).state is ExecutionState.SUCCEEDED
    cluster.node("pg2").query("CHECKPOINT")
    made.ctx.vars |= {"member": "pg1", "primary": "pg2"}
    made.ctx.vars["steps"] = {}
    await made.ok("lock", Lock(LockOptions(members=("pg2",), quorum=False)))

    async def cut_off(_server: Server, path: str, _text: str) -> None:
        raise NodeAccessError("cut off by the test", where=path)

    monkeypatch.setattr(Server, "write_text", cut_off)
    rewound = await made.run("rewind", Rewind(RejoinOptions()), timeout_s=60)
    assert (rewound.outcome, "cut off" in rewound.detail) == (StepState.FAILED, True)
    cluster.node("pg1").start()
    assert made.sql_of("pg1", "SELECT pg_is_in_recovery()") is True
    assert made.sql_of("pg1", DIVERGENT, database="app") == 0


async def test_whoever_may_be_the_real_primary_is_held(
    small: Callable[[int], Cluster], bench: BenchFactory
) -> None:
    """On a newer timeline, or the named primary is none: nothing is stopped and nothing is changed."""
    cluster = small(18)
    made = bench(cluster)
    cluster.node("pg2").query("SELECT pg_promote()")
    newer = await made.runbook("postgresql-rejoin", member="pg2", primary="pg1")
    assert newer.state is ExecutionState.FAILED
    assert "it is on timeline 2, pg1 on 1" in newer.reason
    no_primary = await made.runbook("postgresql-rejoin", member="pg1", primary="pg3")
    assert "pg3 is no primary" in no_primary.reason
    itself = await made.runbook("postgresql-rejoin", member="pg1", primary="pg1")
    assert "can't follow itself" in itself.reason
    assert all(node.running() for node in cluster.nodes)
    assert made.sql_of("pg1", "SHOW default_transaction_read_only") == "off"


async def stopped(made: ActionBench) -> ActionBench:
    made.ctx.vars |= {"member": "pg3", "primary": "pg1"}
    await made.lock(members=(), required=("pg1",), quorum=False)
    await made.ok("fence", Fence(FenceOptions(member="pg3", must="stopped", settle_ms=0)), timeout_s=15)
    return made


async def test_an_empty_or_strange_member_is_held_and_not_touched(
    calm: Cluster, bench: BenchFactory, tmp_path: Path
) -> None:
    made = await stopped(bench(calm))
    node = calm.node("pg3")
    aside = node.data_dir.with_name("aside")
    node.data_dir.rename(aside)
    try:
        node.data_dir.mkdir(mode=0o700)
        shutil.chown(node.data_dir, node.account.uid, node.account.gid)
        empty = await made.run("rewind", Rewind(RejoinOptions()), timeout_s=10)
        assert (empty.outcome, "no data directory" in empty.detail) == (StepState.FAILED, True)
        assert not list(node.data_dir.iterdir())
        node.run("initdb", "--no-sync", "-A", "trust", "-D", node.data_dir)
        strange = await made.run("rewind", Rewind(RejoinOptions()), timeout_s=10)
        assert (strange.outcome, "another system" in strange.detail) == (StepState.FAILED, True)
    finally:
        shutil.rmtree(node.data_dir)
        aside.rename(node.data_dir)
        node.start()


async def test_a_stopped_member_is_never_started_as_a_primary(calm: Cluster, bench: BenchFactory) -> None:
    made = await stopped(bench(calm))
    node = calm.node("pg3")
    signal_file = node.data_dir / "standby.signal"
    signal_file.unlink()
    result = await made.run("start", Start(RejoinOptions()), timeout_s=10)
    assert (result.outcome, node.running()) == (StepState.FAILED, False)
    signal_file.touch()
    shutil.chown(signal_file, node.account.uid, node.account.gid)
    node.start()


async def test_how_far_a_base_backup_is_can_be_told_while_it_works(
    calm: Cluster, bench: BenchFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow one (limited to 32 kB/s) that moves all the time; its measure grows, and only its own counts."""
    made = bench(calm)
    server = Server(made.ctx, made.ctx.pg.members["pg2"])
    backup = BaseBackup(RejoinOptions(member="pg2", primary="pg1"))
    argv = [*backup._command(made.ctx, server), "--max-rate=32k"]
    told: list[int] = []
    monkeypatch.setattr(moving, "_LOOK_EVERY_S", 0.2)
    made.ctx.moved = told.append
    working = asyncio.create_task(
        moving.while_moving(
            made.ctx, server, "pg_basebackup", server.run(argv, timeout_s=60, env=passfile_env(server.member))
        )
    )
    async with asyncio.timeout(20):
        while len(set(told)) < 3:
            await asyncio.sleep(0.05)
    assert sorted(told) == told
    assert await Server(made.ctx, made.ctx.pg.members["pg3"]).bytes_moved("pg_basebackup") is None
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    await server.run(["rm", "-rf", f"{server.member.data_dir}.bcm-new"])


async def test_what_is_out_of_sight_does_not_stand_still(
    calm: Cluster, bench: BenchFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench(calm)
    server = Server(made.ctx, made.ctx.pg.members["pg2"])
    told: list[int] = []
    monkeypatch.setattr(moving, "_LOOK_EVERY_S", 0.05)
    made.ctx.moved = told.append
    await moving.while_moving(made.ctx, server, "pg_rewind", server.run(["sleep", "0.6"]))
    assert len(told) > 1
    assert len(set(told)) == len(told)
