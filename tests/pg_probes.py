"""PostgreSQL probes on a pair of real servers, and the port of node access for what they read there."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from model.ports import CommandResult, NodeAccess, Secrets
from probes.base import Probe, ProbePorts, Reading
from tests.bad_servers import LOOPBACK
from tests.pg_pair import PASSWORD, PgServer
from tests.virtual_clock import RealClock

SOON_S = 10.0


class OneSecret(Secrets):
    """The password of every role in the pair, whatever is asked for."""

    def get(self, reference: Any) -> str:
        return PASSWORD


def ports(node: NodeAccess | None = None, secrets: Secrets | None = None) -> ProbePorts:
    return ProbePorts(RealClock(), secrets or OneSecret(), node)


def options(server: PgServer, **more: Any) -> dict[str, Any]:
    return {
        "host": LOOPBACK,
        "port": server.port,
        "user": "monitor",
        "password": {"env": "REFERENCE"},
        **more,
    }


@asynccontextmanager
async def watching(kind: type[Probe], server: PgServer, **more: Any) -> AsyncIterator[Any]:
    probe = kind("shop/m1", kind.Options(**options(server, **more)), ports())
    try:
        yield probe
    finally:
        await probe.aclose()


@asynccontextmanager
async def held(probe: Probe) -> AsyncIterator[asyncio.Task[Reading | None]]:
    """The probe's held connection, after a moment in which it was opened."""
    task = asyncio.create_task(probe.hold())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def until(condition: Any, what: str) -> None:
    """Wait for a condition that is cheap to ask, without blocking the loop."""
    async with asyncio.timeout(SOON_S):
        while not condition():
            await asyncio.sleep(0.01)


class ThisHost(NodeAccess):
    """Runs commands here, and counts them."""

    def __init__(self) -> None:
        self.ran: list[list[str]] = []

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        user: str | None = None,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        self.ran.append(list(argv))
        done = await asyncio.to_thread(
            subprocess.run, list(argv), capture_output=True, text=True, timeout=timeout_s, check=False
        )
        return CommandResult(done.returncode, done.stdout, done.stderr, 0.0)

    def describe(self, argv: Sequence[str], *, user: str | None = None) -> str:
        return " ".join(argv)
