"""POSTGRESQL P1 to P4, P11, P12: the proof, the candidate, its names, its promotion."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest

from controller.demo import processes
from controller.demo.cluster import Cluster
from model.execution import Effect, StepState
from runbooks.actions.base import ActionOptions
from runbooks.actions.inputs import preference
from runbooks.actions.postgresql.catch_up import CatchUp
from runbooks.actions.postgresql.detach import Detach
from runbooks.actions.postgresql.last_look import LastLook, LastLookOptions
from runbooks.actions.postgresql.promote import Promote
from runbooks.actions.postgresql.prove import Prove, ProveOptions
from runbooks.actions.postgresql.repoint import Repoint
from runbooks.actions.postgresql.set_names import SetNames
from runbooks.actions.postgresql.single_copy import SingleCopy
from runbooks.actions.postgresql.still_silent import StillSilent
from tests.action_bench import ActionBench
from tests.actions.conftest import BenchFactory

pytestmark = pytest.mark.postgres
NONE = ActionOptions()
PROVE = Prove(ProveOptions())


async def detached(made: ActionBench) -> ActionBench:
    await made.lock()
    await made.ok("detach", Detach(NONE))
    return made


async def test_the_output_is_what_the_evidence_reads(calm: Cluster, bench: BenchFactory) -> None:
    made = await detached(bench(calm))
    output = (await made.ok("prove", PROVE)).output
    assert (output["complete"], output["candidate"], output["source"]) == (True, "pg2", None)
    assert (output["method"], output["k"], output["n"], output["needed"]) == ("ANY", 1, 2, 2)
    assert output["setting"] == "ANY 1 (pg2, pg3)"
    assert output["readable"] == ["pg2", "pg3"]
    assert output["positions"]["pg2"].keys() == {"system_identifier", "timeline", "lsn"}
    assert output["excluded"] == {}
    assert "fsync is off on pg2" in output["weak"][0]  # as the tests' servers have it


async def test_members_are_ranked_as_the_gate_ranks_them(calm: Cluster, bench: BenchFactory) -> None:
    """After those that did not just lose the primary's role, and still before the DR site."""
    ctx = bench(calm).ctx
    near, far = ctx.service.members["pg2"], ctx.service.members["pg3"]
    before = preference(ctx, near)
    ctx.vars["returning"] = ["pg2"]
    assert before < preference(ctx, near) < preference(ctx, far)


async def test_an_attached_standby_does_not_count(calm: Cluster, bench: BenchFactory) -> None:
    made = bench(calm)
    await made.lock()
    result = await made.run("prove", PROVE)
    assert result.outcome is StepState.FAILED
    assert "has not dropped the old primary" in result.output["excluded"]["pg2"]


async def test_each_setting_that_may_have_been_in_force_must_be_satisfied(
    calm: Cluster, bench: BenchFactory
) -> None:
    made = bench(calm)
    made.sql.unreachable.add("pg3")
    made.ctx.vars["settings"] = ["ANY 2 (pg2, pg3)"]
    await detached(made)
    assert (await made.ok("prove", PROVE)).output["complete"] is True
    made.ctx.vars["settings"] = ["ANY 1 (pg2, pg3)", "ANY 2 (pg2, pg3)"]
    result = await made.run("prove", PROVE)
    assert (result.outcome, result.output["complete"]) == (StepState.FAILED, False)
    made.ctx.vars["settings"] = []
    assert (await made.run("prove", PROVE)).outcome is StepState.FAILED


async def test_a_person_may_override_the_proof_and_it_shows(calm: Cluster, bench: BenchFactory) -> None:
    made = await detached(bench(calm))
    made.ctx.vars |= {"settings": ["ANY 1 (*)"], "overrides": ["S3"]}
    result = await made.ok("prove", PROVE)
    assert (result.output["complete"], result.output["overridden"]) == (False, True)


async def test_a_member_below_its_own_high_water_mark_does_not_count(
    calm: Cluster, bench: BenchFactory
) -> None:
    made = await detached(bench(calm))
    made.ctx.vars["high_water"] = {"pg3": {"timeline": 1, "lsn": 1 << 60}}
    result = await made.run("prove", PROVE)
    assert result.outcome is StepState.FAILED
    assert "high-water mark" in result.output["excluded"]["pg3"]


async def test_who_may_not_be_promoted_still_counts(calm: Cluster, bench: BenchFactory) -> None:
    made = await detached(bench(calm, pg2={"excluded": True}))
    output = (await made.ok("prove", PROVE)).output
    assert (output["complete"], output["candidate"]) == (True, "pg3")
    made.ctx.vars["no_room"] = ["pg3"]
    result = await made.run("prove", PROVE)
    assert (result.outcome, result.output["complete"]) == (StepState.FAILED, True)
    made.ctx.vars.update(no_room=[], not_asked=["pg3"])
    result = await made.run("prove", PROVE)
    assert (result.outcome, result.output["complete"]) == (StepState.FAILED, True)
    assert "S9" in result.detail
    made.ctx.vars.update(returning=["pg3"])
    result = await made.run("prove", PROVE)
    assert "S8" in result.detail


async def test_a_candidate_that_a_person_named_is_never_replaced(calm: Cluster, bench: BenchFactory) -> None:
    by_itself = bench(calm, pg3={"excluded": True})
    by_itself.ctx.vars["candidate"] = "pg3"
    await detached(by_itself)
    assert (await by_itself.ok("prove", PROVE)).output["candidate"] == "pg2"
    by_itself.ctx.actor = "wang"
    assert (await by_itself.run("prove", PROVE)).outcome is StepState.FAILED


async def test_names_are_set_on_the_candidate_for_those_who_remain_and_set_back(
    calm: Cluster, bench: BenchFactory
) -> None:
    made = await detached(bench(calm))
    await made.ok("prove", PROVE)
    names = SetNames(NONE)
    result = await made.ok("names", names)
    assert result.output["setting"] == 'ANY 1 ("pg3")'
    assert made.sql_of("pg2", "SHOW synchronous_standby_names") == 'ANY 1 ("pg3")'
    assert (await made.check(names)).effect is Effect.DONE
    assert (await made.undo(names)).outcome is StepState.SUCCEEDED
    show = "SHOW synchronous_standby_names"
    assert processes.wait_until(lambda: made.sql_of("pg2", show) == "", timeout_s=2)


@pytest.mark.parametrize("answer", ["alive", "starting", "silent", "refused"])
async def test_whoever_answers_is_not_dead(calm: Cluster, bench: BenchFactory, answer: str) -> None:
    made = bench(calm)
    primary = calm.node("pg1")
    match answer:
        case "starting":
            primary.stop("immediate")
            primary.spawn()
        case "silent":
            primary.stop_tree()
        case "refused":
            primary.stop()
    result = await made.run("last_look", LastLook(LastLookOptions(patience_ms=500)))
    if answer in ("silent", "refused"):
        assert (result.outcome, result.output["answer"]) == (StepState.SUCCEEDED, answer)
    elif result.outcome is StepState.FAILED:
        assert result.output["answer"] == "alive"
    else:
        assert answer == "starting"  # looked before it listened
    primary.cont_tree()
    if not primary.running():
        primary.start()
    primary.wait_ready()


@pytest.mark.parametrize("version", [18, 15])
async def test_a_candidate_that_is_behind_streams_what_it_lacks_before_it_is_promoted(
    small: Callable[[int], Cluster], bench: BenchFactory, version: int
) -> None:
    cluster = small(version)
    primary, behind = cluster.node("pg1"), cluster.node("pg2")
    behind.query("ALTER SYSTEM SET primary_conninfo = ''")
    behind.query("SELECT pg_reload_conf()")
    gone = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walreceiver'"
    assert processes.wait_until(lambda: behind.query(gone)[0][0] == 0, timeout_s=5)
    primary.query("INSERT INTO ledger SELECT 7, n, now() FROM generate_series(1, 20000) n", database="app")
    cluster.wait_streaming("pg1", {"pg3"})
    primary.kill_tree()
    made = await detached(bench(cluster))
    proof = await made.ok("prove", PROVE)
    assert (proof.output["candidate"], proof.output["source"]) == ("pg2", "pg3")
    catch_up = CatchUp(NONE)
    assert (await made.check(catch_up)).effect is Effect.NOT_DONE
    caught = await made.ok("catch_up", catch_up)
    assert caught.output["lsn"] >= proof.output["positions"]["pg3"]["lsn"]
    assert (await made.check(catch_up)).effect is Effect.DONE
    await made.ok("names", SetNames(NONE))
    await made.ok("final_look", LastLook(LastLookOptions(still_detached=True)))
    promote = Promote(NONE)
    promoted = await made.ok("promote", promote)
    assert (promoted.output["member"], promoted.output["timeline"]) == ("pg2", 2)
    assert (await made.check(promote)).effect is Effect.DONE
    repoint = Repoint(NONE)
    assert (await made.ok("repoint", repoint)).output["attached"] == ["pg3"]
    assert (await made.check(repoint)).effect is Effect.DONE
    rows = "SELECT count(*) FROM ledger WHERE writer = 7"
    assert made.sql_of("pg2", rows, database="app") == 20000


async def test_a_restart_without_a_primary_changes_no_position(
    small: Callable[[int], Cluster], bench: BenchFactory
) -> None:
    """P3: pg_last_wal_receive_lsn() begins anew; what counts is what is there."""
    cluster = small(18)
    primary, restarted = cluster.node("pg1"), cluster.node("pg3")
    primary.query("INSERT INTO ledger SELECT 7, n, now() FROM generate_series(1, 3000) n", database="app")
    cluster.wait_streaming("pg1", {"pg2", "pg3"})
    primary.kill_tree()
    true_lsn = restarted.query("SELECT pg_last_wal_replay_lsn() - '0/0'::pg_lsn")[0][0]
    restarted.stop()
    restarted.start()
    assert processes.wait_until(lambda: restarted.in_recovery() is True, timeout_s=10)
    made = await detached(bench(cluster))
    proof = await made.ok("prove", PROVE)
    assert proof.output["positions"]["pg3"]["lsn"] <= proof.output["positions"]["pg2"]["lsn"]
    assert proof.output["positions"]["pg3"]["lsn"] == int(true_lsn)


async def test_a_promotion_that_does_not_end_in_time_is_unknown_and_never_failed(
    small: Callable[[int], Cluster], bench: BenchFactory
) -> None:
    """P12. Its startup process stands still, so that the promotion can't get on."""
    cluster = small(18)
    made = await detached(bench(cluster))
    await made.ok("prove", PROVE)
    startup = int(made.sql_of("pg2", "SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'"))
    os.kill(startup, signal.SIGSTOP)
    promote = Promote(NONE)
    result = await made.run("promote", promote, timeout_s=2.0)
    assert result.outcome is StepState.UNKNOWN
    assert "nobody else" in result.detail
    assert (await made.check(promote)).effect is Effect.NOT_DONE
    os.kill(startup, signal.SIGCONT)
    assert processes.wait_until(lambda: cluster.node("pg2").in_recovery() is False, timeout_s=5)
    assert (await made.check(promote)).effect is Effect.DONE
    # Now that somebody is promoted, nothing is re-attached any more (P6).
    undone = await made.undo(Detach(NONE))
    assert undone.outcome is StepState.FAILED
    assert "promoted" in undone.detail


async def test_a_promotion_is_not_issued_to_a_standby_that_replays_late_on_purpose(
    calm: Cluster, bench: BenchFactory
) -> None:
    made = await detached(bench(calm))
    await made.ok("prove", PROVE)
    calm.node("pg2").query("ALTER SYSTEM SET recovery_min_apply_delay = '1h'")
    calm.node("pg2").query("SELECT pg_reload_conf()")
    result = await made.run("promote", Promote(NONE))
    assert (result.outcome, "recovery_min_apply_delay" in result.detail) == (StepState.FAILED, True)
    assert calm.node("pg2").in_recovery() is True


async def test_replay_that_was_paused_meanwhile_is_resumed_for_the_promotion(
    small: Callable[[int], Cluster], bench: BenchFactory
) -> None:
    cluster = small(18)
    made = await detached(bench(cluster))
    await made.ok("prove", PROVE)
    cluster.node("pg2").query("SELECT pg_wal_replay_pause()")
    await made.ok("promote", Promote(NONE))
    assert cluster.node("pg2").in_recovery() is False


async def test_a_session_that_holds_up_replay_when_the_candidate_is_promoted_is_ended(
    small: Callable[[int], Cluster], bench: BenchFactory
) -> None:
    """P12: else the candidate promotes itself when that session happens to end."""
    cluster = small(18)
    node = cluster.node("pg2")
    node.query("ALTER SYSTEM SET max_standby_streaming_delay = -1")
    node.query("ALTER SYSTEM SET max_standby_archive_delay = -1")
    node.query("SELECT pg_reload_conf()")
    made = bench(cluster)
    with psycopg.connect(cluster.app_dsn("pg2").replace("read-write", "any")) as reader:
        node.query("SELECT pg_wal_replay_pause()")
        reader.execute("SELECT count(*) FROM ledger")  # and its transaction stays open
        cluster.node("pg1").query("TRUNCATE ledger", database="app")
        caught_up = "SELECT pg_last_wal_receive_lsn() >= $$" + str(
            cluster.node("pg1").query("SELECT pg_current_wal_flush_lsn()")[0][0]
        )
        assert processes.wait_until(lambda: made.sql_of("pg2", caught_up + "$$::pg_lsn"), timeout_s=5)
        cluster.node("pg1").kill_tree()
        made.ctx.vars["steps"] |= {"prove": {"candidate": "pg2"}}
        await made.lock()
        node.query("SELECT pg_wal_replay_resume()")
        await made.ok("promote", Promote(NONE), timeout_s=10)
        with pytest.raises(psycopg.OperationalError):
            reader.execute("SELECT 1")
    assert node.in_recovery() is False


async def test_nobody_is_promoted_under_fewer_locks_than_the_proof_needs(
    calm: Cluster, bench: BenchFactory
) -> None:
    """P7: after a restart the locks are repeated with whom there is; a promotion counts them again."""
    made = bench(calm)
    made.ctx.vars["steps"] |= {"lock": {"enough": True}, "prove": {"candidate": "pg2"}}
    made.sql.unreachable.add("pg3")
    assert (await made.lock()).output["locked"] == ["pg2"]
    result = await made.run("promote", Promote(NONE))
    assert (result.outcome, "too few" in result.detail) == (StepState.FAILED, True)
    assert calm.node("pg2").in_recovery() is True


@pytest.mark.parametrize("policy", ["block", "degrade"])
async def test_with_nobody_left_commits_wait_or_go_on_as_the_estate_says(
    small: Callable[[int], Cluster], bench: BenchFactory, policy: str
) -> None:
    cluster = small(18)
    made = bench(cluster, postgresql={"when_single_copy": policy, "reattach_wait": "0.2s"})
    made.ctx.vars["settings"] = ["ANY 2 (pg2, pg3)"]
    cluster.node("pg3").kill_tree()
    cluster.node("pg1").kill_tree()
    await detached(made)
    await made.ok("prove", PROVE)
    assert (await made.ok("names", SetNames(NONE))).output["setting"] == "ANY 2 (pg2, pg3)"
    await made.ok("promote", Promote(NONE))
    result = await made.ok("single_copy", SingleCopy(NONE))
    assert result.output["degraded"] is (policy == "degrade")
    left = made.sql_of("pg2", "SHOW synchronous_standby_names")
    assert left == ("" if policy == "degrade" else "ANY 2 (pg2, pg3)")


async def test_an_answer_to_the_probes_since_the_first_look_ends_the_failover_too(
    calm: Cluster, bench: BenchFactory
) -> None:
    """Its own session may be too slow on a long line."""
    made = bench(calm)
    clock = made.ctx.ports.clock
    calm.node("pg1").stop_tree()
    try:
        look = LastLook(LastLookOptions(patience_ms=50))
        made.ctx.ports = replace(made.ctx.ports, answered_s=lambda _service, _member: before_s)
        before_s = clock.monotonic_s()
        assert (await made.ok("last_look", look)).output["answer"] == "silent"
        made.ctx.ports = replace(made.ctx.ports, answered_s=lambda _service, _member: clock.monotonic_s())
        again = await made.run("final_look", look)
        assert (again.outcome, again.output["answer"]) == (StepState.FAILED, "alive")
        # And as the last thing before the point of no return.
        silent = StillSilent(NONE)
        assert (await made.run("still_silent", silent)).outcome is StepState.FAILED
        made.ctx.ports = replace(made.ctx.ports, answered_s=lambda _service, _member: before_s)
        await made.ok("still_silent", silent)
    finally:
        calm.node("pg1").cont_tree()
