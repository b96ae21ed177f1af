"""A probe type of somebody else's, from its own wheel: built, installed, loaded, listed and run."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.bad_servers import LOOPBACK, Handler, closes, nobody, reset, serving

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "third-party-probe"

RUN = """
import asyncio, json, sys
from probes.registry import load_probe_type
from probes.trace import listening
from tests.scripted_probe import ports
from tests.virtual_clock import RealClock

async def main():
    kind = load_probe_type("memcached")
    for given in json.loads(sys.argv[1]):
        probe = kind("shop/cache", kind.Options(**given), ports(RealClock()))
        seen = []
        with listening(seen.append):
            reading = await asyncio.wait_for(probe.check(), 10)
        print(json.dumps([reading.outcome, reading.failure, reading.detail, dict(reading.facts), len(seen)]))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment of a process that finds the example's distribution, installed beside ours."""
    built, target = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("site")
    build = ["-m", "build", "--wheel", "--no-isolation", "--skip-dependency-check", "--outdir", str(built)]
    _python(*build, str(EXAMPLE))
    (wheel,) = built.glob("*.whl")
    pip = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--no-index"]
    _python(*pip, "--target", str(target), str(wheel))
    return os.environ | {"PYTHONPATH": str(target)}


def _python(*arguments: str, **more: Any) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, timeout=60, cwd=ROOT, **more
    )
    return done.stdout


@asynccontextmanager
async def memcached(answer: bytes) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"version\r\n"
        writer.write(answer)
        await reader.read()

    async with serving(handle) as port:
        yield port


async def readings(installed: Mapping[str, str], *options: Mapping[str, Any]) -> list[list[Any]]:
    """What the installed type sees: outcome, failure, detail, facts, and how many steps it noted."""
    given = json.dumps([{"host": LOOPBACK, **each} for each in options])
    told = await asyncio.to_thread(_python, "-c", RUN, given, env=installed)
    return [json.loads(line) for line in told.splitlines()]


async def test_a_type_from_its_own_wheel_reads_a_healthy_peer(installed: Mapping[str, str]) -> None:
    async with memcached(b"VERSION 1.6.18\r\n") as port:
        anything, wanted, other = await readings(
            installed, {"port": port}, {"port": port, "version": "1.6."}, {"port": port, "version": "2."}
        )
    assert anything == wanted == ["succeeded", None, "version 1.6.18", {"version": "1.6.18"}, 2]
    assert other[:3] == ["failed", "bad_answer", "version 1.6.18, expected 2."]


@pytest.mark.parametrize("handler", [reset, closes])
async def test_a_peer_that_hangs_up_is_a_failure(installed: Mapping[str, str], handler: Handler) -> None:
    async with serving(handler) as port:
        ((outcome, failure, *_rest),) = await readings(installed, {"port": port})
    assert (outcome, failure) == ("failed", "reset")


async def test_what_is_no_memcached_is_a_bad_answer(installed: Mapping[str, str]) -> None:
    async with memcached(b"-ERR unknown command\r\n") as port:
        ((outcome, failure, detail, *_rest),) = await readings(installed, {"port": port})
    assert (outcome, failure) == ("failed", "bad_answer")
    assert detail.startswith("no memcached")


async def test_it_is_refused_where_nobody_listens(installed: Mapping[str, str]) -> None:
    async with nobody() as port:
        ((outcome, failure, *_rest),) = await readings(installed, {"port": port})
    assert (outcome, failure) == ("failed", "refused")


def test_it_is_listed_with_the_others(installed: Mapping[str, str]) -> None:
    listed = _python("-m", "controller.cli.main", "probe", "list", env=installed)
    shown = next(line for line in listed.splitlines() if line.startswith("memcached"))
    assert "Does a memcached answer, and is it of a version that is wanted?" in shown
