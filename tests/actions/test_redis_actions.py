"""Redis' actions on real servers: each looks at its own effect, also where the answer was lost."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator

import pytest

from model.execution import Effect, StepState
from runbooks.actions.base import Action
from runbooks.actions.redis.demote import Demote
from runbooks.actions.redis.detach import Detach
from runbooks.actions.redis.fence import Fence, FenceOptions
from runbooks.actions.redis.follow import Follow, FollowOptions
from runbooks.actions.redis.last_look import LastLook, LastLookOptions
from runbooks.actions.redis.min_replicas import MinReplicas, MinReplicasOptions
from runbooks.actions.redis.pause_writes import PauseOptions, PauseWrites
from runbooks.actions.redis.positions import Positions, PositionsOptions
from runbooks.actions.redis.promote import Promote
from runbooks.actions.redis.ready import Ready, ReadyOptions
from runbooks.actions.redis.verify_write import VerifyWrite
from runbooks.actions.redis.wait import Wait, WaitOptions
from tests.redis_bench import RedisBench, Servers, three


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with three(tmp_path_factory.mktemp("redis")) as made:
        yield made


@pytest.fixture
def servers(running: Servers) -> Servers:
    running.reset()
    return running


@pytest.fixture
async def made(servers: Servers) -> AsyncIterator[RedisBench]:
    async with RedisBench(servers, redis={"min_replicas": 1}) as bench:
        yield bench


def last_look() -> LastLook:
    return LastLook(LastLookOptions(patience_ms=50))


def detach() -> Detach:
    return Detach(Detach.Options())


def positions(basis: str = "lost") -> Positions:
    return Positions(PositionsOptions.model_validate({"basis": basis}))


def fence(**options: object) -> Fence:
    return Fence(FenceOptions.model_validate({"settle_ms": 0, **options}))


def promote() -> Promote:
    return Promote(Promote.Options())


def pause() -> PauseWrites:
    return PauseWrites(PauseOptions(for_ms=5000))


def demote() -> Demote:
    return Demote(Demote.Options())


def min_replicas() -> MinReplicas:
    return MinReplicas(MinReplicasOptions(member="r2"))


def follow(*members: str, **options: object) -> Follow:
    return Follow(FollowOptions.model_validate({"members": list(members), **options}))


async def effect(made: RedisBench, action: Action) -> Effect:
    return (await made.check(action)).effect


# --- whoever answers is not dead


async def test_a_primary_that_answers_ends_the_failover(made: RedisBench) -> None:
    assert (await made.run("last_look", last_look())).output["answer"] == "alive"
    made.redis.silent.add("r1")
    assert (await made.ok("last_look", last_look())).output["answer"] == "silent"


async def test_a_primary_that_loads_its_data_is_alive(made: RedisBench, servers: Servers) -> None:
    """It answers LOADING, or BUSY, or that it has no room: all of it is life."""
    servers.ask("r1", "CONFIG", "SET", "maxclients", "1")
    result = await made.run("last_look", last_look())
    servers.ask("r1", "CONFIG", "SET", "maxclients", "10000")
    assert result.outcome is StepState.FAILED


async def test_one_that_is_gone_is_refused(made: RedisBench, servers: Servers) -> None:
    servers["r1"].kill()
    assert (await made.ok("last_look", last_look())).output["answer"] == "refused"


# --- detached and back


async def test_replicas_that_drop_the_primary_stay_replicas_and_come_back_without_a_copy(
    made: RedisBench, servers: Servers
) -> None:
    copies = servers.ask("r1", "INFO", "stats").count("sync_full")
    full = [line for line in servers.ask("r1", "INFO", "stats").splitlines() if "sync_full" in line]
    assert await effect(made, detach()) is Effect.NOT_DONE
    assert (await made.ok("detach", detach())).output["detached"] == ["r2", "r3"]
    assert await effect(made, detach()) is Effect.DONE
    servers.ask("r1", "SET", "written", "meanwhile")
    assert [servers.role(n) for n in ("r2", "r3")] == ["slave", "slave"]
    assert servers.ask("r2", "GET", "written") is None
    assert (await made.undo(detach())).outcome is StepState.SUCCEEDED
    assert (await made.undo(detach())).outcome is StepState.SUCCEEDED, "twice is no harm"
    servers.wait_attached("r1", 2)
    assert servers.ask("r2", "GET", "written") == "meanwhile"
    assert copies == 1
    assert full == [line for line in servers.ask("r1", "INFO", "stats").splitlines() if "sync_full" in line]


async def test_a_member_that_runs_as_a_primary_is_not_made_a_replica_by_detaching(
    made: RedisBench, servers: Servers
) -> None:
    servers.ask("r3", "REPLICAOF", "NO", "ONE")
    result = await made.ok("detach", detach())
    assert (result.output["detached"], list(result.output["unreachable"])) == (["r2"], ["r3"])
    assert servers.role("r3") == "master"
    assert (await made.ok("prove", positions())).output["readable"] == ["r2"]


# --- who takes over


async def test_the_furthest_takes_over_and_nothing_is_proven(made: RedisBench, servers: Servers) -> None:
    servers.ask("r2", "REPLICAOF", "127.0.0.1", "1")
    servers.ask("r1", "SET", "late", "1")
    await made.ok("detach", detach())
    result = await made.ok("prove", positions())
    assert (result.output["candidate"], result.output["complete"]) == ("r3", False)
    assert "acknowledges" in result.output["reason"]


async def test_a_replica_of_another_history_does_not_take_over(made: RedisBench, servers: Servers) -> None:
    made.ctx.vars["replid"] = "f" * 40
    await made.ok("detach", detach())
    result = await made.run("prove", positions())
    assert result.outcome is StepState.FAILED
    assert set(result.output["excluded"]) == {"r2", "r3"}


async def test_whoever_has_the_last_offset_of_a_closed_primary_has_everything(
    made: RedisBench, servers: Servers
) -> None:
    made.ctx.vars["candidate"] = "r2"
    await made.ok("ready", Ready(ReadyOptions()))
    servers.ask("r1", "SET", "last", "1")
    await made.ok("quiesce", pause())
    assert (await made.ok("prove", positions("closed"))).output["complete"] is True
    assert servers.ask("r2", "GET", "last") == "1"
    made.ctx.vars["steps"]["quiesce"]["final_offset"] += 1
    late = await made.run("prove", positions("closed"), timeout_s=0.1)
    assert late.outcome is StepState.FAILED


# --- fenced


async def test_a_primary_that_answers_is_closed_and_refuses_a_write(
    made: RedisBench, servers: Servers
) -> None:
    assert await effect(made, fence()) is Effect.NOT_DONE
    assert (await made.ok("fence", fence())).output["old_primary"] == "read_only"
    assert servers.refusal("r1", "SET", "a", "1") == "NOREPLICAS"
    assert await effect(made, fence()) is Effect.DONE
    assert (await made.undo(fence())).outcome is StepState.SUCCEEDED
    assert servers.refusal("r1", "SET", "a", "1") == ""
    assert servers.ask("r1", "CONFIG", "GET", "min-replicas-to-write")[1] == "1", "as the estate has it"


async def test_a_replica_that_may_be_written_to_is_not_fenced_by_its_role(
    made: RedisBench, servers: Servers
) -> None:
    made.ctx.vars["candidate"] = "r2"
    servers.ask("r1", "CONFIG", "SET", "replica-read-only", "no")
    result = await made.run("demote", demote())
    servers.ask("r1", "CONFIG", "SET", "replica-read-only", "yes")
    assert (result.outcome, "replica-read-only" in result.detail) == (StepState.FAILED, True)


async def test_one_that_is_gone_is_fenced_once_it_has_stayed_away(made: RedisBench, servers: Servers) -> None:
    servers["r1"].kill()
    assert (await made.ok("fence", fence(settle_ms=60))).output["old_primary"] == "gone"
    assert await effect(made, fence()) is Effect.DONE


async def test_one_that_hangs_is_killed_on_its_node(made: RedisBench, servers: Servers) -> None:
    servers["r1"].send(signal.SIGSTOP)
    result = await made.ok("fence", fence())
    assert result.output["old_primary"] == "stopped"
    assert not servers["r1"].running


async def test_one_that_hangs_and_can_not_be_stopped_is_not_fenced(servers: Servers) -> None:
    async with RedisBench(servers, r1={"control": ""}) as made:
        servers["r1"].send(signal.SIGSTOP)
        result = await made.run("fence", fence(), timeout_s=0.8)
        servers["r1"].send(signal.SIGCONT)
        assert (result.outcome, result.output["old_primary"]) == (StepState.FAILED, "unreachable")


async def test_a_primary_that_answers_before_the_promotion_is_not_dead(
    made: RedisBench, servers: Servers
) -> None:
    result = await made.run("fence", fence(alive="refuse"))
    assert (result.outcome, "not dead" in result.detail) == (StepState.FAILED, True)
    assert servers.refusal("r1", "SET", "a", "1") == "", "nothing was changed"
    made.ctx.vars["overrides"] = ["S6"]
    assert (await made.ok("fence", fence(alive="refuse"))).output["old_primary"] == "read_only"


async def test_replicas_are_not_given_back_to_a_primary_that_came_back_empty(
    made: RedisBench, servers: Servers
) -> None:
    await made.ok("detach", detach())
    servers.ask("r1", "FLUSHALL")
    assert (await made.undo(detach())).outcome is StepState.UNKNOWN
    assert [servers.ask(n, "GET", "kept") for n in ("r2", "r3")] == ["1", "1"]


async def test_a_controller_that_lost_the_lead_fences_nobody(made: RedisBench, servers: Servers) -> None:
    made.lease.is_held = False
    assert (await made.run("fence", fence())).outcome is StepState.FAILED
    assert servers.refusal("r1", "SET", "a", "1") == ""


# --- promoted, and followed


async def test_a_promotion_whose_answer_was_lost_is_unknown_and_found_done(
    made: RedisBench, servers: Servers
) -> None:
    made.ctx.vars["candidate"] = "r2"
    assert await effect(made, promote()) is Effect.NOT_DONE
    real = made.redis.ask

    async def deaf(service: str, target: str, commands: object, **more: object) -> object:
        made.redis.deaf = {"r2"} if "REPLICAOF" in str(commands) else set()
        return await real(service, target, commands, **more)  # type: ignore[arg-type]

    made.redis.ask = deaf  # type: ignore[assignment,method-assign]
    assert (await made.run("promote", promote())).outcome is StepState.UNKNOWN
    assert servers.role("r2") == "master"
    assert await effect(made, promote()) is Effect.DONE
    made.redis.silent.add("r2")
    assert await effect(made, promote()) is Effect.UNKNOWN


async def test_others_follow_the_new_primary_and_the_effect_is_seen(
    made: RedisBench, servers: Servers
) -> None:
    made.ctx.vars["candidate"] = "r2"
    to_r2 = follow("r1", "r2", "r3", attached="required")
    await made.ok("promote", promote())
    assert await effect(made, to_r2) is Effect.NOT_DONE
    result = await made.ok("repoint", to_r2)
    assert (result.output["attached"], result.output["streaming"]) == (["r1", "r3"], True)
    assert await effect(made, to_r2) is Effect.DONE


async def test_a_member_with_data_does_not_follow_an_empty_primary(
    made: RedisBench, servers: Servers
) -> None:
    servers.ask("r2", "REPLICAOF", "NO", "ONE")
    servers.ask("r2", "FLUSHALL")
    result = await made.run("follow", follow("r3", to="r2", attached="required"))
    assert (result.outcome, "emptied" in result.detail) == (StepState.FAILED, True)
    assert servers.ask("r3", "GET", "kept") == "1"


# --- planned


async def test_a_pause_holds_writes_back_and_is_taken_back(made: RedisBench, servers: Servers) -> None:
    result = await made.ok("quiesce", pause())
    assert servers.ask("r1", "SET", "held", "1") is None, "no answer within a second"
    assert result.output["final_offset"] > 0
    assert await effect(made, pause()) is Effect.NOT_DONE, "a pause is made anew"
    assert (await made.undo(pause())).outcome is StepState.SUCCEEDED
    assert servers.ask("r1", "SET", "held", "1") == "OK"


async def test_a_demoted_primary_refuses_writes_and_is_primary_again_if_taken_back(
    made: RedisBench, servers: Servers
) -> None:
    made.ctx.vars["candidate"] = "r2"
    assert await effect(made, demote()) is Effect.NOT_DONE
    assert (await made.ok("demote", demote())).output["old_primary"] == "read_only"
    assert servers.refusal("r1", "SET", "a", "1") == "READONLY"
    assert await effect(made, demote()) is Effect.DONE
    assert (await made.undo(demote())).outcome is StepState.SUCCEEDED
    assert (await made.undo(demote())).outcome is StepState.SUCCEEDED
    assert servers.refusal("r1", "SET", "a", "1") == ""


async def test_min_replicas_are_set_seen_and_no_more_than_are_left(
    made: RedisBench, servers: Servers
) -> None:
    assert await effect(made, min_replicas()) is Effect.NOT_DONE
    await made.ok("min_replicas", min_replicas())
    assert await effect(made, min_replicas()) is Effect.DONE
    made.ctx.vars["steps"]["prove"] = {"readable": ["r2"], "candidate": "r2"}
    left = MinReplicas(MinReplicasOptions(at_most="left"))
    assert (await made.ok("min_replicas", left)).output["min_replicas"] == 0


async def test_a_write_is_on_so_many_replicas_or_the_wait_fails(made: RedisBench, servers: Servers) -> None:
    two = Wait(WaitOptions(member="r1", replicas=2, within_ms=500))
    assert (await made.ok("wait", two)).output["acknowledged"] == 2
    servers.ask("r3", "REPLICAOF", "127.0.0.1", "1")
    short = await made.run("wait", Wait(WaitOptions(member="r1", replicas=2, within_ms=100)))
    assert (short.outcome, short.output["acknowledged"]) == (StepState.FAILED, 1)


async def test_the_newest_number_is_found_before_anything_is_written(
    made: RedisBench, servers: Servers
) -> None:
    made.ctx.vars.update(candidate="r1", last_acked_canary=9)
    verify = VerifyWrite(VerifyWrite.Options())
    servers.ask("r1", "SET", "bcm:probe", "bcm-failover cache/r1 7")
    output = (await made.ok("verify", verify)).output
    assert (output["canary_found"], output["last_acked"], output["canary_written"]) == (7, 9, 10)


async def test_a_replica_that_is_far_behind_is_not_ready(made: RedisBench, servers: Servers) -> None:
    made.ctx.vars["candidate"] = "r2"
    assert (await made.ok("ready", Ready(ReadyOptions()))).output["candidate"] == "r2"
    servers.ask("r2", "REPLICAOF", "127.0.0.1", "1")
    assert (await made.ok("ready", Ready(ReadyOptions()))).output["candidate"] == "r3"
    servers.ask("r3", "REPLICAOF", "127.0.0.1", "1")
    assert (await made.run("ready", Ready(ReadyOptions()))).outcome is StepState.FAILED
