"""Probe type `grpc` against real gRPC servers, and against peers that break the protocol."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded
from pydantic import ValidationError

from model.observation import Failure, Outcome
from probes.base import Reading
from probes.grpc import GrpcOptions, GrpcProbe
from probes.grpc_call import NoGrpcError, health_request, health_status
from probes.trace import listening
from tests.bad_servers import closes, garbage, serving
from tests.certificates import LOOPBACK, Certificate, certificate
from tests.secrets_of_tests import ports_with

Status = health_pb2.HealthCheckResponse


def probe(port: int, **options: Any) -> GrpcProbe:
    return GrpcProbe(
        "shop/orders", GrpcOptions(host=LOOPBACK, port=port, **options), ports_with(TOKEN="t0ken")
    )


async def read(port: int, **options: Any) -> Reading:
    return await asyncio.wait_for(probe(port, **options).check(), 20)


class Doorkeeper(grpc.ServerInterceptor):  # type: ignore[misc]
    """Refuses calls with the `code` that they ask for, and those with a wrong token."""

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        metadata = dict(details.invocation_metadata)
        name = metadata.get("x-refuse", "")
        if metadata.get("authorization", "Bearer t0ken") != "Bearer t0ken":
            name = "UNAUTHENTICATED"
        if not name:
            return continuation(details)

        def refuse(_request: Any, context: Any) -> None:
            context.abort(grpc.StatusCode[name], "no: 100 % — nein")

        return grpc.unary_unary_rpc_method_handler(refuse)


@dataclass(frozen=True)
class Server:
    port: int
    tls_port: int
    made: Certificate
    server: Any


@contextmanager
def running(root: Path, *, healthy: bool = True) -> Iterator[Server]:
    made = certificate(root, days=30)
    pem = made.file.read_bytes()
    server = grpc.server(ThreadPoolExecutor(4), interceptors=[Doorkeeper()])
    if healthy:
        servicer = health.HealthServicer()
        servicer.set("", Status.SERVING)
        servicer.set("orders", Status.SERVING)
        servicer.set("stock", Status.NOT_SERVING)
        servicer.set("ö" * 70, Status.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port(f"{LOOPBACK}:0")
    tls_port = server.add_secure_port(f"{LOOPBACK}:0", grpc.ssl_server_credentials([(pem, pem)]))
    server.start()
    try:
        yield Server(port, tls_port, made, server)
    finally:
        server.stop(None).wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("grpc")) as started:
        yield started


@pytest.mark.parametrize("service", ["", "orders", "ö" * 70])
async def test_a_service_that_serves_is_up(server: Server, service: str) -> None:
    steps: list[str] = []
    with listening(steps.append):
        reading = await read(server.port, service=service)
    assert (reading.outcome, reading.detail) == (Outcome.SUCCEEDED, "SERVING")
    assert reading.facts == {"grpc_status": 0, "serving_status": "SERVING"}
    assert [step.split()[0] for step in steps] == ["connected", "answered:"]


async def test_a_service_that_does_not_serve_is_a_bad_answer(server: Server) -> None:
    reading = await read(server.port, service="stock")
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
    assert reading.detail == "it says NOT_SERVING"
    assert reading.facts["serving_status"] == "NOT_SERVING"


async def test_a_service_that_nobody_knows_is_a_bad_answer(server: Server) -> None:
    reading = await read(server.port, service="gone")
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
    assert reading.detail.startswith("the server does not know the service 'gone'")


async def test_a_server_without_the_health_service_lives_and_its_health_is_unknown(tmp_path: Path) -> None:
    with running(tmp_path, healthy=False) as other:
        reading = await read(other.port)
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.BAD_ANSWER)
    assert reading.detail.startswith("the server does not offer grpc.health.v1")
    assert reading.shows_life


@pytest.mark.parametrize(
    ("code", "outcome", "failure"),
    [
        ("UNAUTHENTICATED", Outcome.UNKNOWN, Failure.CREDENTIALS),
        ("PERMISSION_DENIED", Outcome.UNKNOWN, Failure.CREDENTIALS),
        ("RESOURCE_EXHAUSTED", Outcome.FAILED, Failure.SATURATED),
        ("UNAVAILABLE", Outcome.FAILED, Failure.BAD_ANSWER),
    ],
)
async def test_a_call_that_is_refused_says_why(
    server: Server, code: str, outcome: Outcome, failure: Failure
) -> None:
    reading = await read(server.port, metadata={"x-refuse": code})
    assert (reading.outcome, reading.failure) == (outcome, failure)
    assert reading.detail.endswith("no: 100 % — nein")


async def test_a_bearer_token_is_sent_and_never_shown(server: Server) -> None:
    steps: list[str] = []
    with listening(steps.append):
        assert (await read(server.port, bearer={"env": "TOKEN"})).outcome is Outcome.SUCCEEDED
    assert "t0ken" not in str(steps)
    missing = await read(server.port, bearer={"env": "MISSING"})
    assert (missing.outcome, missing.failure) == (Outcome.UNKNOWN, Failure.LOCAL)


async def test_tls_and_its_certificate(server: Server) -> None:
    trusted = await read(server.tls_port, tls=True, ca_file=server.made.file)
    assert trusted.outcome is Outcome.SUCCEEDED
    assert trusted.facts["certificate_ends_s"] == int(server.made.ends.timestamp())
    stranger = await read(server.tls_port, tls=True)
    assert stranger.failure is Failure.BAD_ANSWER
    assert stranger.detail.startswith("certificate: ")
    assert (await read(server.port, tls=True, verify=False)).outcome is Outcome.FAILED


async def test_tls_without_http2_is_a_bad_answer(tmp_path: Path) -> None:
    made = certificate(tmp_path, days=30)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.transport.abort()

    web = await asyncio.start_server(handle, LOOPBACK, 0, ssl=made.server_context)
    async with web:
        reading = await read(web.sockets[0].getsockname()[1], tls=True, verify=False)
    assert (reading.failure, reading.detail) == (Failure.BAD_ANSWER, "it does not offer HTTP/2 (ALPN h2)")


async def test_a_server_that_is_stopped_takes_leave_of_the_held_connection(tmp_path: Path) -> None:
    steps: list[str] = []
    with running(tmp_path) as other:
        with listening(steps.append):
            held = asyncio.create_task(probe(other.port, hold=True).hold())
        async with asyncio.timeout(20):
            while not steps:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(other.server.stop(None).wait)
            ended = await held
    assert ended is not None
    assert ended.failure in (None, Failure.CLOSED)
    assert await probe(other.port).hold() is None


Peer = Callable[[H2Connection, int], None]


@asynccontextmanager
async def answering(answer: Peer) -> AsyncIterator[int]:
    """An HTTP/2 server that does `answer` to each request."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = H2Connection(H2Configuration(client_side=False))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, StreamEnded):
                    answer(connection, event.stream_id)
                assert not isinstance(event, RequestReceived) or event.headers
            writer.write(connection.data_to_send())
            await writer.drain()

    async with serving(handle) as port:
        yield port


def says(*headers: tuple[str, str], data: bytes = b"", trailers: bool = False) -> Peer:
    def answer(connection: H2Connection, stream_id: int) -> None:
        connection.send_headers(stream_id, list(headers), end_stream=not data and not trailers)
        if data:
            connection.send_data(stream_id, data, end_stream=not trailers)
        if trailers:
            connection.send_headers(stream_id, [("grpc-status", "0")], end_stream=True)

    return answer


OK = ((":status", "200"), ("content-type", "application/grpc"))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            says((":status", "404"), ("content-type", "text/html"), data=b"<html>"),
            "HTTP status 404, 'text/html'",
        ),
        (says(*OK, ("grpc-status", "nonsense")), "no gRPC"),
        (says(*OK, data=b"\0\0\0\0\xff\x08\x01", trailers=True), "cut off"),
        (says(*OK, data=b"\1\0\0\0\2\x08\x01", trailers=True), "packed"),
        (says(*OK, trailers=True), "no message"),
        (says(*OK, data=struct.pack(">BI", 0, 3) + b"\xff\xff\xff", trailers=True), "without an end"),
        (says(*OK, data=bytes(5000), trailers=True), "over 4096 bytes"),
        (lambda connection, stream_id: connection.reset_stream(stream_id, 2), "reset: INTERNAL_ERROR"),
        (lambda connection, _stream_id: connection.close_connection(1), "broke off: PROTOCOL_ERROR"),
    ],
)
async def test_what_is_no_grpc_is_a_bad_answer(answer: Peer, said: str) -> None:
    async with answering(answer) as port:
        reading = await read(port)
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
    assert said in reading.detail


async def test_a_server_that_takes_leave_before_it_answers_is_stopping() -> None:
    async with answering(
        lambda connection, _stream_id: connection.close_connection(0, last_stream_id=0)
    ) as port:
        reading = await read(port)
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.STOPPING)


async def test_a_call_that_a_server_still_answers_before_it_stops_is_up() -> None:
    goodbye = b"\0\0\x08\x07\0\0\0\0\0" + struct.pack(">II", 0x7FFFFFFF, 0)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = H2Connection(H2Configuration(client_side=False))
        connection.initiate_connection()
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, StreamEnded):
                    writer.write(goodbye)
                    says(*OK, data=b"\0\0\0\0\2\x08\1", trailers=True)(connection, event.stream_id)
            writer.write(connection.data_to_send())

    async def settings_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\0\0\0\x04\0\0\0\0\0")
        await handle(reader, writer)

    async with serving(settings_first) as port:
        assert (await read(port)).outcome is Outcome.SUCCEEDED


async def test_a_status_that_is_left_out_is_unknown_as_protobuf_has_it() -> None:
    async with answering(says(*OK, data=bytes(5), trailers=True)) as port:
        reading = await read(port)
    assert (reading.failure, reading.detail) == (Failure.BAD_ANSWER, "it says UNKNOWN")


async def test_garbage_is_a_bad_answer_a_flood_has_an_end_and_a_peer_that_hangs_up_has_reset() -> None:
    async def floods(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\0\0\0\x04\0\0\0\0\0")  # its settings
        while True:
            writer.write(b"\0\0\x08\x06\0\0\0\0\0\0\0\0\0\0\0\0\0" * 4096)  # and pings
            await writer.drain()

    async def speaks_http(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    handlers: list[Callable[..., Awaitable[None]]] = [garbage, floods, speaks_http]
    for handler in handlers:
        async with serving(handler) as port:
            reading = await read(port)
        assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
    async with serving(closes) as port:
        assert (await read(port)).failure is Failure.RESET


async def test_a_frame_that_is_too_long_is_a_bad_answer_at_once() -> None:
    async def announces(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\0\0\0\x04\0\0\0\0\0" + b"\xff\xff\xff\0\0\0\0\0\1")
        await reader.read()

    async with serving(announces) as port:
        reading = await read(port)
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)


def test_the_two_messages_are_those_of_protobuf() -> None:
    for service in ("", "orders", "x" * 200):
        assert health_request(service) == health_pb2.HealthCheckRequest(service=service).SerializeToString()
    for status in (Status.UNKNOWN, Status.SERVING, Status.NOT_SERVING, Status.SERVICE_UNKNOWN):
        assert health_status(Status(status=status).SerializeToString()) == status
    assert health_status(b"\x12\x02xy\x08\x01") == 1  # a field of later
    for broken in (b"\x08", b"\x0d\0\0\0\0", b"\x08" + b"\xff" * 12):
        with pytest.raises(NoGrpcError):
            health_status(broken)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"metadata": {"Authorization": "x"}}, "not a name of metadata"),
        ({"metadata": {"authorization": "x"}}, "use `bearer`"),
        ({"metadata": {"grpc-timeout": "1S"}}, "not a name of metadata"),
        ({"metadata": {"x": "a\nb"}}, "printable ASCII"),
        ({"bearer": "hunter2"}, "never written into the estate"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        GrpcOptions(host=LOOPBACK, port=1, **options)
