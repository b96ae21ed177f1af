"""Probe type `http` against real servers, with and without TLS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from model.errors import UsageError
from model.observation import Failure, Outcome
from probes.base import Reading
from probes.http import HttpOptions, HttpProbe
from tests.bad_servers import LOOPBACK, closes, garbage, nobody, reset, serving, silent
from tests.certificates import Certificate, certificate
from tests.scripted_probe import ports
from tests.virtual_clock import RealClock

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def http(url: str, **options: Any) -> HttpProbe:
    return HttpProbe("shop/web", HttpOptions(url=url, **options), ports(RealClock()))


@dataclass
class Web:
    """A server that answers every request with `answer`, and keeps what was asked."""

    answer: bytes
    requests: list[bytes]

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.answer)
        await writer.drain()
        await reader.read()


async def read(answer: bytes, path: str = "/", **options: Any) -> Reading:
    web = Web(answer, [])
    async with serving(web.handle) as port:
        return await asyncio.wait_for(http(f"http://{LOOPBACK}:{port}{path}", **options).check(), 10)


async def test_a_2xx_is_up_and_its_status_a_fact() -> None:
    reading = await read(OK)
    assert reading.outcome is Outcome.SUCCEEDED
    assert {**reading.facts, "status": 200, "address": LOOPBACK} == reading.facts
    phases = [reading.facts[f"{phase}_ms"] for phase in ("resolve", "connect", "first_byte")]
    assert all(isinstance(spent_ms, int) and spent_ms >= 0 for spent_ms in phases)


async def test_the_request_is_what_was_asked_for() -> None:
    web = Web(OK, [])
    async with serving(web.handle) as port:
        url = f"http://{LOOPBACK}:{port}/health?deep=1#top"
        await http(url, method="HEAD", headers={"Host": "shop.example", "X-Probe": "1"}).check()
    lines = web.requests[0].decode().split("\r\n")
    assert lines[0] == "HEAD /health?deep=1 HTTP/1.1"
    assert lines.count("Host: shop.example") == 1
    assert {"X-Probe: 1", "Connection: close", "Accept-Encoding: identity"} <= set(lines)
    assert "User-Agent: bcm-failover" in lines
    assert not any(line.startswith(f"Host: {LOOPBACK}") for line in lines)


@pytest.mark.parametrize("status", [404, 500, 503, 302])
async def test_another_status_is_a_bad_answer_of_something_alive(status: int) -> None:
    reading = await read(f"HTTP/1.1 {status} Nope\r\nLocation: /elsewhere\r\n\r\n".encode())
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
    assert reading.detail == f"status {status}, expected 2xx"
    assert reading.shows_life


async def test_a_status_that_is_named_is_right_and_others_are_not() -> None:
    answer = b"HTTP/1.1 401 Unauthorized\r\n\r\n"
    assert (await read(answer, status=[401, 403])).outcome is Outcome.SUCCEEDED
    assert (await read(OK, status=[401])).failure is Failure.BAD_ANSWER


async def test_the_expected_text_is_found_across_chunks() -> None:
    chunks = b"3;x=y\r\nall\r\n6\r\n is we\r\n2\r\nll\r\n0\r\n\r\n"
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    assert (await read(chunked, body="all is well")).outcome is Outcome.SUCCEEDED
    reading = await read(chunked, body="all is lost")
    assert (reading.failure, reading.detail) == (Failure.BAD_ANSWER, "'all is lost' is not in the body")
    assert reading.facts["status"] == 200


async def test_the_expected_text_is_found_with_a_length_and_with_none() -> None:
    assert (await read(OK, body="hello")).outcome is Outcome.SUCCEEDED

    async def until_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nhello")
        await writer.drain()
        writer.close()

    async with serving(until_the_end) as port:
        assert (await http(f"http://{LOOPBACK}:{port}/", body="hello").check()).outcome is Outcome.SUCCEEDED


async def test_informational_answers_are_passed_over() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + OK
    assert (await read(early, body="hello")).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000,
    ],
)
async def test_what_is_no_http_is_a_bad_answer_at_once(answer: bytes) -> None:
    reading = await read(answer, body="hello")
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)


@pytest.mark.parametrize(
    ("head", "endless", "said"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 4096, "over 65536 bytes without an end"),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 2048, "over 10 informational answers"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1" * 65536, "over 1024 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536, "'hello' is not in the body"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n", b"x" * 65536, "is not in the body"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1\r\nx\r\n" * 8192,
            "is not in the body",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", b"x" * 65536, "encoded as 'gzip'"),
    ],
)
async def test_a_flood_is_read_no_further_than_needed(head: bytes, endless: bytes, said: str) -> None:
    async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        while True:
            writer.write(endless)
            await writer.drain()

    async with serving(floods) as port:
        reading = await asyncio.wait_for(http(f"http://{LOOPBACK}:{port}/", body="hello").check(), 20)
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
    assert said in reading.detail


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"[" * 200_000, "no JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b'{"a": "' + b"x" * 300_000 + b'"}', "too long to read as JSON"),
        (b'{"a": {"b": 1}}', "a is an object, expected 1"),
        (b'{"a": "\\u001b[31m"}', "a is "),
    ],
)
async def test_json_of_every_kind_is_a_bad_answer_at_most(body: bytes, said: str) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    reading = await read(answer, expect_json={"a": 1})
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
    assert said in reading.detail
    assert reading.detail.isprintable()


async def test_a_body_in_thousands_of_pieces_is_read_no_further() -> None:
    """They come at once and are taken without a pause: nothing else would run meanwhile."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    end = b"5\r\nhello\r\n0\r\n\r\n"
    few, many = b"1\r\nx\r\n" * 4000, b"1\r\nx\r\n" * 5000
    assert (await read(head + few + end, body="hello")).outcome is Outcome.SUCCEEDED
    assert (await read(head + many + end, body="hello")).detail == "'hello' is not in the body"


async def test_of_a_header_that_is_repeated_every_value_counts() -> None:
    answer = b"HTTP/1.1 200 OK\r\nX-Pool: blue\r\nx-pool:  green \r\nContent-Length: 0\r\n\r\n"
    reading = await read(answer, expect_headers_match={"X-Pool": "^blue, green$"})
    assert reading.outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    "location",
    ["ftp://other/", "http://ops:hunter2@other/", "//", "http://:80/", "https://x:99999/", "http://a\xff b/"],
)
async def test_a_redirect_to_what_is_no_url_is_a_bad_answer_and_not_repeated(location: str) -> None:
    answer = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\n\r\n".encode("latin-1")
    reading = await read(answer, redirects="follow")
    assert reading.outcome is not Outcome.SUCCEEDED
    assert "hunter2" not in str(reading)
    lonely = await read(b"HTTP/1.1 302 Found\r\n\r\n", redirects="follow")
    assert (lonely.failure, lonely.detail) == (Failure.BAD_ANSWER, "status 302 without a Location")


async def test_a_connection_that_ends_in_the_middle_has_reset() -> None:
    async def breaks_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello")
        await writer.drain()
        writer.close()

    for handler in (closes, reset, breaks_off):
        async with serving(handler) as port:
            reading = await http(f"http://{LOOPBACK}:{port}/", body="world").check()
        assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.RESET)


async def test_nobody_there_refuses_and_an_unknown_name_is_unknown() -> None:
    async with nobody() as port:
        assert (await http(f"http://{LOOPBACK}:{port}/").check()).failure is Failure.REFUSED
    assert (await http("http://no-such-host.invalid/").check()).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"url": "ftp://shop/"}, "not a URL to probe"),
        ({"url": "shop.example"}, "not a URL to probe"),
        ({"url": "http://ops:secret@shop/"}, "no user and password"),
        ({"url": "http://shop/ x\r\nX: y"}, "no spaces or control characters"),
        ({"url": "http://shop:99999/"}, "out of range"),
        ({"url": "http://shop/", "headers": {"X": "a\r\nY: b"}}, "not a header"),
        ({"url": "http://shop/", "headers": {"Authorization": "Bearer x"}}, "no credentials in `headers`"),
        ({"url": "http://shop/", "headers": {"Connection": "keep-alive"}}, "the probe itself sets"),
        ({"url": "http://shop/", "method": "HEAD", "body": "x"}, "HEAD has no body"),
        ({"url": "http://shop/", "request_body": "x"}, "with `method: POST` only"),
        ({"url": "http://shop/", "body_matches": "("}, "not a pattern"),
        ({"url": "http://shop/", "expect_headers_match": {"X": "["}}, "not a pattern"),
        ({"url": "http://shop/", "expect_json": {"a..b": 1}}, "not a path"),
        ({"url": "http://shop/", "user": "ops"}, "go together"),
        ({"url": "http://shop/", "bearer": {"env": "T"}, "password": {"env": "T"}, "user": "o"}, "not both"),
        ({"url": "http://shop/", "bearer": "hunter2"}, "never written into the estate"),
        ({"url": "http://shop/", "ca_file": "ca.pem"}, "absolute path"),
        ({"url": "http://shop/", "client_key": "/k.pem"}, "give both"),
        ({"url": "http://shop/", "status": [99]}, "greater than or equal to 100"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        HttpOptions(**options)


def test_a_missing_file_of_authorities_is_named() -> None:
    with pytest.raises(UsageError, match=r"/no/such/ca\.pem"):
        http("https://shop/", ca_file="/no/such/ca.pem")


def test_a_certificate_without_its_key_is_named(tmp_path: Path) -> None:
    lonely = tmp_path / "lonely.pem"
    lonely.write_text("no certificate")
    with pytest.raises(UsageError, match="lonely"):
        http("https://shop/", client_certificate=lonely)


@asynccontextmanager
async def secure_web(made: Certificate) -> AsyncIterator[str]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(handle, LOOPBACK, 0, ssl=made.server_context)
    try:
        yield f"https://{LOOPBACK}:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        await server.wait_closed()


async def test_a_verified_certificate_is_accepted_and_its_end_a_fact(tmp_path: Path) -> None:
    made = certificate(tmp_path, days=30)
    async with secure_web(made) as url:
        reading = await http(url, ca_file=made.file, body="hello").check()
    assert reading.outcome is Outcome.SUCCEEDED
    assert reading.facts["certificate_ends_s"] == int(made.ends.timestamp())
    assert isinstance(reading.facts["tls_ms"], int)


async def test_a_certificate_that_does_not_verify_is_a_bad_answer(tmp_path: Path) -> None:
    made, expired = certificate(tmp_path, days=30), certificate(tmp_path, days=-1)
    async with secure_web(made) as url:
        unknown = await http(url).check()
        other_name = await http(url, ca_file=made.file, server_name="other.example").check()
        unchecked = await http(url, verify=False).check()
    async with secure_web(expired) as url:
        late = await http(url, ca_file=expired.file).check()
    for reading in (unknown, other_name, late):
        assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
        assert reading.detail.startswith("certificate: ")
    assert "expired" in late.detail
    assert "other.example" in other_name.detail
    assert unchecked.outcome is Outcome.SUCCEEDED
    assert unchecked.facts["certificate_ends_s"] == int(made.ends.timestamp())


async def test_a_peer_that_speaks_no_tls_is_a_bad_answer_and_one_that_hangs_up_a_reset() -> None:
    async with serving(garbage) as port:
        assert (await http(f"https://{LOOPBACK}:{port}/").check()).failure is Failure.BAD_ANSWER
    for handler in (closes, reset):
        async with serving(handler) as port:
            assert (await http(f"https://{LOOPBACK}:{port}/").check()).failure is Failure.RESET


async def test_a_handshake_that_is_cancelled_leaves_no_socket() -> None:
    closed = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await silent(reader, writer)
        closed.set()

    async with serving(handle) as port:
        attempt = asyncio.create_task(http(f"https://{LOOPBACK}:{port}/").check())
        await asyncio.sleep(0.05)
        attempt.cancel()
        await asyncio.wait_for(closed.wait(), 10)
        await asyncio.wait([attempt])
