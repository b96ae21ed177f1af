"""MariaDB's actions on real servers: each looks at its own effect, also where the answer was lost."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator

import pytest

from controller.demo.mariadb.cluster import CONTROL
from model.execution import Effect, StepState
from runbooks.actions.base import Action
from runbooks.actions.mariadb.detach import Detach
from runbooks.actions.mariadb.fence import Fence, FenceOptions
from runbooks.actions.mariadb.follow import Follow, FollowOptions
from runbooks.actions.mariadb.last_look import LastLook, LastLookOptions
from runbooks.actions.mariadb.lock import Lock, LockOptions
from runbooks.actions.mariadb.locks import LockError, locks_of
from runbooks.actions.mariadb.promote import Promote
from runbooks.actions.mariadb.prove import Prove, ProveOptions
from runbooks.actions.mariadb.quiesce import Quiesce
from runbooks.actions.mariadb.ready import Ready, ReadyOptions
from runbooks.actions.mariadb.rights import lacking
from runbooks.actions.mariadb.semi_sync import SemiSyncOptions, SetSemiSync
from runbooks.actions.mariadb.verify_write import VerifyWrite
from tests.mariadb_bench import MariadbBench, Servers, three
from tests.pg_pair import wait_for


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with three(tmp_path_factory.mktemp("mariadb")) as made:
        yield made


@pytest.fixture
def servers(running: Servers) -> Servers:
    running.reset()
    return running


@pytest.fixture
async def made(servers: Servers) -> AsyncIterator[MariadbBench]:
    async with MariadbBench(servers) as bench:
        bench.see()
        yield bench


def lock(*members: str) -> Lock:
    return Lock(LockOptions(required=members))


def last_look() -> LastLook:
    return LastLook(LastLookOptions(patience_ms=1000))


def detach() -> Detach:
    return Detach(Detach.Options())


def prove(basis: str = "lost") -> Prove:
    return Prove(ProveOptions.model_validate({"basis": basis}))


def fence(**options: object) -> Fence:
    return Fence(FenceOptions.model_validate({"settle_ms": 0, **options}))


def promote() -> Promote:
    return Promote(Promote.Options())


def quiesce() -> Quiesce:
    return Quiesce(Quiesce.Options())


def ready() -> Ready:
    return Ready(ReadyOptions())


def follow(*members: str, **options: object) -> Follow:
    return Follow(FollowOptions.model_validate({"members": list(members), **options}))


async def effect(made: MariadbBench, action: Action) -> Effect:
    return (await made.check(action)).effect


async def detached(made: MariadbBench) -> None:
    await made.ok("lock", lock())
    await made.ok("detach", detach())


# --- whoever answers is not dead


async def test_a_primary_that_answers_ends_the_failover(made: MariadbBench, servers: Servers) -> None:
    assert (await made.run("last_look", last_look())).output["answer"] == "alive"
    servers["m1"].sql("SET GLOBAL max_connections = 10; ALTER USER bcm_monitor@'%' ACCOUNT LOCK")
    result = await made.run("last_look", last_look())
    servers["m1"].sql("SET GLOBAL max_connections = 60; ALTER USER bcm_monitor@'%' ACCOUNT UNLOCK")
    assert result.output["answer"] == "alive", "a server that lets nobody in lives"
    servers["m1"].kill(signal.SIGSTOP)
    assert (await made.ok("last_look", last_look())).output["answer"] == "silent"
    servers["m1"].kill(signal.SIGCONT)
    servers["m1"].kill()
    wait_for(lambda: not servers["m1"].running, "its end")
    assert (await made.ok("last_look", last_look())).output["answer"] == "refused"


# --- a stale controller


async def test_a_newer_controller_ends_the_session_of_an_older_one(
    made: MariadbBench, servers: Servers
) -> None:
    await made.ok("lock", lock())
    async with MariadbBench(servers, epoch=2) as newer:
        await newer.ok("lock", lock())
        assert (await made.run("detach", detach())).outcome is StepState.FAILED
        assert servers.threads("m2") == ("Yes", "Yes")
        again = await made.run("lock", lock())
        assert again.outcome is StepState.FAILED
        assert "newer controller" in again.detail
        await newer.ok("detach", detach())


async def test_who_has_lost_the_lead_locks_nothing(made: MariadbBench) -> None:
    made.lease.is_held = False
    assert (await made.run("lock", lock())).outcome is StepState.FAILED
    with pytest.raises(LockError):
        async with locks_of(made.ctx).session("m2", made.ctx.ports.clock.monotonic_s() + 1):
            pass


async def test_an_account_that_may_not_promote_is_found_before_anything_changes(
    made: MariadbBench, servers: Servers
) -> None:
    servers["m1"].sql(f"REVOKE RELOAD ON *.* FROM {CONTROL}@'%'")
    servers.wait_in_step("m1")
    result = await made.run("lock", lock())
    servers["m1"].sql(f"GRANT RELOAD ON *.* TO {CONTROL}@'%'")
    servers.wait_in_step("m1")
    assert result.outcome is StepState.FAILED
    assert "lacks RELOAD" in result.detail
    assert lacking(["GRANT ALL PRIVILEGES ON *.* TO `root`@`%`"]) == []
    assert "RELOAD" in lacking(["GRANT RELOAD ON `app`.* TO `a`@`%`"])


# --- detached and back


async def test_replicas_that_drop_the_primary_go_on_applying_and_come_back(
    made: MariadbBench, servers: Servers
) -> None:
    assert await effect(made, detach()) is Effect.NOT_DONE
    await made.ok("lock", lock())
    assert (await made.ok("detach", detach())).output["detached"] == ["m2", "m3"]
    assert await effect(made, detach()) is Effect.DONE
    assert servers.threads("m2") == ("No", "Yes")
    assert (await made.undo(detach())).outcome is StepState.SUCCEEDED
    assert (await made.undo(detach())).outcome is StepState.SUCCEEDED
    servers.write("m1", 1)
    servers.wait_in_step("m1")
    assert servers.written("m3") == [1]


async def test_a_detachment_whose_answer_was_lost_is_seen(made: MariadbBench) -> None:
    await made.ok("lock", lock())
    for name in ("m2", "m3"):
        made.mysql.deaf[name] = "STOP SLAVE IO_THREAD"
    await made.ok("lock", lock())
    assert (await made.run("detach", detach())).outcome is StepState.FAILED
    made.mysql.deaf.clear()
    assert await effect(made, detach()) is Effect.DONE


# --- the proof


async def test_what_semi_sync_proves_and_what_not(made: MariadbBench) -> None:
    await detached(made)
    proven = await made.ok("prove", prove())
    assert (proven.output["candidate"], proven.output["complete"]) == ("m2", True)
    for facts, told in (
        ({"semi_sync_active": False}, "fallen back to asynchronous"),
        ({"semi_sync_enabled": False}, "asynchronous"),
        ({"semi_sync_clients": 3}, "3 replicas acknowledged"),
        ({"semi_sync_timeout_ms": 1}, "may have fallen back"),
    ):
        made.see(**facts)
        made.ctx.vars["shown_ns"] -= 5_000_000
        result = await made.run("prove", prove())
        assert result.outcome is StepState.FAILED
        assert told in result.detail
        made.ctx.vars["must_prove"] = False
        assert (await made.ok("prove", prove())).output["complete"] is False
        made.ctx.vars["must_prove"] = True


async def test_nobody_who_acknowledged_may_be_missing(made: MariadbBench) -> None:
    await detached(made)
    made.mysql.silent.add("m3")
    result = await made.run("prove", prove())
    assert result.outcome is StepState.FAILED
    assert "m3 acknowledged writes and can't be read" in result.detail


async def test_the_furthest_takes_over_and_not_the_preferred(made: MariadbBench, servers: Servers) -> None:
    servers["m2"].sql("STOP SLAVE IO_THREAD")
    servers.write("m1", 1, 2)
    made.see()
    await detached(made)
    assert (await made.ok("prove", prove())).output["candidate"] == "m3"


async def test_one_that_was_restarted_meanwhile_may_have_thrown_away_what_it_had(made: MariadbBench) -> None:
    await detached(made)
    made.ctx.vars["shown_ns"] -= 3_600_000_000_000
    result = await made.run("prove", prove())
    assert result.outcome is StepState.FAILED
    assert "restarted" in result.output["excluded"]["m2"]


async def test_transactions_that_only_a_replica_has_are_found(made: MariadbBench, servers: Servers) -> None:
    servers["m2"].sql("INSERT INTO app.written VALUES (7, 7)")
    await detached(made)
    result = await made.run("prove", prove())
    assert "the primary never had" in result.output["excluded"]["m2"]
    assert result.outcome is StepState.FAILED, "m2 acknowledged too"


# --- the fence


async def test_a_primary_that_answers_is_closed_and_its_clients_are_ended(
    made: MariadbBench, servers: Servers
) -> None:
    await made.ok("lock", lock())
    assert await effect(made, fence()) is Effect.NOT_DONE
    assert (await made.ok("fence", fence())).output["old_primary"] == "read_only"
    assert await effect(made, fence()) is Effect.DONE
    assert servers["m1"].sql("SELECT @@read_only") == "1"
    assert (await made.undo(fence())).outcome is StepState.SUCCEEDED
    servers.write("m1", 1)


async def test_a_hung_one_is_stopped_on_its_node_or_waits_for_ever(
    made: MariadbBench, servers: Servers
) -> None:
    async with MariadbBench(servers, m1={"control": ""}) as without:
        without.see()
        await detached(without)
        servers["m1"].kill(signal.SIGSTOP)
        result = await without.ok("fence", fence())
        assert result.output["old_primary"] == "blocked"
        without.ctx.vars["shown"]["semi_sync_timeout_ms"] = 10_000
        refused = await without.run("fence", fence(), 2.0)
        assert refused.outcome is StepState.FAILED
    await made.ok("lock", lock())
    assert (await made.ok("fence", fence())).output["old_primary"] == "stopped"
    wait_for(lambda: not servers["m1"].running, "the end of its process")


async def test_one_whose_replicas_have_left_it_acknowledges_nothing(
    made: MariadbBench, servers: Servers
) -> None:
    """What `blocked` rests on, on a real server."""
    await detached(made)
    client = servers.begin("m1", "INSERT INTO app.written VALUES (1, 1)")
    wait_for(lambda: "semi-sync" in servers["m1"].sql("SHOW PROCESSLIST").lower(), "the wait for a replica")
    assert client.poll() is None
    assert (await made.undo(detach())).outcome is StepState.SUCCEEDED
    client.wait(10)
    assert client.returncode == 0


# --- the promotion


async def test_the_candidate_applies_all_that_it_has_before_it_takes_over(
    made: MariadbBench, servers: Servers
) -> None:
    servers["m2"].sql("STOP SLAVE SQL_THREAD")
    servers.write("m1", *range(1, 30))
    servers["m2"].sql("START SLAVE SQL_THREAD")
    made.see()
    await detached(made)
    await made.ok("prove", prove())
    assert await effect(made, promote()) is Effect.NOT_DONE
    assert (await made.ok("promote", promote())).output["member"] == "m2"
    assert await effect(made, promote()) is Effect.DONE
    assert servers.written("m2") == list(range(1, 30))
    assert servers.shape("m2") == {"m2": ("", "0", "1")}
    await made.ok("repoint", follow("m3", "m2"))
    assert (await made.ok("verify", VerifyWrite(VerifyWrite.Options()))).output["canary_found"] == 1


async def test_a_promotion_whose_answer_was_lost_is_seen(made: MariadbBench, servers: Servers) -> None:
    made.mysql.deaf["m2"] = "SET GLOBAL read_only = 0"
    await detached(made)
    await made.ok("prove", prove())
    assert (await made.run("promote", promote())).outcome is StepState.UNKNOWN
    made.mysql.deaf.clear()
    assert await effect(made, promote()) is Effect.DONE
    assert servers["m2"].leads()


async def test_one_that_was_begun_is_gone_on_with(made: MariadbBench, servers: Servers) -> None:
    made.mysql.deaf["m2"] = "STOP SLAVE"
    await made.ok("lock", lock())
    made.mysql.deaf["m2"] = "RESET SLAVE ALL"
    await detached(made)
    await made.ok("prove", prove())
    assert (await made.run("promote", promote())).outcome is StepState.UNKNOWN
    made.mysql.deaf.clear()
    assert await effect(made, promote()) is Effect.NOT_DONE
    await made.ok("lock", lock())
    await made.ok("promote", promote())
    assert servers["m2"].leads()


# --- who follows


async def test_an_old_primary_follows_if_all_that_it_has_is_the_new_ones(
    made: MariadbBench, servers: Servers
) -> None:
    await made.ok("lock", lock("m1", "m2"))
    await made.ok("ready", ready())
    await made.ok("quiesce", quiesce())
    assert await effect(made, quiesce()) is Effect.DONE
    await made.ok("prove", prove("closed"))
    await made.ok("promote", promote())
    assert await effect(made, follow("m1", attached="required")) is Effect.NOT_DONE
    result = await made.ok("attached", follow("m1", "m3", attached="required"))
    assert result.output["streaming"] is True
    assert await effect(made, follow("m1", attached="required")) is Effect.DONE
    assert servers.shape() == {"m1": ("m2", "1", "0"), "m2": ("", "0", "1"), "m3": ("m2", "1", "0")}


async def test_one_that_has_more_is_left_as_it_is_and_it_is_said_what(
    made: MariadbBench, servers: Servers
) -> None:
    await detached(made)
    await made.ok("prove", prove())
    await made.ok("promote", promote())
    servers["m1"].sql("SET GLOBAL rpl_semi_sync_master_enabled = 0; INSERT INTO app.written VALUES (1, 77)")
    result = await made.run("attached", follow("m1", attached="required"))
    assert result.outcome is StepState.FAILED
    assert "it has transactions that m2 never had: 0-1-" in result.output["left_out"]["m1"]
    assert servers.follows("m1") == ""


async def test_no_password_is_told_where_a_server_declines(made: MariadbBench, servers: Servers) -> None:
    servers["m3"].sql("STOP SLAVE; RESET SLAVE ALL")
    await made.ok("lock", lock("m3"))
    made.mysql.declines = "CHANGE MASTER"
    result = await made.run("attached", follow("m3", to="m1", attached="required"))
    made.mysql.declines = ""
    assert result.outcome is StepState.FAILED
    assert "CHANGE MASTER was declined" in str(result)
    assert servers.password not in str(result)


# --- planned


async def test_a_closed_primary_is_opened_again(made: MariadbBench, servers: Servers) -> None:
    await made.ok("lock", lock("m1"))
    await made.ok("quiesce", quiesce())
    assert (await made.undo(quiesce())).outcome is StepState.SUCCEEDED
    servers.write("m1", 1)


async def test_a_closing_whose_answer_was_lost_is_seen(made: MariadbBench) -> None:
    made.mysql.deaf["m1"] = "SET GLOBAL read_only = 1"
    await made.ok("lock", lock("m1"))
    assert (await made.run("quiesce", quiesce())).outcome is StepState.UNKNOWN
    made.mysql.deaf.clear()
    found = await made.check(quiesce())
    assert found.effect is Effect.DONE
    assert found.output["final_gtid"]


async def test_a_replica_that_does_not_follow_is_not_ready(made: MariadbBench, servers: Servers) -> None:
    servers["m2"].sql("STOP SLAVE")
    assert (await made.ok("ready", ready())).output["candidate"] == "m3"
    servers["m3"].sql("STOP SLAVE SQL_THREAD")
    assert (await made.run("ready", ready())).outcome is StepState.FAILED


async def test_a_primary_waits_for_replicas_or_goes_on_without(made: MariadbBench, servers: Servers) -> None:
    def semi_sync(*, waits: bool) -> SetSemiSync:
        return SetSemiSync(SemiSyncOptions(member="m1", waits=waits))

    await made.ok("lock", lock("m1"))
    assert await effect(made, semi_sync(waits=False)) is Effect.NOT_DONE
    await made.ok("single_copy", semi_sync(waits=False))
    assert await effect(made, semi_sync(waits=False)) is Effect.DONE
    await made.ok("widen", semi_sync(waits=True))
    assert await effect(made, semi_sync(waits=True)) is Effect.DONE
    assert servers["m1"].sql("SELECT @@rpl_semi_sync_master_timeout") == "86400000"
