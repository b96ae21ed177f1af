"""Probe type `path`: real packets through a router, in network namespaces."""

from __future__ import annotations

import asyncio
import subprocess
from typing import Any

import pytest
import uvloop
from pydantic import ValidationError

from model.observation import Failure, Outcome
from probes.base import Reading
from probes.path import PathOptions, PathProbe
from tests.bad_servers import open_sockets
from tests.network_namespace import in_namespace
from tests.routed_network import LINK, ROUTER, ROUTER_6, SERVER, SERVER_6, Host, Routed, in_routed_network
from tests.scripted_probe import ports
from tests.virtual_clock import RealClock

WAYS: list[dict[str, Any]] = [{"method": "udp"}, {"method": "tcp", "port": 5432}, {"method": "icmp"}]


def probe(host: str, **options: Any) -> PathProbe:
    given = {"host": host, "wait": "400ms", **options}
    return PathProbe("node/db1", PathOptions.model_validate(given), ports(RealClock()))


async def traced(host: str, **options: Any) -> Reading:
    before, tasks = open_sockets(), asyncio.all_tasks()
    reading = await asyncio.wait_for(probe(host, **options).check(), 10)
    assert open_sockets() <= before
    assert asyncio.all_tasks() <= tasks
    return reading


def addresses(reading: Reading) -> list[tuple[int, str]]:
    return [(hop["ttl"], hop["address"]) for hop in reading.facts["hops"]]


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_the_way_is_seen_hop_by_hop_with_each_kind_of_packet(runner: Any) -> None:
    async def main(_network: Routed) -> None:
        for server, router in ((SERVER, ROUTER), (SERVER_6, ROUTER_6)):
            for way in WAYS:
                reading = await traced(server, wait="5s", **way)
                assert reading.outcome is Outcome.SUCCEEDED, (way, reading)
                assert addresses(reading) == [(1, router), (2, server)], way
                assert (reading.facts["reached"], reading.facts["last_hop"]) == (True, server)
            assert addresses(await traced(router, wait="5s")) == [(1, router)]

    in_routed_network(main, runner=runner)


def test_a_way_that_ends_behind_a_router_is_told_with_the_router() -> None:
    async def main(network: Routed) -> None:
        network.server.run("ip", "link", "set", "down1", "down")
        network.router.run("ip", "neigh", "flush", "all")
        for way in WAYS:
            reading = await traced(SERVER, **way)
            assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.UNREACHABLE), (way, reading)
            assert addresses(reading)[0] == (1, ROUTER)
            assert (reading.facts["reached"], reading.facts["last_hop"]) == (False, ROUTER)

    in_routed_network(main)


def test_a_router_that_knows_no_way_on_says_so() -> None:
    async def main(_network: Routed) -> None:
        reading = await traced("10.9.9.9", wait="20s")  # and nothing more is waited for
        assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.UNREACHABLE)
        assert reading.facts["hops"][-1] | {"rtt_ms": 0} == {
            "ttl": reading.facts["hops"][-1]["ttl"],
            "address": ROUTER,
            "rtt_ms": 0,
            "error": "ENETUNREACH",
        }
        assert "says ENETUNREACH" in reading.detail

    in_routed_network(main)


def say_nothing(router: Host) -> None:
    """It passes packets on, and sends none of its own to this host."""
    router.run("ip", "rule", "add", "iif", "lo", "to", "10.1.0.2", "blackhole", "pref", "1")


def test_a_router_that_says_nothing_is_a_gap_and_no_more() -> None:
    async def main(network: Routed) -> None:
        say_nothing(network.router)
        reading = await traced(SERVER)
        assert reading.outcome is Outcome.SUCCEEDED
        assert addresses(reading) == [(2, SERVER)]

    in_routed_network(main)


def test_a_neighbour_that_does_not_answer_is_unreachable() -> None:
    async def main(_network: Routed) -> None:
        # The kernel gives up after three seconds, unless it is told to hurry.
        subprocess.run(["sh", "-c", f"echo 50 > /proc/sys/net/ipv4/neigh/{LINK}/retrans_time_ms"], check=True)
        reading = await traced("10.1.0.77", wait="5s")
        assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.UNREACHABLE)
        assert "do not leave" in reading.detail
        assert reading.facts["hops"] == []

    in_routed_network(main)


def test_nobody_on_the_way_who_answers_is_unknown() -> None:
    async def main(network: Routed) -> None:
        say_nothing(network.router)
        network.server.run("ip", "link", "set", "down1", "down")
        reading = await traced(SERVER)
        assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, None)
        assert (reading.facts["reached"], reading.facts["hops"]) == (False, [])
        assert reading.facts["last_hop"] is None

    in_routed_network(main)


def test_no_way_out_of_this_host_is_our_own_trouble() -> None:
    async def main() -> None:
        for way in WAYS:
            reading = await traced(SERVER, **way)
            assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.LOCAL), way
            assert reading.facts["local_error"] == "ENETUNREACH"

    in_namespace(main, {"ipv4/ping_group_range": "0 2147483647"})


def test_who_may_not_ping_finds_out_nothing_that_way() -> None:
    async def main() -> None:
        reading = await traced("127.0.0.1", method="icmp")
        assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.LOCAL)
        assert "method: udp" in reading.detail
        assert (await traced("127.0.0.1", method="udp")).outcome is Outcome.SUCCEEDED

    in_namespace(main, {"ipv4/ping_group_range": "1 0"}, may_ping=False)


def test_a_cancelled_trace_leaves_no_socket_and_no_task() -> None:
    async def main(network: Routed) -> None:
        network.server.run("ip", "link", "set", "down1", "down")
        before, tasks = open_sockets(), asyncio.all_tasks()
        attempt = asyncio.create_task(probe(SERVER, wait="20s").check())
        async with asyncio.timeout(10):
            while len(open_sockets() - before) < 10:
                await asyncio.sleep(0)
        attempt.cancel()
        done, _ = await asyncio.wait([attempt], timeout=5)
        assert done
        assert open_sockets() <= before
        assert asyncio.all_tasks() <= tasks

    in_routed_network(main)


@pytest.mark.parametrize(
    ("options", "text"),
    [({"method": "tcp"}, "needs a `port`"), ({"method": "icmp", "port": 1}, "has no `port`")],
)
def test_options_that_cannot_be_meant_are_errors(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        probe(SERVER, **options)
