from __future__ import annotations

import asyncio
import signal
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from probes.pg_connect import PgTarget
from probes.pg_errors import SYNC_WAIT_FUNCTION, PgError
from probes.pg_session import PgSession
from tests.bad_servers import LOOPBACK, nobody, open_sockets, stalled
from tests.pg_pair import PASSWORD, PgPair, PgServer, wait_for

pytestmark = pytest.mark.postgres

SOON_S = 5.0


def target(server: PgServer, user: str = "monitor", database: str = "postgres") -> PgTarget:
    return PgTarget(LOOPBACK, server.port, user, database, "bcm-test")


@asynccontextmanager
async def session(
    server: PgServer, user: str = "writer", database: str = "bcm_canary"
) -> AsyncIterator[PgSession]:
    opened = PgSession(target(server, user, database))
    await opened.open(PASSWORD)
    try:
        yield opened
    finally:
        opened.abort()


async def refusal(
    server: PgServer, user: str = "monitor", password: str | None = PASSWORD, **changes: str
) -> PgError:
    attempt = PgSession(target(server, user, **changes))
    with pytest.raises(PgError) as caught:
        await attempt.open(password)
    assert attempt.closed
    return caught.value


async def waiting_for(server: PgServer, pid: int, event: str) -> None:
    statement = f"select wait_event from pg_stat_activity where pid = {pid}"
    await asyncio.to_thread(wait_for, lambda: server.sql(statement) == event, f"{pid} waits for {event}")


async def test_integers_booleans_and_nulls_are_converted_and_all_else_is_text(pg_pair: PgPair) -> None:
    async with session(pg_pair.primary) as opened:
        rows = await opened.query(
            "select $1::bigint + 1, $2::boolean, null, $3, 1.50::numeric", (41, True, "ö")
        )
        assert rows == [(42, True, None, "ö", "1.50")]
        assert await opened.query("select generate_series(1, 3)") == [(1,), (2,), (3,)]
        assert await opened.query("set statement_timeout = 0") == []
        assert opened.backend_pid > 0


async def test_a_result_of_many_megabytes_and_a_statement_of_many_are_passed(pg_pair: PgPair) -> None:
    text = "x" * 5_000_000
    async with session(pg_pair.primary) as opened:
        assert await opened.query("select $1::text", (text,)) == [(text,)]


async def test_an_error_leaves_the_session_usable(pg_pair: PgPair) -> None:
    async with session(pg_pair.primary) as opened:
        with pytest.raises(PgError) as caught:
            await opened.query("select 1/0")
        assert (caught.value.sqlstate, caught.value.sent) == ("22012", False)
        assert await opened.query("select 1") == [(1,)]


@pytest.mark.parametrize(
    ("user", "database", "password", "sqlstate"),
    [
        ("monitor", "postgres", "wrong", "28P01"),
        ("refused", "postgres", PASSWORD, "28000"),
        ("crowded", "postgres", PASSWORD, "53300"),
        ("monitor", "nowhere", PASSWORD, "3D000"),
    ],
)
async def test_a_refused_login_carries_its_sqlstate(
    pg_pair: PgPair, user: str, database: str, password: str, sqlstate: str
) -> None:
    error = await refusal(pg_pair.primary, user, password, database=database)
    assert error.sqlstate == sqlstate
    assert not error.refused


async def test_a_password_that_is_asked_for_and_not_there_is_told_apart(pg_pair: PgPair) -> None:
    error = await refusal(pg_pair.primary, password=None)
    assert error.rejected_here


async def test_a_closed_port_carries_its_errno() -> None:
    async with nobody() as port:
        attempt = PgSession(PgTarget(LOOPBACK, port, "monitor", "postgres", "bcm-test"))
        with pytest.raises(PgError) as caught:
            await attempt.open(PASSWORD)
    assert caught.value.refused


async def test_the_next_address_is_tried_where_one_refuses(pg_pair: PgPair) -> None:
    opened = PgSession(target(pg_pair.primary))
    await opened.open(PASSWORD, ["127.0.0.9", LOOPBACK])
    assert await opened.query("select 1") == [(1,)]
    opened.abort()


async def test_no_secret_is_in_any_error_or_description(pg_pair: PgPair) -> None:
    secret = "p4ss'w\\ord"
    errors = [
        await refusal(pg_pair.primary, password=secret),
        await refusal(pg_pair.primary, "refused", secret),
        await refusal(pg_pair.primary, password=f"{secret}\0"),
    ]
    for error in errors:
        assert "p4ss" not in "".join(traceback.format_exception(error))
    assert PASSWORD not in repr(target(pg_pair.primary))


async def test_a_hung_server_keeps_a_cancelled_statement_for_no_moment(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    before = open_sockets()
    async with session(server) as opened:
        server.signal_tree(signal.SIGSTOP)
        try:
            began_s = time.monotonic()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await opened.query("select 1")
            assert time.monotonic() - began_s < SOON_S  # psycopg's own connection takes 12 s
        finally:
            server.signal_tree(signal.SIGCONT)
        assert opened.closed
        assert opened.backend_pid == 0
        with pytest.raises(PgError):
            await opened.query("select 1")
    assert open_sockets() <= before


async def test_a_cancelled_statement_is_not_cancelled_at_the_server(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    mark = server.log_size()
    pg_pair.synchronous("nobody")
    async with session(server) as opened:
        update = asyncio.create_task(opened.query("update canary set n = 7, token = 'kept' where id = 1"))
        pid = opened.backend_pid
        await waiting_for(server, pid, "SyncRep")
        update.cancel()
        await asyncio.wait({update})
        assert server.sql(f"select wait_event from pg_stat_activity where pid = {pid}") == "SyncRep"
    pg_pair.synchronous("")
    wait_for(lambda: not server.sql(f"select count(*) from pg_stat_activity where pid = {pid}"), "end")
    assert server.sql("select token from canary", database="bcm_canary") == "kept"
    assert "canceling" not in server.log_since(mark)


async def test_abort_wakes_who_waits_with_the_reason_given(pg_pair: PgPair) -> None:
    async with session(pg_pair.primary) as opened:
        query = asyncio.create_task(opened.query("select pg_sleep(60)"))
        await waiting_for(pg_pair.primary, opened.backend_pid, "PgSleep")
        opened.abort(PgError("the deadline", sent=True))
        with pytest.raises(PgError, match="the deadline"):
            await query


async def test_abort_wakes_who_waits_for_a_connection() -> None:
    async with stalled() as port:
        attempt = PgSession(PgTarget(LOOPBACK, port, "monitor", "postgres", "bcm-test"))
        opening = asyncio.create_task(attempt.open(PASSWORD))
        await asyncio.sleep(0)
        while attempt._watch is None:
            await asyncio.sleep(0)
        attempt.abort()
        with pytest.raises(PgError):
            await opening


async def test_a_statement_that_the_server_is_killed_under_may_have_been_done(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    async with session(server) as opened:
        query = asyncio.create_task(opened.query("select pg_sleep(60)"))
        await waiting_for(server, opened.backend_pid, "PgSleep")
        server.kill()
        with pytest.raises(PgError) as caught:
            await asyncio.wait_for(query, SOON_S)
    assert caught.value.sent
    assert caught.value.sqlstate is None


async def test_a_session_that_is_ended_under_a_statement_says_by_whom(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    async with session(server) as opened:
        query = asyncio.create_task(opened.query("select pg_sleep(60)"))
        await waiting_for(server, opened.backend_pid, "PgSleep")
        server.sql(f"select pg_terminate_backend({opened.backend_pid})")
        with pytest.raises(PgError) as caught:
            await query
    assert (caught.value.sqlstate, caught.value.sent) == ("57P01", True)


async def test_a_success_whose_wait_for_a_standby_was_cancelled_is_no_success(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    pg_pair.synchronous("nobody")
    async with session(server) as opened:
        await opened.query("set client_min_messages = notice")
        update = asyncio.create_task(opened.query("update canary set n = n + 1 where id = 1"))
        await waiting_for(server, opened.backend_pid, "SyncRep")
        server.sql(f"select pg_cancel_backend({opened.backend_pid})")
        with pytest.raises(PgError) as caught:
            await update
    assert (caught.value.function, caught.value.sent) == (SYNC_WAIT_FUNCTION, True)


async def test_a_role_that_hides_warnings_does_not_hide_that_one(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    server.sql("alter role writer set client_min_messages = error")
    try:
        async with session(server) as opened:
            assert await opened.query("show client_min_messages") == [("warning",)]
    finally:
        server.sql("alter role writer reset client_min_messages")


async def test_a_wait_for_a_standby_that_is_ended_with_its_session_says_by_whom(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    pg_pair.synchronous("nobody")
    async with session(server) as opened:
        update = asyncio.create_task(opened.query("update canary set n = n + 1 where id = 1"))
        await waiting_for(server, opened.backend_pid, "SyncRep")
        server.sql(f"select pg_terminate_backend({opened.backend_pid})")
        with pytest.raises(PgError) as caught:
            await update
    assert (caught.value.sqlstate, caught.value.sent) == ("57P01", True)


async def test_an_idle_session_tells_how_it_was_ended(pg_pair: PgPair) -> None:
    server = pg_pair.primary
    async with session(server) as opened:
        assert opened.ended() is None
        watch = asyncio.create_task(opened.wait_end())
        server.sql(f"select pg_terminate_backend({opened.backend_pid})")
        end = await asyncio.wait_for(watch, SOON_S)
    assert end.notice is not None
    assert end.notice.sqlstate == "57P01"


async def test_watching_an_idle_session_can_stop_and_the_session_goes_on(pg_pair: PgPair) -> None:
    async with session(pg_pair.primary) as opened:
        watch = asyncio.create_task(opened.wait_end())
        await asyncio.sleep(0)
        watch.cancel()
        assert await opened.query("select 1") == [(1,)]
        assert opened.ended() is None


async def test_sessions_leave_no_descriptor_behind(pg_pair: PgPair) -> None:
    before = open_sockets()
    for _ in range(20):
        async with session(pg_pair.primary) as opened:
            await opened.query("select 1")
        await refusal(pg_pair.primary, password="wrong")
    assert open_sockets() <= before
