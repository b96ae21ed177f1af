"""A statement that was given up while the way was cut: it must not arrive when the way is whole again, when
others have acted meanwhile. Real kernels send what is in their queues for many seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from probes.pg_connect import PgTarget
from probes.pg_session import PgSession
from tests.pg_pair import PASSWORD, PgPair
from tests.relay import relay
from tests.routed_network import SERVER, Routed, in_routed_network

_SOCKETS = Path("/proc/thread-self/net/tcp")
_TIME_WAIT, _LISTENS = "06", "0A"


@pytest.fixture
def outside() -> Iterator[Executor]:
    """A thread that was started in the network of the servers, not in one of the test's."""
    with ThreadPoolExecutor(1) as executor:
        executor.submit(int).result()
        yield executor


def _connections() -> int:
    """TCP sockets of this thread's namespace that the kernel still has work with."""
    lines = _SOCKETS.read_text().splitlines()[1:]
    return sum(1 for line in lines if line.split()[3] not in (_TIME_WAIT, _LISTENS))


def test_a_statement_that_was_given_up_does_not_arrive_when_the_way_is_whole_again(
    pg_pair: PgPair, outside: Executor
) -> None:
    pg_pair.primary.sql("create table given_up (n int)")
    blackhole = ("blackhole", f"{SERVER}/32")

    async def main(net: Routed) -> None:
        async with relay(net.server.pid, SERVER, pg_pair.primary.port, outside) as port:
            where = PgTarget(SERVER, port, "postgres", "postgres", "bcm-test")
            session = PgSession(where)
            await session.open(PASSWORD)
            net.router.run("ip", "route", "add", *blackhole)
            asked = asyncio.ensure_future(session.query("insert into given_up values (1)"))
            await asyncio.sleep(0)  # it is in the kernel's queue
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            net.router.run("ip", "route", "del", *blackhole)
            async with asyncio.timeout(20):
                while _connections():
                    await asyncio.sleep(0.02)

    in_routed_network(main)
    assert pg_pair.primary.sql("select count(*) from given_up") == 0


def test_a_statement_that_has_arrived_is_not_given_up_by_closing_its_session(
    pg_pair: PgPair, outside: Executor
) -> None:
    """What a server has heard it does (P8): a reset cancels nothing."""
    pg_pair.primary.sql("create table heard (n int)")

    async def main(net: Routed) -> None:
        async with relay(net.server.pid, SERVER, pg_pair.primary.port, outside) as port:
            where = PgTarget(SERVER, port, "postgres", "postgres", "bcm-test")
            session, other = PgSession(where), PgSession(where)
            await session.open(PASSWORD)
            await other.open(PASSWORD)
            pid = session.backend_pid
            asked = asyncio.ensure_future(session.query("insert into heard select 1 from pg_sleep(0.2)"))
            async with asyncio.timeout(10):
                state = "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and pid = $1"
                while await other.query(state, (pid,)) != [(1,)]:
                    pass
                asked.cancel()
                await asyncio.gather(asked, return_exceptions=True)
                while await other.query("select count(*) from heard") != [(1,)]:
                    pass
            other.abort()

    in_routed_network(main)
