"""Probe type `mariadb` with real MariaDB servers: a primary with TLS, and a replica without."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.secrets import SecretRef
from controller.adapters.secrets import SecretStore
from model.observation import Failure, Outcome
from probes.addresses import Addresses
from probes.base import Reading
from probes.mariadb import MariadbOptions, MariadbProbe
from probes.mysql_errors import MyError
from probes.mysql_session import MySession
from probes.trace import listening
from tests.bad_servers import LOOPBACK, serving
from tests.mariadb_servers import (
    PASSWORD,
    MariadbServer,
    position,
    root_of_servers,
    running_pair,
    server_on_small_disk,
)
from tests.mariadb_servers import certificate as make_certificate
from tests.pg_pair import wait_for
from tests.scripted_probe import ports
from tests.virtual_clock import RealClock

SOON_S = 15.0
TABLE = "bcm_canary.probe"


@pytest.fixture(scope="module")
def certificate() -> Iterator[Path]:
    with root_of_servers() as root:
        yield make_certificate(root)


@pytest.fixture(scope="module")
def pair(certificate: Path) -> Iterator[tuple[MariadbServer, MariadbServer]]:
    tls = (f"--ssl-cert={certificate}", f"--ssl-key={certificate}")
    with running_pair(primary_options=tls) as servers:
        yield servers


@pytest.fixture
def primary(pair: tuple[MariadbServer, MariadbServer]) -> MariadbServer:
    return pair[0]


@pytest.fixture
def replica(pair: tuple[MariadbServer, MariadbServer]) -> MariadbServer:
    return pair[1]


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> SecretRef:
    file = tmp_path_factory.mktemp("secret") / "password"
    file.write_text(PASSWORD)
    file.chmod(0o600)
    return SecretRef(file=file)


@pytest.fixture
def probe(secret: SecretRef) -> Any:
    def make(server: MariadbServer | int, **options: Any) -> MariadbProbe:
        port = server if isinstance(server, int) else server.port
        given = {"host": LOOPBACK, "port": port, "user": "monitor", "password": secret, **options}
        ports_ = replace(ports(RealClock()), secrets=SecretStore())
        return MariadbProbe("shop/db1", MariadbOptions.model_validate(given), ports_)

    return make


async def run(probe: MariadbProbe) -> Reading:
    return await asyncio.wait_for(probe.check(), SOON_S)


@asynccontextmanager
async def session(server: MariadbServer, user: str = "plain") -> AsyncIterator[MySession]:
    addresses = await Addresses(LOOPBACK, server.port, RealClock()).get()
    opened = await MySession.open(addresses, user, PASSWORD)
    try:
        yield opened
    finally:
        opened.close()


async def until(condition: Any, what: str) -> Any:
    return await asyncio.to_thread(wait_for, condition, what)


async def test_a_primary_says_what_it_is(primary: MariadbServer, probe: Any) -> None:
    steps: list[str] = []
    aborted = primary.sql("show global status like 'aborted_clients'")
    with listening(steps.append):
        reading = await run(probe(primary, role="primary", read_table=TABLE))
    # The server counts, and logs, each session that ends without a goodbye.
    assert primary.sql("show global status like 'aborted_clients'") == aborted
    assert (reading.outcome, reading.detail) == (Outcome.SUCCEEDED, "primary")
    facts = reading.facts
    assert (facts["role"], facts["read_only"], facts["server_id"]) == ("primary", False, 1)
    assert facts["gtid_current_pos"] == facts["gtid_binlog_pos"] == position(primary)
    assert facts["replicas_connected"] == 1
    assert facts["max_connections"] == 20
    assert facts["threads_connected"] >= 1
    assert facts["uptime_s"] >= 0
    assert facts["semi_sync_enabled"] is facts["semi_sync_active"] is False
    assert facts["semi_sync_wait_point"] == "AFTER_COMMIT"
    assert "MariaDB" in facts["version"]
    assert "sources" not in facts
    told = "\n".join(steps)
    for step in ("resolved", "connected", "greeted by", "TLS", "logged in as monitor", "was read", "judged"):
        assert step in told
    assert PASSWORD not in told


async def test_a_replica_says_from_whom_and_how_far(
    primary: MariadbServer, replica: MariadbServer, probe: Any
) -> None:
    reading = await run(probe(replica, role="replica", max_behind="30s"))
    facts = reading.facts
    assert (reading.outcome, facts["role"], facts["read_only"]) == (Outcome.SUCCEEDED, "replica", True)
    assert facts["io_running"] is facts["sql_running"] is True
    assert facts["seconds_behind"] == 0
    assert facts["gtid_slave_pos"] == position(replica)
    (source,) = facts["sources"]
    assert (source["host"], source["port"], source["using_gtid"]) == (LOOPBACK, primary.port, "Slave_Pos")


async def test_the_wrong_role_is_a_bad_answer(
    primary: MariadbServer, replica: MariadbServer, probe: Any
) -> None:
    wrong = [await run(probe(replica, role="primary")), await run(probe(primary, role="replica"))]
    assert {reading.failure for reading in wrong} == {Failure.BAD_ANSWER}
    assert "should be a replica" in wrong[1].detail


async def test_a_replica_whose_thread_stands_is_bad_and_says_which(
    replica: MariadbServer, probe: Any
) -> None:
    replica.sql("stop slave io_thread")
    try:
        readings = [await run(probe(replica, role="replica")), await run(probe(replica, max_behind="30s"))]
        assert {reading.failure for reading in readings} == {Failure.BAD_ANSWER}
        assert "IO thread" in readings[0].detail
        assert readings[0].facts["seconds_behind"] is None
        # Nothing was said of a role: what it sees is told, and judged by nobody.
        assert (await run(probe(replica))).outcome is Outcome.SUCCEEDED
    finally:
        replica.sql("start slave io_thread")


async def test_a_replica_that_is_behind_is_bad(
    primary: MariadbServer, replica: MariadbServer, probe: Any
) -> None:
    replica.sql("stop slave; change master to master_delay = 3600; start slave")
    try:
        primary.sql(f"set timestamp = unix_timestamp() - 1800; insert into {TABLE} values (7, 0, 0)")
        async with asyncio.timeout(SOON_S):
            while (reading := await run(probe(replica, max_behind="10m"))).outcome is Outcome.SUCCEEDED:
                await asyncio.sleep(0.02)
        assert (await run(probe(replica, max_behind="1h"))).outcome is Outcome.SUCCEEDED
    finally:
        replica.sql("stop slave; change master to master_delay = 0; start slave")
    assert reading.failure is Failure.BAD_ANSWER
    assert "10m are allowed" in reading.detail
    await until(lambda: position(replica) == position(primary), "the replica has caught up")


@pytest.mark.parametrize("user", ["plain", "edward"])
async def test_each_kind_of_account_is_let_in(primary: MariadbServer, probe: Any, user: str) -> None:
    reading = await run(probe(primary, user=user))
    assert reading.outcome is Outcome.SUCCEEDED
    assert reading.facts["role"] is None
    assert "may not see the replication" in reading.detail
    assert (await run(probe(primary, user=user, role="primary"))).failure is Failure.CREDENTIALS


@pytest.mark.parametrize("user", ["monitor", "edward", "nobody"])
async def test_a_wrong_password_is_unknown(primary: MariadbServer, probe: Any, user: str) -> None:
    reading = await run(probe(primary, user=user, password=None))
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.CREDENTIALS)
    assert "1045" in reading.detail


async def test_no_room_is_saturated(primary: MariadbServer, probe: Any) -> None:
    async with session(primary, "crowded"):
        reading = await run(probe(primary, user="crowded"))
        assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.SATURATED)


async def test_more_connections_than_the_server_takes_are_told_before_the_login(
    primary: MariadbServer, probe: Any
) -> None:
    primary.sql("set global max_connections = 10")
    sessions: list[MySession] = []
    addresses = await Addresses(LOOPBACK, primary.port, RealClock()).get()
    try:
        with contextlib.suppress(MyError):
            while len(sessions) < 30:
                sessions += [await MySession.open(addresses, "plain", PASSWORD)]
        assert 0 < len(sessions) < 30
        assert (await run(probe(primary))).failure is Failure.SATURATED
    finally:
        for opened in sessions:
            opened.close()
        primary.sql("set global max_connections = 20")


async def test_a_table_that_is_not_there_or_not_for_us(primary: MariadbServer, probe: Any) -> None:
    missing = await run(probe(primary, read_table="bcm_canary.missing"))
    refused = await run(probe(primary, user="crowded", read_table=TABLE))
    assert (missing.outcome, missing.facts["role"]) == (Outcome.UNKNOWN, "primary")  # 1142: it may not look
    assert (refused.outcome, refused.failure) == (Outcome.UNKNOWN, Failure.CREDENTIALS)


async def test_a_row_is_written_and_counted(primary: MariadbServer, probe: Any) -> None:
    writing = probe(primary, write_table=TABLE, write_within="5s")
    readings = [await run(writing), await run(writing)]
    assert {reading.outcome for reading in readings} == {Outcome.SUCCEEDED}
    age = "unix_timestamp() - written_us div 1000000"
    n, age_s = primary.sql(f"select n, {age} from {TABLE} where id = 1").split()
    assert int(n) >= 2
    assert 0 <= int(age_s) < 60


async def test_a_server_that_refuses_writes_is_read_only(replica: MariadbServer, probe: Any) -> None:
    reading = await run(probe(replica, write_table=TABLE))
    assert (reading.failure, reading.facts["role"]) == (Failure.READ_ONLY, "replica")


async def test_a_row_that_somebody_has_locked_is_said_to_be_locked(
    primary: MariadbServer, probe: Any
) -> None:
    async with session(primary) as locking:
        await locking.query(f"lock tables {TABLE} write")
        reading = await run(probe(primary, write_table=TABLE, write_within="100ms"))
        assert reading.failure is Failure.LOCK_BLOCKED
        assert "lock" in reading.detail.lower()
        reading = await run(probe(primary, write_table=TABLE, write_within="10s"))
        assert reading.failure is Failure.LOCK_BLOCKED
        assert "1205" in reading.detail


async def test_a_write_that_waits_for_a_replica_is_told_and_does_not_pile_up(
    primary: MariadbServer, probe: Any
) -> None:
    writing = probe(primary, write_table=TABLE, write_within="200ms")
    primary.sql("set global rpl_semi_sync_master_timeout = 600000, global rpl_semi_sync_master_enabled = on")
    try:
        readings = await asyncio.gather(*(run(writing) for _ in range(3)))
        readings.append(await run(writing))
        assert {reading.failure for reading in readings} == {Failure.SYNC_BLOCKED}
        assert "semi-sync" in readings[0].detail
        assert readings[0].facts["semi_sync_active"] is True
        waiting = primary.sql("select count(*) from information_schema.processlist where info like 'insert%'")
        assert waiting.strip() == "1"
    finally:
        primary.sql("set global rpl_semi_sync_master_enabled = off")
    await until(
        lambda: primary.sql("select count(*) from information_schema.processlist where info like 'insert%'")
        .strip() == "0",
        "the write has ended",
    )  # fmt: skip
    assert (await run(writing)).outcome is Outcome.SUCCEEDED


async def test_a_full_disk_is_named_though_the_server_gives_no_error(probe: Any) -> None:
    """It waits for somebody to make room, a minute at a time."""
    with server_on_small_disk() as (server, disk):
        writing = probe(server, write_table=TABLE, write_within="200ms")
        assert (await run(writing)).outcome is Outcome.SUCCEEDED
        _fill(disk / "filler")
        async with asyncio.timeout(SOON_S):
            while (reading := await run(writing)).outcome is Outcome.SUCCEEDED:
                pass  # the last block of the log takes a few more
    assert (reading.failure, reading.facts["role"]) == (Failure.DISK_FULL, "standalone")


def _fill(file: Path) -> None:
    with file.open("wb", buffering=0) as filler:
        for size in (1024 * 1024, 512):
            with contextlib.suppress(OSError):
                while True:
                    filler.write(bytes(size))


async def test_tls_is_checked_where_it_is_required(
    primary: MariadbServer, replica: MariadbServer, probe: Any, certificate: Path
) -> None:
    checked = await run(probe(primary, tls="require", ca_file=certificate, server_name="db.example"))
    assert checked.outcome is Outcome.SUCCEEDED
    assert checked.facts["certificate_ends_s"] > 1_700_000_000
    wrong_name = await run(probe(primary, tls="require", ca_file=certificate, server_name="other.example"))
    stranger = await run(probe(primary, tls="require", server_name="db.example"))
    assert {wrong_name.failure, stranger.failure} == {Failure.BAD_ANSWER}
    assert "certificate" in stranger.detail
    none = await run(probe(replica, tls="require", verify=False))
    assert (none.outcome, none.failure) == (Outcome.UNKNOWN, Failure.CREDENTIALS)
    assert "no TLS" in none.detail
    assert "certificate_ends_s" not in (await run(probe(primary, tls="disable"))).facts


async def test_the_held_connection_tells_of_its_end(primary: MariadbServer, probe: Any) -> None:
    assert not probe(primary, hold=False).keeps_connection
    held = asyncio.create_task(probe(primary, user="plain").hold())
    threads = "select group_concat(id) from information_schema.processlist where user = 'plain'"
    connection = await until(
        lambda: (found := primary.sql(threads).strip()) and found != "NULL" and found, "it is held"
    )
    primary.sql(f"kill {connection}")
    reading = await asyncio.wait_for(held, SOON_S)
    assert reading.failure is Failure.CLOSED


async def test_a_server_that_is_stopped_in_its_tracks_is_not_trusted_and_let_go_at_once(
    replica: MariadbServer, probe: Any
) -> None:
    held = asyncio.create_task(probe(replica).hold())
    await until(lambda: "monitor" in replica.sql("show processlist"), "it is held")
    replica.signal(signal.SIGSTOP)
    try:
        attempt = asyncio.create_task(probe(replica).check())
        done, _ = await asyncio.wait({attempt, held}, timeout=0.3)
        assert not done
        attempt.cancel()
        held.cancel()
        done, _ = await asyncio.wait({attempt, held}, timeout=1.0)
        assert len(done) == 2
    finally:
        replica.signal(signal.SIGCONT)


async def test_a_crash_is_told_by_the_held_connection_and_then_refused(
    replica: MariadbServer, probe: Any
) -> None:
    held = asyncio.create_task(probe(replica).hold())
    await until(lambda: "monitor" in replica.sql("show processlist"), "it is held")
    replica.signal(signal.SIGKILL)
    reading = await asyncio.wait_for(held, SOON_S)
    replica.wait()
    assert reading.failure is Failure.CLOSED
    assert (await run(probe(replica))).failure is Failure.REFUSED
    assert await asyncio.wait_for(probe(replica).hold(), SOON_S) is None
    replica.start()


GREETING = (
    b"\x0a8.4.0\0\x07\0\0\0" + bytes(range(1, 9)) + b"\0\xff\xf7\x2d\x02\0\xff\xdf\x15" + bytes(10)
    + bytes(range(9, 21)) + b"\0caching_sha2_password\0"
)  # fmt: skip


def packet(sequence: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes([sequence]) + payload


async def test_a_password_is_never_sent_in_the_clear(probe: Any) -> None:
    """caching_sha2_password asks for the password itself where its cache is cold."""
    heard: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(packet(0, GREETING))
        heard.append(await reader.read(4096))
        writer.write(packet(2, b"\x01\x04"))
        heard.append(await reader.read(4096))

    async with serving(handle) as port:
        reading = await run(probe(port, tls="disable"))
        assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.CREDENTIALS)
        assert "under TLS only" in reading.detail
    assert PASSWORD.encode() not in b"".join(heard)


async def test_an_answer_without_an_end_is_cut_off(probe: Any) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(packet(0, GREETING))
        await reader.read(4096)
        writer.write(packet(2, b"\0\0\0\2\0\0\0"))
        await reader.read(4096)
        writer.write(packet(1, b"\x01") + packet(2, b"\x03def\0\0\0\x01a\0") + packet(3, b"\xfe\0\0\2\0"))
        sequence = 4
        while True:
            writer.write(packet(sequence, b"\xfd\x00\x00\x01" + bytes(65536)))
            sequence = (sequence + 1) % 256
            await writer.drain()

    async with serving(handle) as port:
        reading = await run(probe(port, tls="disable"))
    assert reading.failure is Failure.BAD_ANSWER
    assert "more than" in reading.detail


@pytest.mark.parametrize(
    "options",
    [
        {"write_table": "no_database"},
        {"read_table": "a.b; drop table c"},
        {"write_table": "a.`b`"},
        {"password": "correct horse"},
        {"write_within": "0s"},
        {"role": "boss"},
    ],
)
def test_options_that_can_not_be_right_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as caught:
        MariadbOptions.model_validate({"host": LOOPBACK, "user": "monitor", **options})
    assert "correct horse" not in str(caught.value).split("input_value")[0]
