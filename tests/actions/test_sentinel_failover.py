"""sentinel.failover against a real Redis Sentinel: it is asked, and does it (S14)."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator

import pytest

from config.schema import Estate
from model.execution import Effect, ExecutionState, StepState
from model.observation import Outcome
from probes.redis import RedisOptions, RedisProbe
from runbooks.actions.sentinel.failover import SentinelFailover
from tests.pg_pair import free_port, wait_for
from tests.redis_bench import RedisBench, Servers, estate_text, three
from tests.redis_servers import LOOPBACK
from tests.secrets_of_tests import ports_with


class Watched:
    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.port = free_port()
        root = servers.root / "sentinel"
        root.mkdir()
        config = root / "sentinel.conf"
        config.write_text(
            f"port {self.port}\nbind {LOOPBACK}\ndir {root}\n"
            f"sentinel monitor shop {LOOPBACK} {servers['r1'].port} 1\n"
            "sentinel down-after-milliseconds shop 30000\n"
        )
        with (root / "log").open("wb") as log:
            self.process = subprocess.Popen(
                ["redis-server", str(config), "--sentinel"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        # Listed is not enough: it promotes nobody whose link to the primary it has not seen.
        wait_for(
            lambda: self.cli("SENTINEL", "REPLICAS", "shop").count("master-link-status\nok") == 2, "replicas"
        )

    def cli(self, *words: str) -> str:
        command = ["redis-cli", "-h", LOOPBACK, "-p", str(self.port), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout

    def settings(self) -> dict[str, object]:
        return {"sentinel": {"master": "shop", "addresses": [f"{LOOPBACK}:{self.port}"]}}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with three(tmp_path_factory.mktemp("redis")) as servers:
        made = Watched(servers)
        yield made
        made.process.kill()
        made.process.wait()


@pytest.fixture
async def made(watched: Watched) -> AsyncIterator[RedisBench]:
    async with RedisBench(watched.servers, manager="sentinel", redis=watched.settings()) as bench:
        yield bench


async def test_a_server_that_sentinel_watches_shows_it(watched: Watched) -> None:
    port = watched.servers["r1"].port
    reading = await RedisProbe("cache/r1", RedisOptions(host=LOOPBACK, port=port), ports_with()).check()
    assert (reading.outcome, reading.facts["other_manager"]) == (Outcome.SUCCEEDED, "sentinel")


async def test_sentinel_moves_the_primary_and_it_is_seen(made: RedisBench, watched: Watched) -> None:
    action = SentinelFailover(SentinelFailover.Options())
    (precheck,) = await action.precheck(made.ctx)
    assert precheck.ok, precheck
    assert (await made.check(action)).effect is Effect.UNKNOWN
    result = await made.runbook("sentinel-switchover")
    assert result.state is ExecutionState.SUCCEEDED, result
    new = result.outputs["promote"]["member"]
    assert new in ("r2", "r3")
    assert watched.servers.role(new) == "master"
    assert (await made.check(action)).effect is Effect.DONE


async def test_no_sentinel_that_answers_is_a_failure_and_nothing_was_done(watched: Watched) -> None:
    nobody = {"sentinel": {"master": "shop", "addresses": [f"{LOOPBACK}:{free_port()}"]}}
    async with RedisBench(watched.servers, manager="sentinel", redis=nobody) as made:
        result = await made.run("promote", SentinelFailover(SentinelFailover.Options()), timeout_s=2.0)
        assert result.outcome is StepState.FAILED, result


def test_a_service_that_sentinel_runs_has_only_the_runbook_that_asks_it(watched: Watched) -> None:
    from controller.supervisor.judgement import candidates
    from controller.supervisor.knowledge import Knowledge

    text = estate_text(watched.servers, manager="sentinel", redis=watched.settings())
    estate = Estate.model_validate(text)
    knowledge = Knowledge(estate, estate.services["cache"])
    assert knowledge.engine.runbooks == {"switchover": "sentinel-switchover"}
    _members, choice, _proof = candidates(knowledge.view("r1", 0.0))
    assert (choice.candidate, "sentinel" in choice.reason) == (None, True)
