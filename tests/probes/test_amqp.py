"""Probe type `amqp` against a real RabbitMQ, and against peers that break the protocol."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import ValidationError

from model.observation import Failure, Outcome
from probes.amqp import AmqpOptions, AmqpProbe
from probes.amqp_frames import METHOD, Arguments, NoAmqpError, frame, long_bytes, method, short_text, table
from probes.base import Reading
from probes.trace import listening
from tests.bad_servers import closes, garbage, serving
from tests.certificates import LOOPBACK
from tests.rabbitmq_server import PASSWORD, RabbitMq, running_rabbitmq
from tests.secrets_of_tests import ports_with

CLOSE, START = (10, 50), (10, 10)


@pytest.fixture(scope="module")
def rabbit() -> Iterator[RabbitMq]:
    with running_rabbitmq() as server:
        yield server


def amqp(port: int, **options: Any) -> AmqpProbe:
    given = {"user": "probe", "password": {"env": "PASSWORD"}, "vhost": "shop", **options}
    ports = ports_with(PASSWORD=PASSWORD, WRONG="hunter2")
    return AmqpProbe("shop/queue", AmqpOptions(host=LOOPBACK, port=port, **given), ports)


async def read(port: int, **options: Any) -> Reading:
    return await asyncio.wait_for(amqp(port, **options).check(), 20)


@contextmanager
def alarm(rabbit: RabbitMq, function: str, on: str, off: str) -> Iterator[None]:
    rabbit.call(function, on)
    try:
        yield
    finally:
        rabbit.call(function, off)


async def blocked(rabbit: RabbitMq) -> Reading:
    """The first reading that tells of the alarm: the broker looks now and then."""
    async with asyncio.timeout(20):
        while (reading := await read(rabbit.port, publish=True)).outcome is Outcome.SUCCEEDED:
            pass
        return reading


async def test_a_login_tells_what_broker_it_is(rabbit: RabbitMq) -> None:
    steps: list[str] = []
    with listening(steps.append):
        reading = await read(rabbit.port)
    assert reading.outcome is Outcome.SUCCEEDED
    assert (reading.facts["product"], reading.facts["cluster_name"]) == ("RabbitMQ", "shop")
    assert reading.facts["version"][0].isdigit()
    assert "blocked" not in reading.facts
    assert [step.split()[0] for step in steps] == ["connected", "it", "logged", "opened"]
    assert PASSWORD not in str(steps)


async def test_a_message_is_confirmed(rabbit: RabbitMq) -> None:
    reading = await read(rabbit.port, publish=True)
    assert reading.outcome is Outcome.SUCCEEDED
    assert reading.facts["blocked"] is False


@pytest.mark.parametrize(
    ("function", "on", "off", "failure"),
    [
        ("vm_memory_monitor set_vm_memory_high_watermark", "0.0000001", "0.9", Failure.SATURATED),
        ("rabbit_disk_monitor set_disk_free_limit", '"9000GB"', '"1MB"', Failure.DISK_FULL),
    ],
)
async def test_publishers_that_are_blocked_are_found_by_a_message_alone(
    rabbit: RabbitMq, function: str, on: str, off: str, failure: Failure
) -> None:
    with alarm(rabbit, function, on, off):
        reading = await blocked(rabbit)
        assert (reading.outcome, reading.failure) == (Outcome.FAILED, failure)
        assert reading.facts["blocked"] is True
        assert (await read(rabbit.port)).outcome is Outcome.SUCCEEDED


async def test_whoever_is_not_let_in_is_unknown_and_no_secret_is_shown(rabbit: RabbitMq) -> None:
    steps: list[str] = []
    for options in (
        {"password": {"env": "WRONG"}},
        {"user": "nobody"},
        {"user": "outsider"},
        {"user": "reader", "publish": True},
    ):
        with listening(steps.append):
            reading = await read(rabbit.port, **options)
        assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.CREDENTIALS), options
        assert "hunter2" not in f"{reading} {steps}"
    assert (await read(rabbit.port, user="reader")).outcome is Outcome.SUCCEEDED
    missing = await read(rabbit.port, password={"env": "MISSING"})
    assert (missing.outcome, missing.failure) == (Outcome.UNKNOWN, Failure.LOCAL)


async def test_a_virtual_host_that_is_not_there_is_a_bad_answer(rabbit: RabbitMq) -> None:
    reading = await read(rabbit.port, vhost="gone")
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
    assert "vhost gone not found" in reading.detail
    assert reading.facts["product"] == "RabbitMQ"


async def test_a_virtual_host_without_room_is_saturated(rabbit: RabbitMq) -> None:
    reading = await read(rabbit.port, vhost="full")
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.SATURATED)


async def test_tls_and_its_certificate(rabbit: RabbitMq) -> None:
    trusted = await read(rabbit.tls_port, tls=True, ca_file=rabbit.made.file)
    assert trusted.outcome is Outcome.SUCCEEDED
    stranger = await read(rabbit.tls_port, tls=True)
    assert stranger.failure is Failure.BAD_ANSWER
    assert stranger.detail.startswith("certificate: ")


async def test_nothing_is_held_where_the_login_is_refused(rabbit: RabbitMq) -> None:
    assert await amqp(rabbit.port, user="nobody").hold() is None
    assert await amqp(rabbit.port, hold=False).hold() is None


async def test_a_broker_that_is_stopped_says_so_on_the_held_connection(rabbit: RabbitMq) -> None:
    """The last test with this server."""
    steps: list[str] = []
    with listening(steps.append):
        held = asyncio.create_task(amqp(rabbit.port).hold())
    async with asyncio.timeout(20):
        while not any(step.startswith("opened") for step in steps):
            await asyncio.sleep(0.01)
        rabbit.ask_to_stop()
        ended = await held
    assert ended is not None
    assert (ended.outcome, ended.failure) == (Outcome.FAILED, Failure.STOPPING)


def start(properties: bytes) -> bytes:
    return method(0, START, b"\0\x09" + properties + long_bytes(b"PLAIN") + long_bytes(b"en_US"))


async def talked_to(*answers: bytes) -> Reading:
    """A peer that says each after it has heard something."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.read(65536)
            writer.write(answer)
            await writer.drain()
        while await reader.read(65536):
            pass

    async with serving(handle) as port:
        return await read(port)


@pytest.mark.parametrize(
    "answer",
    [
        b"AMQP\x00\x01\x00\x00",  # AMQP 1.0 only
        frame(METHOD, 0, b"\x00\x0a\x00\x0a\x00\x09"),  # ends too early
        frame(METHOD, 0, b"\x00" * 6)[:-1] + b"\x00",  # without its end
        struct.pack(">BHI", METHOD, 0, 1 << 30),  # a gigabyte
        start(long_bytes(short_text("x") + b"F" + b"\xff\xff\xff\xff")),
        start(long_bytes(short_text("x") + b"?")),
        method(0, (10, 41), b"\0"),  # open-ok to nothing
        method(0, START, b"\0\x09" + table({}) + long_bytes(b"EXTERNAL") + long_bytes(b"en_US")),
    ],
)
async def test_what_breaks_the_protocol_is_a_bad_answer(answer: bytes) -> None:
    reading = await talked_to(answer)
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)


async def test_a_broker_that_is_being_stopped_says_so_at_the_login() -> None:
    text = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"
    stopping = method(0, CLOSE, struct.pack(">H", 320) + short_text(text) + bytes(4))
    reading = await talked_to(start(table({"product": "RabbitMQ"})), stopping)
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.STOPPING)
    assert reading.facts["product"] == "RabbitMQ"


async def test_garbage_is_a_bad_answer_and_a_peer_that_hangs_up_a_reset() -> None:
    async with serving(garbage) as port:
        assert (await read(port)).failure is Failure.BAD_ANSWER
    async with serving(closes) as port:
        assert (await read(port)).failure is Failure.RESET


def test_tables_within_tables_have_an_end() -> None:
    nested = b""
    for _ in range(40):
        nested = short_text("x") + b"F" + long_bytes(nested)
    with pytest.raises(NoAmqpError, match="without end"):
        Arguments(long_bytes(nested)).table()


def test_values_of_every_type_are_read() -> None:
    array = long_bytes(b"t\x01b\xff")
    packed = b"".join(
        short_text(key) + value
        for key, value in {
            "t": b"t\x00", "S": b"S" + long_bytes("ö".encode()), "A": b"A" + array, "V": b"V",
            "I": b"I\xff\xff\xff\xff", "s": b"s\x00\x02", "T": b"T" + bytes(8), "D": b"D" + bytes(5),
        }.items()
    )  # fmt: skip
    assert Arguments(long_bytes(packed)).table() == {
        "t": False, "S": "ö", "A": [True, -1], "V": None, "I": -1, "s": 2, "T": 0, "D": bytes(5),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"user": "", "password": {"env": "P"}}, "at least 1 character"),
        ({"user": "probe", "password": "hunter2"}, "never written into the estate"),
        ({"user": "probe", "password": {"env": "P"}, "vhost": "ä" * 150}, "at most 255 bytes"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        AmqpOptions(host=LOOPBACK, **options)


def test_the_port_follows_tls() -> None:
    options = {"host": LOOPBACK, "user": "probe", "password": {"env": "P"}}
    assert AmqpOptions(**options).door == 5672  # type: ignore[arg-type]
    assert AmqpOptions(**options, tls=True).door == 5671  # type: ignore[arg-type]
