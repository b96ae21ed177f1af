"""Several addresses of one name: a dead one does not hide those behind it."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest

from probes import staggered
from probes.addresses import Address
from probes.os_errors import OwnError
from probes.sockets import connect
from probes.staggered import first_to_answer
from tests.bad_servers import LOOPBACK, black_hole, open_sockets

FIRST, SECOND, THIRD = (Address(socket.AF_INET, (f"192.0.2.{n}", 80)) for n in (1, 2, 3))


async def test_an_address_that_drops_packets_does_not_hide_the_next() -> None:
    before = open_sockets()
    async with black_hole() as dead:
        with socket.create_server((LOOPBACK, 0)) as server:
            held = open_sockets()
            alive = server.getsockname()[1]
            addresses = [Address(socket.AF_INET, (LOOPBACK, port)) for port in (dead, alive)]
            sock = await asyncio.wait_for(connect(addresses), 10)
            assert sock.getpeername()[1] == alive
            assert len(open_sockets() - held) == 1
            sock.close()
    assert open_sockets() <= before


async def test_the_next_has_its_turn_at_once_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staggered, "TURN_S", 60.0)

    async def attempt(address: Address) -> str:
        if address == FIRST:
            raise OSError(errno.ECONNREFUSED, "Connection refused")
        return address.host

    assert await asyncio.wait_for(first_to_answer([FIRST, SECOND], attempt), 10) == SECOND.host


async def test_the_first_is_given_its_turn_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staggered, "TURN_S", 60.0)
    asked: list[Address] = []

    async def attempt(address: Address) -> str:
        asked.append(address)
        await asyncio.sleep(0)
        return address.host

    assert await first_to_answer([FIRST, SECOND], attempt) == FIRST.host
    assert asked == [FIRST]


async def test_the_error_of_the_target_is_told_rather_than_one_of_our_own() -> None:
    errors = {
        FIRST: OwnError(errno.ENETUNREACH, "no route"),
        SECOND: OSError(errno.ECONNREFUSED, "refused"),
        THIRD: OSError(errno.EHOSTUNREACH, "unreachable"),
    }

    async def attempt(address: Address) -> str:
        raise errors[address]

    with pytest.raises(ConnectionRefusedError):
        await first_to_answer(list(errors), attempt)


async def test_what_a_later_one_brings_at_the_same_time_is_discarded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staggered, "TURN_S", 0.0)
    go = asyncio.Event()
    discarded: list[str] = []
    started = 0

    async def attempt(address: Address) -> str:
        nonlocal started
        started += 1
        if started == 3:
            go.set()
        await go.wait()
        return address.host

    brought = await asyncio.wait_for(first_to_answer([FIRST, SECOND, THIRD], attempt, discarded.append), 10)
    assert {brought, *discarded} == {FIRST.host, SECOND.host, THIRD.host}


async def test_a_cancelled_one_ends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staggered, "TURN_S", 0.0)
    before = asyncio.all_tasks()
    running = asyncio.Event()

    async def attempt(address: Address) -> str:
        if address == SECOND:
            running.set()
        await asyncio.get_running_loop().create_future()
        return ""

    task = asyncio.create_task(first_to_answer([FIRST, SECOND], attempt))
    await asyncio.wait_for(running.wait(), 10)
    task.cancel()
    await asyncio.wait([task])
    assert asyncio.all_tasks() == before
