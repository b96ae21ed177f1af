"""Probe type `tcp` against real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from model.health import PROFILES
from model.observation import Failure, Observation, Outcome
from probes import sockets
from probes.addresses import Address
from probes.scheduler import Scheduler
from probes.tcp import TcpOptions, TcpProbe
from tests.bad_servers import LOOPBACK, closes, garbage, nobody, reset, serving
from tests.network_namespace import in_namespace
from tests.scripted_probe import ports
from tests.virtual_clock import RealClock

HOLDING_PEER = """
import socket, sys, time
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
kept = []
while True:
    kept.append(server.accept())
"""


def tcp(port: int, host: str = LOOPBACK, **options: Any) -> TcpProbe:
    return TcpProbe("shop/web", TcpOptions(host=host, port=port, **options), ports(RealClock()))


async def greets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 ready\r\n")
    said = await reader.readline()
    writer.write(b"250 you said " + said)
    await writer.drain()
    await reader.read()


@contextlib.contextmanager
def no_more_files() -> Iterator[None]:
    """This process may open no file: EMFILE."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_a_port_that_accepts_is_up() -> None:
    async with serving(greets) as port:
        reading = await tcp(port).check()
    assert reading.outcome is Outcome.SUCCEEDED
    assert reading.facts == {"address": LOOPBACK}


async def test_a_port_that_nobody_listens_on_refuses() -> None:
    async with nobody() as port:
        reading = await tcp(port).check()
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.REFUSED)


async def test_the_expected_greeting_is_read_and_what_is_to_be_sent_is_sent() -> None:
    async with serving(greets) as port:
        assert (await tcp(port, expect="220 ").check()).outcome is Outcome.SUCCEEDED
        assert (await tcp(port, send="hello\n", expect="you said hello").check()).outcome is Outcome.SUCCEEDED


async def test_another_greeting_is_a_bad_answer_and_no_death() -> None:
    async def wrong(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"554 go away\r\n")
        await writer.drain()
        writer.close()

    async with serving(wrong) as port:
        reading = await tcp(port, expect="220").check()
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
    assert "554 go away" in reading.detail
    assert reading.shows_life


async def test_a_peer_that_talks_on_without_the_expected_text_is_a_bad_answer() -> None:
    async def talks(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with serving(talks) as port:
        reading = await tcp(port, expect="220").check()
    assert reading.failure is Failure.BAD_ANSWER


@pytest.mark.parametrize("handler", [reset, closes])
async def test_a_peer_that_hangs_up_has_reset(handler: Any) -> None:
    async with serving(handler) as port:
        reading = await tcp(port, expect="220").check()
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.RESET)


async def test_no_file_left_is_our_own_trouble() -> None:
    async with serving(garbage) as port:
        probe = tcp(port)
        with no_more_files():
            reading = await probe.check()
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.LOCAL)
    assert "Too many open files" in reading.detail


async def test_a_name_that_does_not_exist_is_unknown_and_not_down() -> None:
    reading = await tcp(1, host="no-such-host.invalid").check()
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.LOCAL)


def test_no_route_from_here_is_our_own_trouble() -> None:
    async def main() -> None:
        reading = await tcp(80, host="192.0.2.1").check()
        assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.LOCAL)
        assert "Network is unreachable" in reading.detail

    in_namespace(main, {})


async def test_each_address_of_a_name_is_tried() -> None:
    async with serving(garbage) as port:
        reading = await tcp(port, host="localhost").check()
    assert reading.outcome is Outcome.SUCCEEDED
    assert reading.facts["address"] == LOOPBACK


async def test_a_connection_of_the_socket_to_itself_is_no_success() -> None:
    """Nobody listens, but the kernel gives the socket the very port that it connects to."""
    with socket.socket() as spare:
        spare.bind((LOOPBACK, 0))
        port = spare.getsockname()[1]

    class Bound(socket.socket):
        def connect_ex(self, address: Any) -> int:
            self.bind(address)
            return super().connect_ex(address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sockets.socket, "socket", Bound)
        with pytest.raises(ConnectionRefusedError):
            await sockets.connect([Address(socket.AF_INET, (LOOPBACK, port))])


async def test_a_held_connection_that_ends_is_closed_without_a_word() -> None:
    for handler in (closes, reset):
        async with serving(handler) as port:
            reading = await tcp(port, hold=True).hold()
        assert reading is not None
        assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.CLOSED)


async def test_nothing_is_held_unless_it_is_asked_for_or_when_it_cannot_be_opened() -> None:
    async with serving(closes) as port:
        assert await tcp(port).hold() is None
    async with nobody() as port:
        assert await tcp(port, hold=True).hold() is None
    assert await tcp(1, host="no-such-host.invalid", hold=True).hold() is None


async def test_what_comes_on_a_held_connection_is_ignored() -> None:
    async with serving(garbage) as port:
        probe = tcp(port, hold=True)
        holding = asyncio.create_task(probe.hold())
        done, _pending = await asyncio.wait([holding], timeout=0.3)
        assert not done
        holding.cancel()
        await asyncio.wait([holding])


async def test_a_killed_peer_is_seen_by_its_held_connection_and_confirmed_by_fresh_ones() -> None:
    peer = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLDING_PEER, stdout=subprocess.PIPE)
    assert peer.stdout is not None
    port = int(await peer.stdout.readline())
    seen: list[Observation] = []
    told = asyncio.Event()
    scheduler = Scheduler(RealClock(), "ops1", lambda observation: (seen.append(observation), told.set()))
    # The interval is long: only the held connection can tell in time.
    scheduler.add("shop/web", tcp(port, hold=True), PROFILES["balanced"], interval_s=1.0)

    async def until(failure: Failure | None) -> None:
        async with asyncio.timeout(20):
            while not seen or seen[-1].failure is not failure:
                told.clear()
                await told.wait()

    try:
        await until(None)
        await asyncio.sleep(0)
        while not any(task.get_name().endswith("hold") for task in asyncio.all_tasks()):
            await asyncio.sleep(0)
        known = len(seen)
        peer.send_signal(signal.SIGKILL)
        await until(Failure.REFUSED)
    finally:
        await scheduler.aclose()
        with contextlib.suppress(ProcessLookupError):
            peer.kill()
        await peer.wait()
    failures = [observation.failure for observation in seen[known:] if observation.failure]
    assert failures[:2] == [Failure.CLOSED, Failure.REFUSED]
