"""A planned switch and the way back: no acknowledged row is lost, and clients only reconnect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from controller.demo.client import ClientProcess
from controller.demo.cluster import Cluster
from controller.demo.guard import GuardWatch
from controller.demo.verdict import judge, read_log
from model.execution import Effect, ExecutionState, StepState
from runbooks.actions.base import ActionOptions
from runbooks.actions.postgresql.prove import Prove, ProveOptions
from runbooks.actions.postgresql.quiesce import Quiesce
from runbooks.actions.postgresql.server import Server
from tests.actions.conftest import BenchFactory

pytestmark = pytest.mark.postgres
RECONNECTS = {"closed", "57P01", "57P03", "refused", "25006", "reset"}


SLOTS = {name: {"slot": f"slot_{name}"} for name in ("pg1", "pg2", "pg3")}
SLOT_NAMES = "SELECT coalesce(string_agg(slot_name, ' ' ORDER BY slot_name), '') FROM pg_replication_slots"


def use_slots(cluster: Cluster) -> None:
    """As an administrator sets them up: each standby has its own on the primary."""
    for name in ("pg2", "pg3"):
        cluster.node("pg1").query(f"SELECT pg_create_physical_replication_slot('slot_{name}')")
        cluster.node(name).query(f"ALTER SYSTEM SET primary_slot_name = 'slot_{name}'")
        cluster.node(name).query("SELECT pg_reload_conf()")
    cluster.wait_streaming("pg1", {"pg2", "pg3"})


@pytest.mark.parametrize(("version", "slots"), [(18, False), (15, True)])
async def test_there_and_back_nothing_is_lost(
    small: Callable[[int], Cluster], bench: BenchFactory, client: Callable[[Cluster], ClientProcess],
    version: int, slots: bool,
) -> None:  # fmt: skip
    cluster = small(version)
    made = bench(cluster, **(SLOTS if slots else {}))
    if slots:
        use_slots(cluster)
    writer, watch = client(cluster), GuardWatch(cluster)
    watch.start()
    there = await made.runbook("postgresql-switchover")
    assert there.state is ExecutionState.SUCCEEDED, there
    assert there.outputs["prove"]["complete"] is True
    assert cluster.current_primary() is cluster.node("pg2")
    cluster.wait_streaming("pg2", {"pg1", "pg3"})
    writer.wait_writes(50)
    if slots:
        assert [made.sql_of(m, SLOT_NAMES) for m in ("pg1", "pg2")] == ["", "slot_pg1 slot_pg3"]
    names = made.sql_of("pg2", "SHOW synchronous_standby_names")
    assert names == 'ANY 1 ("pg3", "pg1")'
    back = await made.runbook(
        "postgresql-failback", primary="pg2", candidate="pg1", standbys=["pg1", "pg3"], settings=[names]
    )
    assert back.state is ExecutionState.SUCCEEDED, back
    cluster.wait_streaming("pg1", {"pg2", "pg3"})
    writer.wait_writes(50)
    verdict = judge(writer.stop(), cluster.node("pg1").dsn("app"))
    watch.stop()
    assert verdict.lost == 0
    assert set(verdict.errors) <= RECONNECTS
    assert watch.verdict(read_log(writer.log).acks).unguarded == 0


async def test_a_primary_that_was_closed_takes_writes_again_when_the_switch_is_taken_back(
    calm: Cluster, bench: BenchFactory, client: Callable[[Cluster], ClientProcess]
) -> None:
    made = bench(calm)
    writer = client(calm)
    quiesce = Quiesce(ActionOptions())
    await made.lock(required=("pg1",))
    assert (await made.check(quiesce)).effect is Effect.NOT_DONE
    closed = await made.ok("quiesce", quiesce, timeout_s=20)
    assert not calm.node("pg1").running()
    assert (await made.check(quiesce)).output["final_lsn"] == closed.output["final_lsn"]
    proof = await made.ok("prove", Prove(ProveOptions(basis="stopped")))
    assert proof.output["positions"]["pg2"]["lsn"] > closed.output["final_lsn"]
    undone = await made.undo(quiesce, timeout_s=20)
    assert undone.outcome is StepState.SUCCEEDED, undone
    writer.wait_writes(20)
    calm.wait_streaming("pg1", {"pg2", "pg3"})


async def test_a_standby_that_lacks_the_last_record_is_not_promoted(
    calm: Cluster, bench: BenchFactory
) -> None:
    made = bench(calm)
    await made.lock(required=("pg1",))
    made.ctx.vars["steps"]["quiesce"] = {"final_lsn": 1 << 60}
    result = await made.run("prove", Prove(ProveOptions(basis="stopped")))
    assert result.outcome is StepState.FAILED
    assert "lacks the old primary's last record" in result.output["excluded"]["pg2"]


async def test_a_switch_does_not_begin_without_node_access_or_with_a_lagging_candidate(
    calm: Cluster, bench: BenchFactory
) -> None:
    made = bench(calm)
    made.no_access.add("node1")
    blind = await made.runbook("postgresql-switchover")
    assert blind.state is ExecutionState.UNDONE, blind
    assert "no access" in blind.reason
    made.no_access.clear()
    calm.node("pg2").query("SELECT pg_wal_replay_pause()")
    made.ctx.actor = "wang"
    held = await made.runbook("postgresql-switchover", candidate="pg2")
    assert held.state is ExecutionState.UNDONE, held
    assert "replay is paused" in held.reason
    assert calm.current_primary() is calm.node("pg1")


async def test_a_primary_that_dies_while_it_is_shut_down_is_handed_over_to_a_failover_that_loses_nothing(
    small: Callable[[int], Cluster], bench: BenchFactory, client: Callable[[Cluster], ClientProcess],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Nothing is given back to a primary that is gone; the candidate keeps the names that it was given."""
    cluster = small(18)
    made, writer = bench(cluster), client(cluster)
    pid = int((cluster.node("pg1").data_dir / "postmaster.pid").read_text().split()[0])
    monkeypatch.setattr(Server, "stop_command", lambda _self, _mode: ["kill", "-9", str(pid)])
    switch = await made.runbook("postgresql-switchover", candidate="pg2")
    assert (switch.state, switch.step) == (ExecutionState.HANDED_OVER, "quiesce"), switch
    assert switch.outputs["quiesce"] == {"lost": True}
    assert made.sql_of("pg2", "SHOW synchronous_standby_names") != ""
    monkeypatch.undo()
    failover = await made.runbook("postgresql-failover", candidate="pg2")
    assert failover.state is ExecutionState.SUCCEEDED, failover
    assert cluster.current_primary() is cluster.node("pg2")
    writer.wait_writes(50)
    verdict = judge(writer.stop(), cluster.node("pg2").dsn("app"))
    assert verdict.lost == 0


async def test_a_primary_that_does_not_stop_in_time_is_not_lost(
    calm: Cluster, bench: BenchFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench(calm)
    await made.lock(required=("pg1",))
    monkeypatch.setattr(Server, "stop_command", lambda _self, _mode: ["true"])
    result = await made.run("quiesce", Quiesce(ActionOptions()), timeout_s=0.5)
    assert (result.outcome, dict(result.output)) == (StepState.FAILED, {})


async def test_a_node_that_can_not_be_reached_is_lost_only_if_its_server_answers_nobody(
    calm: Cluster, bench: BenchFactory
) -> None:
    made = bench(calm)
    await made.lock(required=("pg1",))
    made.no_access.add("node1")
    for answered_s, lost in ((None, {}), (float("inf"), {}), (0.0, {"lost": True})):
        made.ctx.ports = replace(made.ctx.ports, answered_s=lambda _s, _m, at=answered_s: at)
        result = await made.run("quiesce", Quiesce(ActionOptions()))
        assert (result.outcome, dict(result.output)) == (StepState.FAILED, lost)
