"""The example of docs/adding-a-probe.md is a working probe."""

from __future__ import annotations

import asyncio
import re
import sys
import types
from pathlib import Path

import pytest

from model.observation import Failure
from probes.base import Probe
from tests.bad_servers import LOOPBACK, garbage, nobody, reset, serving
from tests.scripted_probe import ports
from tests.virtual_clock import RealClock

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-probe.md"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> type[Probe]:
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    module = types.ModuleType("documented_probe")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(code[1], module.__dict__)
    return module.RedisPingProbe  # type: ignore[no-any-return]


async def pongs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    assert await reader.readline() == b"PING\r\n"
    writer.write(b"+PONG\r\n")
    await writer.drain()
    await reader.read()


async def test_the_documented_probe_reads_every_kind_of_answer(example: type[Probe]) -> None:
    async def failure(port: int) -> Failure | None:
        options = example.Options(host=LOOPBACK, port=port)
        return (await example("shop/cache", options, ports(RealClock())).check()).failure

    for handler, expected in ((pongs, None), (garbage, Failure.BAD_ANSWER), (reset, Failure.RESET)):
        async with serving(handler) as port:
            assert await failure(port) is expected
    async with nobody() as port:
        assert await failure(port) is Failure.REFUSED
