"""The HTTP port: where traffic may go, whether the daemon lives, and what Prometheus reads."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest

from controller.api.public import HealthReport, PublicServer, Routing
from model.errors import BcmError


@dataclass
class World:
    health: HealthReport = field(default_factory=lambda: HealthReport("ok", (), 0.1, 5.0))
    routes: dict[str, Routing] = field(default_factory=dict)
    metrics: bytes = b"bcm_up 1\n"
    rendered_in: list[str] = field(default_factory=list)

    def routing(self, service: str) -> Routing | None:
        if service == "broken":
            raise RuntimeError("no view")
        return self.routes.get(service)

    def render(self) -> bytes:
        self.rendered_in.append(threading.current_thread().name)
        return self.metrics


class Port:
    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session, self._port = session, port

    async def ask(self, path: str, method: str = "GET") -> tuple[int, str]:
        async with self._session.request(method, f"http://127.0.0.1:{self._port}{path}") as answer:
            return answer.status, await answer.text()


@pytest.fixture
def world() -> World:
    fresh = {"pg1": 0.2, "pg2": 0.2, "pg3": None}
    return World(routes={"orders": Routing("pg1", ("pg2", "pg3"), fresh, 3.0)})


def server_of(world: World, address: str = "127.0.0.1:0") -> PublicServer:
    return PublicServer(
        address, health=lambda: world.health, routing=world.routing, metrics=lambda: world.render
    )


@pytest.fixture
async def port(world: World) -> AsyncIterator[Port]:
    server = server_of(world)
    await server.start()
    assert server.port
    async with aiohttp.ClientSession() as session:
        yield Port(session, server.port)
    await server.stop()


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_the_primary_is_found_by_every_method_that_haproxy_sends(port: Port, method: str) -> None:
    assert (await port.ask("/primary/orders", method))[0] == 200
    assert (await port.ask("/primary/orders/pg1", method))[0] == 200
    assert (await port.ask("/primary/orders/pg2", method))[0] == 503


async def test_a_streaming_replica_is_found_and_the_primary_is_none(port: Port) -> None:
    assert (await port.ask("/replica/orders/pg2"))[0] == 200
    assert (await port.ask("/replica/orders/pg1"))[0] == 503


@pytest.mark.parametrize(
    "path",
    ["/primary/nope", "/primary/nope/pg1", "/primary/orders/pg9", "/replica/orders/pg9", "/replica/nope/pg2"],
)
async def test_an_unknown_service_or_member_is_503(port: Port, path: str) -> None:
    assert (await port.ask(path))[0] == 503


async def test_without_a_primary_no_writes_go_anywhere(world: World, port: Port) -> None:
    world.routes["orders"] = Routing(None, (), {"pg1": 0.1}, 3.0)
    assert await port.ask("/primary/orders") == (503, "no primary is known\n")


@pytest.mark.parametrize("age_s", [None, 3.1, -1.0, float("nan"), float("inf")])
async def test_a_reading_that_is_stale_or_missing_says_nothing(
    world: World, port: Port, age_s: float | None
) -> None:
    world.routes["orders"] = Routing("pg1", ("pg2",), {"pg1": age_s, "pg2": age_s}, 3.0)
    assert (await port.ask("/primary/orders"))[0] == 503
    assert (await port.ask("/primary/orders/pg1"))[0] == 503
    assert (await port.ask("/replica/orders/pg2"))[0] == 503


async def test_a_check_that_breaks_fails_closed(port: Port) -> None:
    assert (await port.ask("/primary/broken"))[0] == 503
    assert (await port.ask("/replica/broken/pg2"))[0] == 503


async def test_health_is_ok_degraded_or_starting_with_its_reasons(world: World, port: Port) -> None:
    assert await port.ask("/healthz") == (200, '{"status": "ok", "reasons": []}')
    world.health = HealthReport("degraded", ("journal: full",), 0.1, 5.0)
    assert await port.ask("/healthz") == (200, '{"status": "degraded", "reasons": ["journal: full"]}')
    world.health = HealthReport("starting", (), None, 5.0)
    assert (await port.ask("/healthz"))[0] == 200


async def test_a_scheduler_without_progress_is_503(world: World, port: Port) -> None:
    world.health = HealthReport("ok", (), 5.1, 5.0)
    code, text = await port.ask("/healthz")
    assert code == 503
    assert "no progress for 5.1 s" in text


async def test_metrics_are_rendered_off_the_loop(world: World, port: Port) -> None:
    assert await port.ask("/metrics") == (200, "bcm_up 1\n")
    assert world.rendered_in != [threading.main_thread().name]


async def test_a_port_that_is_taken_says_so(world: World, port: Port) -> None:
    with pytest.raises(BcmError) as refused:
        await server_of(world, f"127.0.0.1:{port._port}").start()
    assert "daemon.http" in refused.value.hint


async def test_an_address_that_is_none_says_so(world: World) -> None:
    with pytest.raises(BcmError):
        await server_of(world, "127.0.0.1:99999").start()
