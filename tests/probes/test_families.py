"""Address families apart: one that is out is seen, though the other answers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from model.observation import Failure, Outcome
from probes import families
from probes.addresses import Address
from probes.base import Reading
from probes.families import check_by_family
from probes.tcp import TcpOptions, TcpProbe
from tests.bad_servers import open_sockets
from tests.scripted_probe import ports
from tests.virtual_clock import RealClock

HOSTS = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
V4 = Address(socket.AF_INET, ("192.0.2.1", 80))
V6 = Address(socket.AF_INET6, ("2001:db8::1", 80, 0, 0))


@pytest.fixture(autouse=True)
def two_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """`both.example` has one address of each family, `four.example` one of IPv4."""
    system = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, **options: Any) -> Any:
        if host == "both.example" and options.get("flags") != socket.AI_NUMERICHOST:
            return [*system("::1", port, **options), *system("127.0.0.1", port, **options)]
        return system("127.0.0.1" if host == "four.example" else host, port, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@contextlib.contextmanager
def listening(*served: int) -> Iterator[int]:
    """A port that is bound on both families, and served by some."""
    with contextlib.ExitStack() as stack:
        port = 0
        for family, host in HOSTS.items():
            sock = stack.enter_context(socket.socket(family))
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((host, port))
            port = sock.getsockname()[1]
            if family in served:
                sock.listen()
        yield port


async def checked(port: int, family: str, host: str = "both.example") -> Reading:
    options = TcpOptions.model_validate({"host": host, "port": port, "family": family})
    return await asyncio.wait_for(TcpProbe("shop/web", options, ports(RealClock())).check(), 10)


async def test_each_family_that_the_name_has_must_answer() -> None:
    with listening(*HOSTS) as port:
        reading = await checked(port, "both")
    assert reading.outcome is Outcome.SUCCEEDED
    assert {name: said["address"] for name, said in reading.facts["families"].items()} == {
        "ipv4": "127.0.0.1",
        "ipv6": "::1",
    }


@pytest.mark.parametrize("family", ["any", "ipv4"])
async def test_one_family_suffices_where_both_were_not_asked_for(family: str) -> None:
    with listening(socket.AF_INET) as port:
        reading = await checked(port, family)
    assert (reading.outcome, reading.facts["address"]) == (Outcome.SUCCEEDED, "127.0.0.1")


@pytest.mark.parametrize(
    ("serving", "named"), [(socket.AF_INET, "IPv6"), (socket.AF_INET6, "IPv4")], ids=["ipv4", "ipv6"]
)
async def test_a_family_that_is_out_fails_and_is_named_and_the_target_lives(serving: int, named: str) -> None:
    with listening(serving) as port:
        reading = await checked(port, "both")
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
    assert reading.detail == f"{named}: Connection refused"
    assert reading.facts["families"][named.lower()]["failure"] == "refused"
    assert reading.facts["address"] == HOSTS[socket.AddressFamily(serving)]


async def test_only_the_family_that_was_asked_for_counts() -> None:
    with listening(socket.AF_INET) as port:
        assert (await checked(port, "ipv6")).failure is Failure.REFUSED


async def test_refused_over_both_is_refused() -> None:
    with listening() as port:
        assert (await checked(port, "both")).failure is Failure.REFUSED


async def test_a_name_without_the_family_is_unknown_and_both_means_those_that_it_has() -> None:
    with listening(socket.AF_INET) as port:
        lacking = await checked(port, "ipv6", "four.example")
        both = await checked(port, "both", "four.example")
    assert (lacking.outcome, lacking.detail) == (Outcome.UNKNOWN, "it has no IPv6 address")
    assert both.outcome is Outcome.SUCCEEDED


async def test_a_family_that_stays_silent_is_named_while_the_other_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(families, "PATIENCE_S", 0.05)

    async def check(asked: Sequence[Address]) -> Reading:
        if asked[0] == V6:
            await asyncio.get_running_loop().create_future()
        return Reading.ok(address=asked[0].host)

    reading = await asyncio.wait_for(check_by_family([V4, V6], "both", check), 10)
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
    assert reading.detail.startswith("IPv6: no answer")
    assert reading.facts["families"]["ipv6"]["failure"] == "silent"


async def test_what_this_host_lacks_for_one_family_is_unknown_and_not_the_trouble_of_the_process() -> None:
    async def check(asked: Sequence[Address]) -> Reading:
        if asked[0] == V6:
            return Reading.unknown(Failure.LOCAL, "on this host: no route", local_error="ENETUNREACH")
        return Reading.ok(address=asked[0].host)

    reading = await check_by_family([V4, V6], "both", check)
    assert reading.outcome is Outcome.UNKNOWN
    assert "local_error" not in reading.facts
    neither = await check_by_family([V6], "both", check)
    assert neither.facts["local_error"] == "ENETUNREACH"


async def test_a_cancelled_attempt_leaves_no_socket_of_either_family() -> None:
    before, tasks = open_sockets(), asyncio.all_tasks()
    with listening(*HOSTS) as port:
        served = open_sockets()
        options = TcpOptions(host="both.example", port=port, expect="never said", family="both")
        attempt = asyncio.create_task(TcpProbe("shop/web", options, ports(RealClock())).check())
        async with asyncio.timeout(10):
            while len(open_sockets() - served) < 2:
                await asyncio.sleep(0)
        attempt.cancel()
        await asyncio.wait([attempt])
        assert open_sockets() <= served
    assert open_sockets() <= before
    assert asyncio.all_tasks() <= tasks
