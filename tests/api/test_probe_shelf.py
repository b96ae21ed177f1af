"""The probes that `/probe` keeps: few, the last ones, closed when they are let go, of the estate in force."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from config.modules import BUILT_IN, ProbeModule
from controller import probe_shelf
from controller.probe_modules import parse_target
from controller.probe_shelf import ProbeShelf
from probes import addresses
from probes.addresses import Address
from probes.tcp import TcpProbe
from tests.scripted_probe import ports
from tests.virtual_clock import RealClock, settle

TCP = BUILT_IN["tcp_connect"]


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []

    async def aclose(self: TcpProbe) -> None:
        names.append(self.target)

    monkeypatch.setattr(TcpProbe, "aclose", aclose)
    return names


def shelf() -> ProbeShelf:
    clock = RealClock()
    return ProbeShelf(clock, ports(clock))


async def ask(kept: ProbeShelf, host: str, module: ProbeModule = TCP) -> object:
    probe, is_kept = await kept.probe(module, parse_target("tcp", f"{host}:80"), host)
    assert is_kept
    return probe


async def test_the_last_ones_are_kept_and_the_others_closed(
    closed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_shelf, "MOST_KEPT", 2)
    kept = shelf()
    first = await ask(kept, "a")
    await ask(kept, "b")
    assert await ask(kept, "a") is first
    await ask(kept, "c")
    await settle()
    assert closed == ["scrape/b"]
    assert await ask(kept, "a") is first
    await kept.aclose()
    assert sorted(closed) == ["scrape/a", "scrape/b", "scrape/c"]


async def test_a_module_of_another_estate_is_made_anew(closed: list[str]) -> None:
    kept = shelf()
    old = await ask(kept, "a")
    changed = TCP.model_copy(update={"options": {"expect": "hello"}})
    assert await ask(kept, "a", changed) is not old
    await settle()
    assert closed == ["scrape/a"]
    await kept.aclose()


async def test_two_scrapes_at_once_keep_one_probe(closed: list[str]) -> None:
    kept = shelf()
    target = parse_target("tcp", "a:80")
    found = await asyncio.gather(*(kept.probe(TCP, target, "a") for _ in range(3)))
    assert [is_kept for _probe, is_kept in found].count(True) == 1
    await kept.aclose()
    assert closed == ["scrape/a"]


async def test_addresses_are_of_the_family_that_is_asked_for() -> None:
    kept = shelf()
    assert (await kept.address("127.0.0.1", "any", 1.0)).host == "127.0.0.1"
    with pytest.raises(OSError, match="no address of ipv6"):
        await kept.address("127.0.0.1", "ipv6", 1.0)


async def test_a_name_that_is_slow_to_look_up_is_waited_for_within_the_scrape_s_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = threading.Event()

    def slow(_host: str, port: int, flags: int = 0) -> list[Address]:
        if flags:
            raise OSError("it is a name")
        assert answered.wait(20)
        return [Address(socket.AF_INET, ("192.0.2.7", port))]

    monkeypatch.setattr(addresses, "_addresses", slow)
    kept = shelf()
    with pytest.raises(OSError, match="looking up"):
        await kept.address("slow.example", "any", 0.1)
    asyncio.get_running_loop().call_later(2 * addresses.WAIT_S, answered.set)
    assert (await kept.address("slow.example", "any", 20.0)).host == "192.0.2.7"
