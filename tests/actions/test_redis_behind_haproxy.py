"""The runbooks of Redis with an endpoint of type haproxy: three real servers behind a real HAProxy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from controller.adapters.haproxy import HaproxyRuntime
from model.execution import ExecutionState
from tests.haproxy_server import BACKEND, Haproxy, running_haproxy
from tests.redis_bench import LOOPBACK, RedisBench, Servers, three


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    with three(tmp_path) as made:
        made.reset()
        yield made


@pytest.fixture
def haproxy(tmp_path: Path, servers: Servers) -> Iterator[Haproxy]:
    ports = {name: server.port for name, server in servers.by_name.items()}
    with running_haproxy(tmp_path, ports) as running:
        running.say(f"set server {BACKEND}/r1 state ready")
        yield running


async def moved(servers: Servers, haproxy: Haproxy, runbook: str, **variables: object) -> list[str]:
    """The servers that take traffic after it."""
    endpoint = {
        "type": "haproxy", "host": LOOPBACK, "port": haproxy.port, "sockets": [haproxy.socket],
        "backend": BACKEND,
    }  # fmt: skip
    async with RedisBench(servers, endpoint=endpoint) as bench:
        bench.ctx.ports = replace(bench.ctx.ports, haproxy=HaproxyRuntime())
        result = await bench.runbook(runbook, endpoint="haproxy", **variables)
    assert result.state is ExecutionState.SUCCEEDED, result
    return [name for name in servers.by_name if haproxy.state(name) == "no check"]


async def test_a_planned_switch_takes_the_clients_along(servers: Servers, haproxy: Haproxy) -> None:
    client = haproxy.client()
    assert await moved(servers, haproxy, "redis-switchover", candidate="r2") == ["r2"]
    client.settimeout(5)
    assert client.recv(10) == b""
    client.close()


async def test_a_failover_takes_the_clients_along(servers: Servers, haproxy: Haproxy) -> None:
    servers["r1"].kill()
    taking = await moved(servers, haproxy, "redis-failover", candidate="r3")
    assert len(taking) == 1
    assert taking[0] in ("r2", "r3")
    assert servers.ask(taking[0], "ROLE")[0] in ("master", b"master")
