"""Probe type `icmp`: real pings in a network namespace, over datagram and raw sockets."""

from __future__ import annotations

import asyncio

import pytest

from model.health import PROFILES
from model.observation import Failure, Observation, Outcome
from probes import icmp_socket
from probes.icmp import IcmpOptions, IcmpProbe
from probes.scheduler import Scheduler
from tests.bad_servers import open_sockets
from tests.network_namespace import in_namespace
from tests.scripted_probe import ports
from tests.virtual_clock import RealClock

DATAGRAM = {"ipv4/ping_group_range": "0 2147483647"}
RAW = {"ipv4/ping_group_range": "1 0"}
MUTE = {"ipv4/icmp_echo_ignore_all": "1", "ipv6/icmp/echo_ignore_all": "1"}


def ping(host: str) -> IcmpProbe:
    return IcmpProbe("node/n1", IcmpOptions(host=host), ports(RealClock()))


@pytest.mark.parametrize("kind", [DATAGRAM, RAW], ids=["datagram", "raw"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_host_that_answers_is_up(host: str, kind: dict[str, str]) -> None:
    async def main() -> None:
        probe = ping(host)
        reading = await asyncio.wait_for(probe.check(), 10)
        assert reading.outcome is Outcome.SUCCEEDED
        assert reading.facts == {"address": host}
        (pinger,) = icmp_socket._PINGERS.values()
        assert pinger._raw == (kind is RAW)
        await probe.aclose()

    in_namespace(main, kind)


@pytest.mark.parametrize("kind", [DATAGRAM, RAW], ids=["datagram", "raw"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_host_that_does_not_answer_is_silent_by_the_deadline(host: str, kind: dict[str, str]) -> None:
    async def main() -> None:
        seen: list[Observation] = []
        told = asyncio.Event()
        scheduler = Scheduler(RealClock(), "ops1", lambda observation: (seen.append(observation), told.set()))
        scheduler.add("node/n1", ping(host), PROFILES["fast"])
        async with asyncio.timeout(20):
            while not any(observation.failure is Failure.SILENT for observation in seen):
                told.clear()
                await told.wait()
        await scheduler.aclose()
        assert {observation.outcome for observation in seen} <= {Outcome.FAILED, Outcome.UNKNOWN}
        assert icmp_socket._PINGERS == {}

    in_namespace(main, kind | MUTE)


@pytest.mark.parametrize("kind", [DATAGRAM, RAW], ids=["datagram", "raw"])
def test_many_probes_share_one_socket_and_each_gets_its_own_reply(kind: dict[str, str]) -> None:
    async def main() -> None:
        before = open_sockets()
        probes = [ping(f"127.0.0.{last}") for last in range(1, 51)]
        readings = await asyncio.wait_for(asyncio.gather(*(probe.check() for probe in probes)), 20)
        assert [reading.facts["address"] for reading in readings] == [f"127.0.0.{n}" for n in range(1, 51)]
        assert len(open_sockets() - before) == 1
        for probe in probes:
            await probe.aclose()
        assert open_sockets() - before == set()

    in_namespace(main, kind)


def test_a_stray_or_forged_reply_answers_nothing() -> None:
    async def main() -> None:
        probe = ping("127.0.0.1")
        attempt = asyncio.create_task(probe.check())
        while not icmp_socket._PINGERS:
            await asyncio.sleep(0)
        (pinger,) = icmp_socket._PINGERS.values()
        ip_header = b"\x45" + bytes(19)
        (token,) = pinger._waiting
        own_request = ip_header + b"\x08" + bytes(7) + token
        forged = ip_header + bytes(8) + b"?" * 16
        for packet in (b"", b"\x45", bytes(8), bytes(64), own_request, forged):
            pinger._take(packet)
        assert not any(waiter.done() for waiter in pinger._waiting.values())
        attempt.cancel()
        await asyncio.wait([attempt])
        assert pinger._waiting == {}
        await probe.aclose()

    in_namespace(main, RAW | MUTE)


def test_no_route_from_here_is_unknown() -> None:
    async def main() -> None:
        probe = ping("192.0.2.1")
        reading = await probe.check()
        assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.LOCAL)
        await probe.aclose()

    in_namespace(main, DATAGRAM)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_who_may_not_ping_finds_out_nothing(host: str) -> None:
    async def main() -> None:
        probe = ping(host)
        reading = await probe.check()
        assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.LOCAL)
        assert "pings are not permitted" in reading.detail
        await probe.aclose()

    in_namespace(main, RAW, may_ping=False)


async def test_an_unknown_name_is_unknown() -> None:
    assert (await ping("no-such-host.invalid").check()).outcome is Outcome.UNKNOWN
