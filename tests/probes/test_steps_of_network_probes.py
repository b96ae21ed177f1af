"""What `probe run --debug` shows of the network's probe types: each step, as it was."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from probes.registry import load_probe_type
from probes.trace import listening
from tests.bad_servers import LOOPBACK, nobody, serving, silent
from tests.scripted_probe import ports
from tests.virtual_clock import RealClock


async def steps(type_: str, options: Mapping[str, Any], until: str) -> list[str]:
    """What is noted, until `until` is."""
    heard: list[str] = []
    seen = asyncio.Event()

    def hear(step: str) -> None:
        heard.append(step)
        if until in step:
            seen.set()

    cls = load_probe_type(type_)
    probe = cls("probe/it", cls.Options.model_validate(options), ports(RealClock()))
    with listening(hear):
        attempt = asyncio.create_task(probe.check())
    try:
        async with asyncio.timeout(10):
            await seen.wait()
    finally:
        attempt.cancel()
        await asyncio.wait([attempt])
        await probe.aclose()
    return heard


async def greets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 ready\r\n")
    await silent(reader, writer)


async def test_tcp_shows_whom_it_reached_what_it_sent_and_what_it_heard() -> None:
    async with serving(greets) as port:
        heard = await steps(
            "tcp", {"host": "localhost", "port": port, "send": "hello\n", "expect": "bye"}, "heard"
        )
    assert heard[0].startswith("localhost is ")
    assert heard[-3:] == [f"connected to {LOOPBACK}", r"sent 'hello\n'", r"heard b'220 ready\r\n'"]


async def test_a_connection_that_fails_is_shown_with_its_address() -> None:
    async with nobody() as port:
        heard = await steps("tcp", {"host": LOOPBACK, "port": port}, "could not")
    assert heard == [f"could not connect to {LOOPBACK}: Connection refused"]


@pytest.mark.parametrize(
    ("type_", "options", "shown"),
    [
        (
            "dns",
            {"name": "shop.example", "server": LOOPBACK, "transport": "tcp"},
            f"asked {LOOPBACK} over TCP",
        ),
        ("tls", {"host": LOOPBACK}, f"connected to {LOOPBACK}"),
        ("path", {"host": LOOPBACK, "method": "tcp"}, f"1: {LOOPBACK}"),
        ("gateway", {"address": LOOPBACK}, f"{LOOPBACK} answered: "),
    ],
)
async def test_each_type_shows_whom_it_asks(type_: str, options: dict[str, Any], shown: str) -> None:
    async with serving(silent) as port:
        heard = await steps(type_, {**options, "port": port}, shown)
    assert any(shown in step for step in heard)
