"""A server of Redis that is a unit: stopped to fence it, started to bring it back, by a real systemd."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from controller.adapters.local import LocalAccess
from model.execution import Effect, ExecutionState, StepState
from model.ports import CommandResult, NodeAccess
from runbooks.actions.redis.fence import Fence, FenceOptions
from runbooks.actions.redis.start import Start
from runbooks.actions.starting import StartOptions
from tests.pg_pair import wait_for
from tests.redis_bench import RedisBench, Servers, three
from tests.redis_servers import LOOPBACK
from tests.user_manager import UserManager, running_user_manager

UNIT = "r1.service"


class AsUser(NodeAccess):
    """`systemctl` of the account's manager in the place of the system's, which only runs as process 1."""

    def __init__(self, manager: UserManager) -> None:
        self._manager = manager

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        user: str | None = None,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        program, *words = argv
        asked = [program, "--user", *words] if program == "systemctl" else argv
        return await self._manager.run(asked, timeout_s=timeout_s, user=user, stdin=stdin, env=env)

    def describe(self, argv: Sequence[str], *, user: str | None = None) -> str:
        return self._manager.describe(argv, user=user)


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserManager]:
    with running_user_manager(tmp_path_factory.mktemp("um"), LocalAccess("node-r1")) as running:
        yield running


@pytest.fixture
def servers(manager: UserManager, tmp_path: Path) -> Iterator[Servers]:
    """r1 is a unit that its manager starts again whenever it ends."""
    with three(tmp_path) as made:
        r1 = made["r1"]
        r1.cli("CONFIG", "SET", "appendonly", "yes")
        r1.cli("SET", "kept", "1")
        wait_for(lambda: "aof_rewrite_in_progress:0" in r1.cli("INFO", "persistence"), "its file")
        r1.kill()
        command = f"redis-server {r1.root}/redis.conf --appendonly yes"
        manager.add(UNIT, f"[Service]\nExecStart={command}\nRestart=always\nRestartSec=0\nTimeoutStopSec=3\n")
        manager.systemctl("daemon-reload")
        manager.systemctl("start", UNIT)
        for name in ("r2", "r3"):
            made.ask(name, "REPLICAOF", LOOPBACK, str(r1.port))
        made.wait_attached("r1", 2)
        yield made
        manager.systemctl("stop", UNIT, check=False)


async def test_a_unit_is_stopped_stays_so_and_comes_back_closed(
    manager: UserManager, servers: Servers
) -> None:
    async with RedisBench(servers, r1={"control": f"systemd:{UNIT}"}, redis={"min_replicas": 1}) as made:
        made.ctx.ports = replace(made.ctx.ports, node=lambda _name: AsUser(manager))
        stop, start = Fence(FenceOptions(must="stopped")), Start(StartOptions(member="r1"))
        assert (await made.ok("start", start)).output["started"] is False
        assert (await made.check(start)).effect is Effect.DONE
        assert (await made.ok("fence", stop)).output["old_primary"] == "stopped"
        assert servers.ask("r1", "PING") is None, "its manager does not start it again"
        assert (await made.check(start)).effect is Effect.NOT_DONE
        assert (await made.ok("start", start)).output["started"] is True
        assert servers.refusal("r1", "SET", "a", "1") == "NOREPLICAS"
        assert (await made.run("fence", stop)).outcome is StepState.SUCCEEDED
        servers.ask("r2", "REPLICAOF", "NO", "ONE")
        result = await made.runbook("redis-rejoin", member="r1", primary="r2")
        assert result.state is ExecutionState.SUCCEEDED, result
        assert result.outputs["start"]["started"] is True
        assert servers.follows("r1") == "r2"
