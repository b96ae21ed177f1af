"""Probe type `redis` against real servers: a master with its replica, and one that is in trouble."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from model.observation import Failure, Outcome
from probes.base import Reading
from probes.redis import RedisOptions, RedisProbe
from probes.redis_judge import facts_of, parse_info, reading_of
from probes.resp import RedisError
from probes.trace import listening
from tests.bad_servers import closes, garbage, serving
from tests.certificates import Certificate, certificate
from tests.pg_pair import free_port, wait_for
from tests.redis_servers import LOOPBACK, PASSWORD, RedisServer
from tests.secrets_of_tests import ports_with

LOGIN = {"password": {"env": "PASSWORD"}}


def redis(port: int, **options: Any) -> RedisProbe:
    ports = ports_with(PASSWORD=PASSWORD, WRONG="hunter2")
    return RedisProbe("shop/cache", RedisOptions(host=LOOPBACK, port=port, **options), ports)


async def read(port: int, **options: Any) -> Reading:
    return await redis(port, **options).check()


@dataclass(frozen=True)
class Pair:
    master: RedisServer
    replica: RedisServer
    tls_port: int
    made: Certificate


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    root = tmp_path_factory.mktemp("redis")
    made, tls_port = certificate(root, days=30), free_port()
    secure = (
        f"tls-port {tls_port}",
        *(f"tls-{name} {made.file}" for name in ("cert-file", "key-file", "ca-cert-file")),
        "tls-auth-clients optional",
        f'user monitor on ">{PASSWORD}" ~bcm:* +ping +info +set +get',
    )
    master = RedisServer(root, "master", *secure, password=PASSWORD)
    replica = RedisServer(
        root, "replica", f"replicaof {LOOPBACK} {master.port}", f'masterauth "{PASSWORD}"', password=PASSWORD
    )
    try:
        master.start()
        replica.start()
        wait_for(lambda: "state=online" in master.cli("INFO", "replication"), "the replica is online")
        yield Pair(master, replica, tls_port, made)
    finally:
        replica.kill()
        master.kill()


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"), "troubled")
    try:
        yield server.start()
    finally:
        server.kill()


@contextmanager
def setting(server: RedisServer, name: str, value: str) -> Iterator[None]:
    before = server.cli("CONFIG", "GET", name).splitlines()[1]
    assert server.cli("CONFIG", "SET", name, value) == "OK"
    try:
        yield
    finally:
        assert server.cli("CONFIG", "SET", name, before) == "OK"


async def test_a_master_and_what_it_knows_of_its_replica(pair: Pair) -> None:
    reading = await read(pair.master.port, **LOGIN, role="master")
    assert (reading.outcome, reading.detail) == (Outcome.SUCCEEDED, "role master")
    facts = reading.facts
    assert (facts["role"], facts["connected_replicas"], facts["loading"]) == ("master", 1, False)
    assert facts["lag_s"] in range(5)
    assert min(facts["used_memory_bytes"], facts["max_clients"], facts["connected_clients"]) > 0
    assert facts["last_save_ok"] is True
    assert not any(isinstance(value, float) for value in facts.values())


async def test_a_replica_and_its_link(pair: Pair) -> None:
    reading = await read(pair.replica.port, **LOGIN, role="replica")
    assert reading.outcome is Outcome.SUCCEEDED
    assert (reading.facts["role"], reading.facts["link_up"]) == ("replica", True)
    assert reading.facts["replication_offset"] >= 0
    assert reading.facts["lag_s"] < 15


async def test_the_wrong_role_is_a_bad_answer(pair: Pair) -> None:
    reading = await read(pair.replica.port, **LOGIN, role="master")
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
    assert reading.detail == "role replica, expected master"


async def test_a_write_is_made_read_back_and_gone_by_itself(pair: Pair) -> None:
    key = "bcm:probe"
    assert (await read(pair.master.port, **LOGIN, write_key=key, write_ttl_s=50)).outcome is Outcome.SUCCEEDED
    assert pair.master.cli("GET", key) == "bcm-failover shop/cache 1"
    assert 0 < int(pair.master.cli("TTL", key)) <= 50


async def test_a_write_to_a_replica_is_read_only(pair: Pair) -> None:
    reading = await read(pair.replica.port, **LOGIN, write_key="bcm:probe")
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.READ_ONLY)
    assert reading.facts["role"] == "replica"


async def test_credentials_that_are_refused_are_unknown_and_never_shown(pair: Pair) -> None:
    steps: list[str] = []
    for options in (
        {},
        {"password": {"env": "WRONG"}},
        {"user": "nobody", **LOGIN},
        {"user": "monitor", **LOGIN, "write_key": "not:ours"},
    ):
        with listening(steps.append):
            reading = await read(pair.master.port, **options)
        assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.CREDENTIALS)
        assert "hunter2" not in f"{reading} {steps}"
        assert PASSWORD not in f"{reading} {steps}"
    missing = await read(pair.master.port, password={"env": "MISSING"})
    assert (missing.outcome, missing.failure) == (Outcome.UNKNOWN, Failure.LOCAL)


async def test_a_user_with_few_rights_is_enough(pair: Pair) -> None:
    reading = await read(pair.master.port, user="monitor", **LOGIN, write_key="bcm:probe")
    assert reading.outcome is Outcome.SUCCEEDED


async def test_tls_and_its_certificate(pair: Pair) -> None:
    secure = {**LOGIN, "tls": True}
    assert (await read(pair.tls_port, **secure, ca_file=pair.made.file)).outcome is Outcome.SUCCEEDED
    stranger = await read(pair.tls_port, **secure)
    assert stranger.failure is Failure.BAD_ANSWER
    assert stranger.detail.startswith("certificate: ")


@pytest.mark.parametrize(
    ("name", "value", "failure", "said"),
    [
        ("maxmemory", "1", Failure.SATURATED, "OOM"),
        ("min-replicas-to-write", "3", Failure.SYNC_BLOCKED, "NOREPLICAS"),
    ],
)
async def test_a_write_that_is_refused_says_why(
    troubled: RedisServer, name: str, value: str, failure: Failure, said: str
) -> None:
    with setting(troubled, name, value):
        reading = await read(troubled.port, write_key="bcm:probe")
        assert (reading.outcome, reading.failure) == (Outcome.FAILED, failure)
        assert reading.detail.startswith(said)
        assert (await read(troubled.port)).outcome is Outcome.SUCCEEDED
    assert (await read(troubled.port, write_key="bcm:probe")).outcome is Outcome.SUCCEEDED


async def test_a_server_that_cannot_save_refuses_writes(troubled: RedisServer) -> None:
    dump = troubled.root / "dump.rdb"
    dump.unlink(missing_ok=True)
    dump.mkdir()
    troubled.cli("BGSAVE")
    try:
        wait_for(lambda: "bgsave_status:err" in troubled.cli("INFO", "persistence"), "the save has failed")
        reading = await read(troubled.port, write_key="bcm:probe")
        assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
        assert reading.detail.startswith("MISCONF")
        assert reading.facts["last_save_ok"] is False
    finally:
        dump.rmdir()
        assert troubled.cli("SAVE") == "OK"


async def test_no_room_for_another_client_is_saturated(troubled: RedisServer) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, troubled.port)
    writer.write(b"CONFIG SET maxclients 1\r\n")
    assert await reader.readline() == b"+OK\r\n"
    try:
        reading = await read(troubled.port)
        assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.SATURATED)
    finally:
        writer.write(b"CONFIG SET maxclients 1000\r\n")
        assert await reader.readline() == b"+OK\r\n"
        writer.close()
        await writer.wait_closed()


async def test_a_replica_that_serves_nothing_without_its_master_is_a_bad_answer(tmp_path: Path) -> None:
    server = RedisServer(
        tmp_path, "lonely", f"replicaof {LOOPBACK} {free_port()}", "replica-serve-stale-data no"
    )
    try:
        server.start()
        reading = await read(server.port)
    finally:
        server.kill()
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
    assert reading.detail.startswith("MASTERDOWN")
    assert (reading.facts["role"], reading.facts["link_up"]) == ("replica", False)


async def test_a_server_that_loads_its_data_is_starting_and_a_killed_one_ends_what_is_held(
    tmp_path: Path,
) -> None:
    server = RedisServer(tmp_path, "loading").start()
    try:
        held = asyncio.create_task(redis(server.port).hold())
        while "name=bcm-failover" not in await asyncio.to_thread(server.cli, "CLIENT", "LIST"):
            assert not held.done()
        server.cli("DEBUG", "POPULATE", "2000")
        assert server.cli("SAVE") == "OK"
        server.kill()
        ended = await asyncio.wait_for(held, 10)
        assert ended is not None
        assert ended.failure is Failure.CLOSED
        server.start("key-load-delay 2000", "loading-process-events-interval-bytes 1024")
        reading = await read(server.port)
    finally:
        server.kill()
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.STARTING)
    assert reading.facts["loading"] is True


async def test_nothing_is_held_where_the_login_is_refused(pair: Pair) -> None:
    assert await redis(pair.master.port, password={"env": "WRONG"}).hold() is None
    assert await redis(pair.master.port, **LOGIN, hold=False).hold() is None


async def test_what_is_no_redis_is_a_bad_answer_and_one_that_hangs_up_a_reset() -> None:
    async def floods(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"$999999999999\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async def endless_line(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"+" * 65536)
            await writer.drain()

    for handler in (garbage, floods, endless_line):
        async with serving(handler) as port:
            reading = await asyncio.wait_for(read(port), 10)
            assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
    async with serving(closes) as port:
        assert (await read(port)).failure is Failure.RESET


@pytest.mark.parametrize(
    ("text", "at_login", "failure"),
    [
        ("MISCONF Errors writing to the AOF file: No space left on device", False, Failure.DISK_FULL),
        ("ERR invalid password", True, Failure.CREDENTIALS),
        ("ERR unknown command 'PING'", False, Failure.BAD_ANSWER),
        ("DENIED Redis is running in protected mode", False, Failure.CREDENTIALS),
        ("BUSY Redis is busy running a script", False, Failure.BAD_ANSWER),
    ],
)
def test_errors_are_sorted_by_what_they_say(text: str, at_login: bool, failure: Failure) -> None:
    reading = reading_of(RedisError(text), at_login=at_login)
    assert reading.failure is failure
    assert (reading.outcome is Outcome.UNKNOWN) == (failure is Failure.CREDENTIALS)


def test_facts_that_were_not_told_are_left_out() -> None:
    assert facts_of(parse_info("# Memory\r\nused_memory:nonsense\r\n")) == {}
    slow = "role:master\r\nslave0:ip=::1,port=1,state=online,offset=1,lag=3\r\nslave1:ip=::1,port=2,lag=9\r\n"
    assert facts_of(parse_info(slow)) == {"role": "master", "lag_s": 9}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"user": "ops"}, "has a `password`"),
        ({"role": "replica", "write_key": "k"}, "takes no writes"),
        ({"password": "hunter2"}, "never written into the estate"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        RedisOptions(host=LOOPBACK, **options)
