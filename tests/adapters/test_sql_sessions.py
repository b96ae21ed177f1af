from __future__ import annotations

import asyncio
import signal
import time
import traceback
from pathlib import Path
from typing import Any

import pytest

from config.schema import Estate
from controller.adapters.secrets import SecretStore
from controller.adapters.sql import MemberSession, SqlSessions
from model.ports import Sql, SqlError, SqlSession
from tests.bad_servers import LOOPBACK, black_hole, nobody, open_sockets, stalled
from tests.pg_pair import PASSWORD, PgPair, free_port, wait_for
from tests.pg_probes import until

pytestmark = pytest.mark.postgres

SOON_S = 10.0
SHORT_S = 0.3


def estate(pair: PgPair, secret: Path, *, order: tuple[str, ...] = (), spare_port: int = 1) -> Estate:
    """m1 is the pair's primary, m2 its standby, m3 whatever is at `spare_port`."""
    reference = {"file": str(secret)}
    ports = {"m1": pair.primary.port, "m2": pair.standby.port, "m3": spare_port}
    places = {"data_dir": "/data", "bin_dir": "/bin", "control": "pg_ctl", "node": "n1"}
    return Estate.model_validate(
        {
            "configVersion": 1,
            "sites": {"dc1": {"role": "primary"}},
            "nodes": {"n1": {"site": "dc1", "address": LOOPBACK}},
            "services": {
                "shop": {
                    "engine": "postgresql",
                    "endpoint": {"type": "dsn", "order": list(order)},
                    "postgresql": {
                        "roles": {
                            "monitor": {"user": "monitor", "password": reference},
                            "control": {"user": "writer", "password": reference},
                            "replication": {"user": "crowded", "password": reference},
                        }
                    },
                    "members": {
                        name: {**places, "port": port, "role": "primary" if name == "m1" else "standby"}
                        for name, port in ports.items()
                    },
                }
            },
        }
    )


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(PASSWORD + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def sql(pg_pair: PgPair, secret: Path) -> SqlSessions:
    return SqlSessions(estate(pg_pair, secret), SecretStore())


async def connect(sql: Sql, member: str = "m1", **changes: Any) -> MemberSession:
    options = {
        "role": "control",
        "database": "bcm_canary",
        "timeout_s": SOON_S,
        "application_name": "bcm-failover:lock:7",
        **changes,
    }
    session = await sql.connect("shop", member, **options)
    assert isinstance(session, MemberSession)
    return session


async def test_a_session_carries_the_role_and_the_name_that_were_asked_for(sql: SqlSessions) -> None:
    session: SqlSession = await connect(sql)
    rows = await session.query(
        "select current_user::text, application_name, pid = pg_backend_pid() from pg_stat_activity "
        "where pid = $1",
        (session.backend_pid,),
        timeout_s=SOON_S,
    )
    assert rows == [("writer", "bcm-failover:lock:7", True)]
    assert not session.closed
    await session.close()
    assert session.closed


async def test_an_advisory_lock_lives_as_long_as_its_session(pg_pair: PgPair, sql: SqlSessions) -> None:
    for member, server in (("m1", pg_pair.primary), ("m2", pg_pair.standby)):
        session = await connect(sql, member)
        assert await session.query("select pg_try_advisory_lock(7)", timeout_s=SOON_S) == [(True,)]
        other = await connect(sql, member)
        assert await other.query("select pg_try_advisory_lock(7)", timeout_s=SOON_S) == [(False,)]
        server.sql(f"select pg_terminate_backend({session.backend_pid})")
        await until(lambda: session.closed, "the session sees that it was ended")  # noqa: B023  # called here
        await other.close()


@pytest.mark.parametrize(
    ("changes", "sqlstate"), [({"role": "replication"}, "53300"), ({"database": "nowhere"}, "3D000")]
)
async def test_an_error_of_the_server_carries_its_sqlstate(
    sql: SqlSessions, changes: dict[str, str], sqlstate: str
) -> None:
    with pytest.raises(SqlError, match=f"shop/m1: .*{sqlstate}") as caught:
        await connect(sql, **changes)
    assert (caught.value.sqlstate, caught.value.refused, caught.value.outcome_unknown) == (
        sqlstate,
        False,
        False,
    )
    session = await connect(sql)
    with pytest.raises(SqlError) as failed:
        await session.query("select 1/0", timeout_s=SOON_S)
    assert (failed.value.sqlstate, failed.value.outcome_unknown) == ("22012", False)
    await session.close()


async def test_a_server_that_is_gone_is_refused(pg_pair: PgPair, secret: Path) -> None:
    async with nobody() as port:
        with pytest.raises(SqlError) as caught:
            await connect(SqlSessions(estate(pg_pair, secret, spare_port=port), SecretStore()), "m3")
    assert (caught.value.sqlstate, caught.value.refused) == (None, True)


@pytest.mark.parametrize("peer", [stalled, black_hole])
async def test_connecting_ends_with_the_time_out(pg_pair: PgPair, secret: Path, peer: Any) -> None:
    before = open_sockets()
    async with peer() as port:
        sessions = SqlSessions(estate(pg_pair, secret, spare_port=port), SecretStore())
        began_s = time.monotonic()
        with pytest.raises(SqlError, match=r"no session within 0.3 s") as caught:
            await connect(sessions, "m3", timeout_s=SHORT_S)
        assert time.monotonic() - began_s < SOON_S
    assert not caught.value.refused
    assert open_sockets() <= before


async def test_a_statement_on_a_hung_server_ends_with_the_time_out(pg_pair: PgPair, sql: SqlSessions) -> None:
    session = await connect(sql)
    pg_pair.primary.signal_tree(signal.SIGSTOP)
    try:
        began_s = time.monotonic()
        with pytest.raises(SqlError, match=r"no answer within 0.3 s") as caught:
            await session.query("select 1", timeout_s=SHORT_S)
        assert time.monotonic() - began_s < SOON_S
    finally:
        pg_pair.primary.signal_tree(signal.SIGCONT)
    assert caught.value.outcome_unknown
    assert session.closed
    with pytest.raises(SqlError):
        await session.query("select 1", timeout_s=SOON_S)


async def test_a_write_that_waits_is_left_alone_at_the_server(pg_pair: PgPair, sql: SqlSessions) -> None:
    server = pg_pair.primary
    mark = server.log_size()
    pg_pair.synchronous("nobody")
    session = await connect(sql)
    pid = session.backend_pid
    with pytest.raises(SqlError) as caught:
        await session.query("update canary set token = 'kept' where id = 1", timeout_s=SHORT_S)
    assert caught.value.outcome_unknown
    assert server.sql(f"select wait_event from pg_stat_activity where pid = {pid}") == "SyncRep"
    pg_pair.synchronous("")
    wait_for(lambda: not server.sql(f"select count(*) from pg_stat_activity where pid = {pid}"), "end")
    assert "canceling" not in server.log_since(mark)


async def test_a_success_whose_wait_was_cancelled_is_not_reported_as_one(
    pg_pair: PgPair, sql: SqlSessions
) -> None:
    server = pg_pair.primary
    pg_pair.synchronous("nobody")
    session = await connect(sql)
    update = asyncio.create_task(session.query("update canary set n = n + 1 where id = 1", timeout_s=SOON_S))
    waits = f"select wait_event from pg_stat_activity where pid = {session.backend_pid}"
    await asyncio.to_thread(wait_for, lambda: server.sql(waits) == "SyncRep", "SyncRep")
    server.sql(f"select pg_cancel_backend({session.backend_pid})")
    with pytest.raises(SqlError) as caught:
        await update
    assert caught.value.outcome_unknown
    await session.close()


async def test_no_secret_is_in_what_is_raised(pg_pair: PgPair, secret: Path) -> None:
    secret.write_text("p4ss'word\\")
    sessions = SqlSessions(estate(pg_pair, secret), SecretStore())
    with pytest.raises(SqlError) as caught:
        await connect(sessions)
    assert caught.value.sqlstate == "28P01"
    assert "p4ss" not in "".join(traceback.format_exception(caught.value))
    secret.unlink()
    with pytest.raises(SqlError, match="the secret can't be read"):
        await connect(sessions)


async def endpoint(sessions: SqlSessions, timeout_s: float = SOON_S) -> str:
    member, session = await sessions.connect_endpoint(
        "shop", role="control", database="bcm_canary", timeout_s=timeout_s
    )
    written = "update canary set n = n + 1 where id = 1 returning 1"
    assert await session.query(written, timeout_s=SOON_S) == [(1,)]
    await session.close()
    return member


@pytest.mark.parametrize("order", [(), ("m1",), ("m2", "m1"), ("m3", "m2", "m1")])
async def test_the_endpoint_leads_to_the_member_that_takes_writes(
    pg_pair: PgPair, secret: Path, order: tuple[str, ...]
) -> None:
    before = open_sockets()
    sessions = SqlSessions(estate(pg_pair, secret, order=order, spare_port=free_port()), SecretStore())
    assert await endpoint(sessions) == "m1"
    assert open_sockets() <= before


async def test_a_silent_host_does_not_hold_up_the_endpoint(pg_pair: PgPair, secret: Path) -> None:
    before = open_sockets()
    async with black_hole() as port:
        sessions = SqlSessions(estate(pg_pair, secret, order=("m3", "m1"), spare_port=port), SecretStore())
        # Before the kernel gives up on the silent one, after 5 s.
        assert await endpoint(sessions, 4.0) == "m1"
    assert open_sockets() <= before


async def test_a_fenced_primary_is_not_the_endpoint(pg_pair: PgPair, secret: Path) -> None:
    server = pg_pair.primary
    sessions = SqlSessions(estate(pg_pair, secret, order=("m1", "m2")), SecretStore())
    server.sql("alter system set default_transaction_read_only = on", "select pg_reload_conf()")
    try:
        wait_for(lambda: server.sql("show default_transaction_read_only") == "on", "reload")
        with pytest.raises(SqlError, match="m1: it is read-only; m2: it is read-only"):
            await endpoint(sessions, 1.0)
        waits = asyncio.create_task(endpoint(sessions))
        await asyncio.sleep(0)
        server.sql(
            "set default_transaction_read_only = off", "alter system reset default_transaction_read_only"
        )
        server.sql("select pg_reload_conf()")
        assert await waits == "m1"
    finally:
        server.sql(
            "set default_transaction_read_only = off", "alter system reset default_transaction_read_only"
        )
        server.sql("select pg_reload_conf()")
        wait_for(lambda: server.sql("show default_transaction_read_only") == "off", "reload")


async def test_an_endpoint_without_anybody_says_what_each_answered(pg_pair: PgPair, secret: Path) -> None:
    async with nobody() as port:
        sessions = SqlSessions(estate(pg_pair, secret, order=("m3", "m2"), spare_port=port), SecretStore())
        with pytest.raises(
            SqlError, match=r"endpoint of shop: nobody took writes .*m3: .*refused; m2: it is"
        ):
            await endpoint(sessions, 1.0)
