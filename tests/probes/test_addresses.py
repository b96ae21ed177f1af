"""Looking names up: a dead DNS is our own trouble, and never a target's silence."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from typing import Any

import pytest

from model.observation import Failure, Outcome
from probes import addresses
from probes.addresses import FRESH_S, RETRY_S, Addresses
from probes.os_errors import OwnError, own_error, reading_of_os_error
from tests.virtual_clock import RealClock, VirtualClock


class Resolver:
    """The system's resolver, which can be made to hang or to fail. Numeric addresses need none."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.answers = threading.Event()
        self.answers.set()
        self.error: OSError | None = None
        self.address = "192.0.2.1"
        self.asked = 0
        self._system = socket.getaddrinfo
        patch.setattr(addresses.socket, "getaddrinfo", self.getaddrinfo)

    def getaddrinfo(self, host: str, port: int, **options: Any) -> Any:
        if options.get("flags") == socket.AI_NUMERICHOST:
            return self._system(host, port, **options)
        self.asked += 1
        assert self.answers.wait(20)
        if self.error is not None:
            raise self.error
        return self._system(self.address, port, **options)


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    return Resolver(monkeypatch)


async def found(names: Addresses) -> list[str]:
    return [address.host for address in await names.get()]


async def test_a_numeric_address_asks_nobody(resolver: Resolver) -> None:
    assert await found(Addresses("127.0.0.1", 80, RealClock())) == ["127.0.0.1"]
    assert await found(Addresses("::1", 80, RealClock())) == ["::1"]
    assert resolver.asked == 0


async def test_a_name_is_looked_up_once_and_kept_while_fresh(resolver: Resolver) -> None:
    names = Addresses("db.example", 80, RealClock())
    assert await found(names) == ["192.0.2.1"]
    assert await found(names) == ["192.0.2.1"]
    assert resolver.asked == 1


async def test_a_resolver_that_hangs_is_unknown_before_any_deadline_and_asked_once(
    resolver: Resolver,
) -> None:
    resolver.answers.clear()
    names = Addresses("db.example", 80, RealClock())
    for _ in range(3):
        with pytest.raises(OwnError) as caught:
            await names.get()
        reading = reading_of_os_error(caught.value)
        assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.LOCAL)
    assert resolver.asked == 1
    resolver.answers.set()
    async with asyncio.timeout(10):
        while True:
            try:
                assert await found(names) == ["192.0.2.1"]
                break
            except OwnError:
                continue


async def test_the_address_last_known_serves_while_the_resolver_is_dead(resolver: Resolver) -> None:
    clock = VirtualClock()
    names = Addresses("db.example", 80, clock)
    while not (await asyncio.gather(names.get(), return_exceptions=True))[0]:
        await asyncio.sleep(0)
    resolver.error = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    await clock.advance(FRESH_S + 1)
    assert await found(names) == ["192.0.2.1"]
    while resolver.asked < 2:
        await asyncio.sleep(0)
    assert await found(names) == ["192.0.2.1"]


async def test_a_name_that_moves_is_followed(resolver: Resolver) -> None:
    clock = VirtualClock()
    names = Addresses("db.example", 80, clock)
    assert await found(names) == ["192.0.2.1"]
    resolver.address = "192.0.2.2"
    await clock.advance(FRESH_S + 1)
    async with asyncio.timeout(10):
        while await found(names) != ["192.0.2.2"]:
            await asyncio.sleep(0)


@pytest.mark.parametrize("code", [socket.EAI_AGAIN, socket.EAI_NONAME])
async def test_a_lookup_that_fails_is_unknown_and_repeated_less_and_less_often(
    resolver: Resolver, code: int
) -> None:
    resolver.error = socket.gaierror(code, "no answer")
    clock = VirtualClock()
    names = Addresses("db.example", 80, clock)
    asked = []
    for wait_s in (RETRY_S, 2 * RETRY_S, 4 * RETRY_S):
        for _ in range(20):  # a burst of attempts
            with pytest.raises(socket.gaierror) as caught:
                await names.get()
            assert reading_of_os_error(caught.value).outcome is Outcome.UNKNOWN
        asked.append(resolver.asked)
        await clock.advance(wait_s)
    assert asked == [1, 2, 3]
    resolver.error = None
    await clock.advance(8 * RETRY_S)
    assert await found(names) == ["192.0.2.1"]


async def test_a_refresh_that_fails_is_tried_again_soon_and_what_was_known_serves_on(
    resolver: Resolver,
) -> None:
    clock = VirtualClock()
    names = Addresses("db.example", 80, clock)
    assert await found(names) == ["192.0.2.1"]
    resolver.error = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    await clock.advance(FRESH_S)
    for failed in range(1, 4):
        assert await found(names) == ["192.0.2.1"]
        async with asyncio.timeout(10):
            while resolver.asked < 1 + failed or names._lookup is not None:
                await asyncio.sleep(0)
        assert await found(names) == ["192.0.2.1"]
        assert resolver.asked == 1 + failed
        await clock.advance(RETRY_S * 2 ** (failed - 1))
    resolver.error, resolver.address = None, "192.0.2.2"
    async with asyncio.timeout(10):
        while await found(names) != ["192.0.2.2"]:
            await asyncio.sleep(0)


async def test_a_dead_resolver_makes_no_storm_of_threads(resolver: Resolver) -> None:
    resolver.answers.clear()
    clock = RealClock()
    try:
        names = [Addresses(f"db{number}.example", 80, clock) for number in range(200)]
        results = await asyncio.gather(*(name.get() for name in names), return_exceptions=True)
        assert all(isinstance(result, OwnError) for result in results)
        threads = [thread for thread in threading.enumerate() if thread.name == "lookup"]
        assert 0 < len(threads) <= 64
    finally:
        resolver.answers.set()
    async with asyncio.timeout(10):
        for name in names:
            while True:
                try:
                    assert await found(name) == ["192.0.2.1"]
                    break
                except OwnError:
                    await asyncio.sleep(0.001)


async def test_a_name_that_is_none_is_unknown() -> None:
    with pytest.raises(OSError, match="no valid name") as caught:
        await Addresses("x" * 64 + ".example", 80, RealClock()).get()
    assert reading_of_os_error(caught.value).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        (errno.ECONNREFUSED, Failure.REFUSED),
        (errno.ECONNRESET, Failure.RESET),
        (errno.ETIMEDOUT, Failure.SILENT),
        (errno.EHOSTUNREACH, Failure.UNREACHABLE),
        (errno.ENETUNREACH, Failure.UNREACHABLE),
    ],
)
def test_what_the_target_or_the_network_did_is_a_failure(code: int, failure: Failure) -> None:
    reading = reading_of_os_error(OSError(code, "seen"))
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, failure)


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.EPERM])
def test_what_this_host_lacks_is_unknown(code: int) -> None:
    reading = reading_of_os_error(OSError(code, "seen"))
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.LOCAL)


def test_no_route_from_here_is_unknown_though_the_same_errno_from_a_router_is_a_failure() -> None:
    reading = reading_of_os_error(own_error(OSError(errno.ENETUNREACH, "Network is unreachable")))
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.LOCAL)


def test_a_connection_lost_without_an_errno_is_a_reset() -> None:
    assert reading_of_os_error(ConnectionResetError("Connection lost")).failure is Failure.RESET
