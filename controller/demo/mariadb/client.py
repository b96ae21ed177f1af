"""The demo's client of MariaDB: each write is a row of its own, over the product's own speaker of the
protocol."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Sequence
from typing import Final

from controller.demo.mariadb.cluster import APP
from controller.demo.mariadb.node import MariadbNode
from controller.demo.settings import LOOPBACK
from controller.demo.verdict import Ack
from controller.demo.writer import DEADLINE_S, PACE_S, ROUND_WAIT_S, Log, arguments_of
from probes.addresses import Address
from probes.mysql_errors import MyError
from probes.mysql_session import MySession

MODULE: Final = "controller.demo.mariadb.client"
PASSWORD_VARIABLE: Final = "BCM_DEMO_PASSWORD"  # a name


def missing(survivor: MariadbNode, acks: Sequence[Ack]) -> int:
    """How many of them are not on it."""
    there = {int(n) for n in survivor.sql("SELECT n FROM app.written").split()}
    return sum(1 for ack in acks if ack.n not in there)


class _Writer:
    def __init__(self, ports: Sequence[int], log: Log, end: asyncio.Event) -> None:
        self._ports = ports
        self._log = log
        self._end = end
        self._n = 0

    async def run(self) -> None:
        while not self._end.is_set():
            for port in self._ports:
                if await self._use(port):
                    break
            else:
                await asyncio.sleep(ROUND_WAIT_S)

    async def _use(self, port: int) -> bool:
        """Write to this server for as long as it works. Was anything acknowledged?"""
        session, worked = None, False
        try:
            async with asyncio.timeout(DEADLINE_S):
                address = Address(socket.AF_INET, (LOOPBACK, port))
                session = await MySession.open([address], APP, os.environ[PASSWORD_VARIABLE])
            self._log(f"C {time.monotonic_ns()} 1 {port}")
            while not self._end.is_set():
                self._n += 1
                async with asyncio.timeout(DEADLINE_S):
                    await session.query(f"INSERT INTO app.written VALUES (1, {self._n})")
                worked = True
                self._log(f"A {time.monotonic_ns()} 1 {self._n} {port}")
                await asyncio.sleep(PACE_S)
        except TimeoutError:
            self._log(f"E {time.monotonic_ns()} 1 silent {port}")
        except MyError as error:
            self._log(f"E {time.monotonic_ns()} 1 {error.code or 'cut'} {port}")
        finally:
            if session is not None:
                session.close()
        return worked


async def _run(ports: Sequence[int], log: Log) -> None:
    end = asyncio.Event()
    writing = asyncio.create_task(_Writer(ports, log, end).run(), name="writer")
    await asyncio.to_thread(sys.stdin.read)
    end.set()
    await writing


def main(argv: Sequence[str] | None = None) -> int:
    """Runs until standard input is closed."""
    ports, log = arguments_of(argv)
    asyncio.run(_run(ports, log))
    log(f"Q {time.monotonic_ns()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
