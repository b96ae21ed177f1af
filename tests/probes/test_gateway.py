"""Probe type `gateway`: this host's way out, with a real router in a network namespace."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import pytest
import uvloop
from pydantic import ValidationError

from model.observation import Failure, Outcome
from probes import icmp_socket
from probes.base import Reading
from probes.gateway import GatewayOptions, GatewayProbe
from probes.routes import default_routes
from tests.bad_servers import open_sockets
from tests.network_namespace import in_namespace
from tests.routed_network import LINK, ROUTER, ROUTER_6, ROUTERS_LINK, Host, Routed, in_routed_network
from tests.scripted_probe import ports
from tests.virtual_clock import RealClock


def probe(**options: Any) -> GatewayProbe:
    return GatewayProbe("node/ops1", GatewayOptions.model_validate(options), ports(RealClock()))


async def checked(**options: Any) -> Reading:
    one = probe(**options)
    before, tasks = open_sockets(), asyncio.all_tasks()
    try:
        return await asyncio.wait_for(one.check(), 10)
    finally:
        await one.aclose()
        assert open_sockets() <= before
        assert asyncio.all_tasks() <= tasks
        assert icmp_socket._PINGERS == {}


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def in_a_hurry() -> None:
    """The kernel gives a neighbour up after a fraction of a second, instead of three."""
    for family in ("ipv4", "ipv6"):
        Path(f"/proc/sys/net/{family}/neigh/{LINK}/retrans_time_ms").write_text("50")


def say_nothing(router: Host) -> None:
    """It has its address still (ARP), and sends nothing else to this host."""
    router.run("ip", "rule", "add", "iif", "lo", "to", "10.1.0.2", "blackhole", "pref", "1")


def disappear(router: Host) -> None:
    router.run("ip", "address", "flush", "dev", ROUTERS_LINK)


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_the_default_gateway_of_each_family_is_found_and_asked(runner: Any) -> None:
    async def main(_network: Routed) -> None:
        for options, gateway in (({}, ROUTER), ({"family": "ipv6"}, ROUTER_6), ({"interface": LINK}, ROUTER)):
            reading = await checked(**options)
            assert reading.outcome is Outcome.SUCCEEDED, reading
            # On a busy machine its answer may come late; that it is there is known all the same.
            assert reading.facts["answered_by"] in ("ping", "tcp", "neighbour")
            assert (reading.facts["gateway"], reading.facts["interface"]) == (gateway, LINK)
            assert reading.facts["neighbour"] in ("reachable", "delay")
        both = await checked(family="both")
        assert {said["gateway"] for said in both.facts["families"].values()} == {ROUTER, ROUTER_6}

    in_routed_network(main, runner=runner)


def test_a_gateway_may_be_named() -> None:
    async def main(_network: Routed) -> None:
        reading = await checked(address="10.2.0.1")
        assert (reading.outcome, reading.facts["gateway"]) == (Outcome.SUCCEEDED, "10.2.0.1")

    in_routed_network(main)


def test_without_permission_to_ping_a_refused_connection_is_an_answer() -> None:
    async def main(_network: Routed) -> None:
        reading = await checked()
        assert (reading.outcome, reading.facts["answered_by"]) == (Outcome.SUCCEEDED, "tcp"), reading

    in_routed_network(main, ping_group_range="1 0", may_ping=False)


def test_a_router_that_answers_nothing_is_known_as_a_neighbour() -> None:
    async def main(network: Routed) -> None:
        say_nothing(network.router)
        reading = await checked()
        assert (reading.outcome, reading.facts["answered_by"]) == (Outcome.SUCCEEDED, "neighbour"), reading
        assert "answers no ping and no connection" in reading.detail

    in_routed_network(main)


def test_a_router_that_used_to_answer_is_not_believed_because_it_is_still_a_neighbour() -> None:
    async def main(network: Routed) -> None:
        one = probe()
        assert (await asyncio.wait_for(one.check(), 10)).outcome is Outcome.SUCCEEDED
        say_nothing(network.router)
        attempt = asyncio.create_task(one.check())
        done, _pending = await asyncio.wait([attempt], timeout=0.6)
        assert not done  # the scheduler says that it is silent
        attempt.cancel()
        await asyncio.wait([attempt])
        await one.aclose()

    in_routed_network(main)


@pytest.mark.parametrize("used_to_answer", [False, True])
def test_a_router_that_is_gone_from_its_network_is_unreachable(used_to_answer: bool) -> None:
    async def main(network: Routed) -> None:
        in_a_hurry()
        one = probe()
        if used_to_answer:
            assert (await asyncio.wait_for(one.check(), 10)).outcome is Outcome.SUCCEEDED
        disappear(network.router)
        ip("neigh", "flush", "dev", LINK)
        reading = await asyncio.wait_for(one.check(), 10)
        assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.UNREACHABLE), reading
        assert reading.facts["gateway"] == ROUTER
        assert reading.facts["neighbour"] in ("failed", "incomplete", "none")
        await one.aclose()

    in_routed_network(main)


def test_no_default_route_is_our_own_trouble() -> None:
    async def main() -> None:
        reading = await checked()
        assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.LOCAL)
        assert reading.facts == {"local_error": "ENETUNREACH"}
        assert "no default route over eth7" in (await checked(interface="eth7")).detail
        # Nor is there a way to one that is named.
        assert (await checked(address=ROUTER)).failure is Failure.LOCAL

    in_namespace(main, {"ipv4/ping_group_range": "0 2147483647"})


def test_a_family_without_a_way_out_is_unknown() -> None:
    async def main(_network: Routed) -> None:
        ip("-6", "route", "del", "default")
        assert (await checked(family="ipv6")).outcome is Outcome.UNKNOWN
        assert (await checked(family="both")).outcome is Outcome.SUCCEEDED

    in_routed_network(main)


def test_of_several_default_routes_the_kernels_choice_is_asked_and_a_change_is_followed() -> None:
    async def main(_network: Routed) -> None:
        ip("route", "add", "default", "via", "10.1.0.9", "metric", "50")
        ip("route", "add", "unreachable", "default", "metric", "10")
        one = probe()
        assert (await asyncio.wait_for(one.check(), 10)).facts["gateway"] == ROUTER
        ip("route", "del", "default", "via", ROUTER)
        assert [route.gateway for route in default_routes()] == ["10.1.0.9", ROUTER_6]
        await one.aclose()

    in_routed_network(main)


def test_a_way_out_without_a_gateway_is_unknown() -> None:
    async def main(_network: Routed) -> None:
        ip("route", "replace", "default", "dev", LINK)
        ip("-6", "route", "del", "default")
        reading = await checked()
        assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, None)
        assert reading.facts == {"interface": LINK}

    in_routed_network(main)


def test_a_gateway_is_an_address() -> None:
    with pytest.raises(ValidationError, match="not an IPv4 or IPv6 address"):
        probe(address="router.example")
