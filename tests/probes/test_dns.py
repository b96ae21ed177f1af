"""Probe type `dns`: a real BIND, and servers that do what none should."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rrset
import pytest
from pydantic import ValidationError

from model.observation import Failure, Outcome
from probes import dns as dns_probe
from probes.base import Reading
from probes.dns import DnsOptions, DnsProbe, resolvers
from tests.bad_servers import open_sockets
from tests.bind_server import LOOPBACK, SERIAL, running_bind
from tests.scripted_probe import ports
from tests.virtual_clock import RealClock


@pytest.fixture(scope="module")
def bind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with running_bind(tmp_path_factory.mktemp("bind")) as port:
        yield port


def probe(port: int, name: str = "www.shop.example", **options: Any) -> DnsProbe:
    given = {"name": name, "server": LOOPBACK, "port": port, **options}
    return DnsProbe("shop/dns", DnsOptions.model_validate(given), ports(RealClock()))


async def asked(port: int, name: str = "www.shop.example", **options: Any) -> Reading:
    return await asyncio.wait_for(probe(port, name, **options).check(), 10)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_the_right_answer_is_a_success_with_what_was_said(bind: int, transport: str) -> None:
    reading = await asked(bind, expect=["192.0.2.11", "192.0.2.10"], exact=True, transport=transport)
    assert reading.outcome is Outcome.SUCCEEDED, reading
    assert reading.facts == {
        "server": LOOPBACK,
        "transport": transport,
        "rcode": "NOERROR",
        "authoritative": True,
        "answers": ["192.0.2.10", "192.0.2.11"],
        "ttl_s": 120,
    }


@pytest.mark.parametrize(
    ("name", "record", "expected"),
    [
        ("www.shop.example", "aaaa", "2001:DB8:0::10"),
        ("alias.shop.example", "CNAME", "WWW.shop.example."),
        ("shop.example", "MX", "10 mail.shop.example"),
        ("shop.example", "TXT", '"v=spf1 -all" "two parts"'),
        ("shop.example", "NS", "ns1.shop.example."),
        ("_db._tcp.shop.example", "SRV", "0 5 5432 www.shop.example"),
        ("192.0.2.10", "PTR", "www.shop.example"),
        ("10.2.0.192.in-addr.arpa", "PTR", "www.shop.example"),
    ],
)
async def test_each_type_of_record_is_compared_as_dns_does(
    bind: int, name: str, record: str, expected: str
) -> None:
    reading = await asked(bind, name, record=record, expect=[expected], exact=True)
    assert reading.outcome is Outcome.SUCCEEDED, reading


async def test_the_serial_of_a_zone_is_a_fact(bind: int) -> None:
    assert (await asked(bind, "shop.example", record="SOA")).facts["serial"] == SERIAL


async def test_an_alias_is_followed_as_far_as_the_server_did(bind: int) -> None:
    reading = await asked(bind, "alias.shop.example", expect=["192.0.2.10"])
    assert reading.outcome is Outcome.SUCCEEDED
    assert (reading.facts["names"], reading.facts["ttl_s"]) == (["www.shop.example."], 30)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"expect": ["192.0.2.99"]}, "the answer lacks 192.0.2.99"),
        ({"expect": ["192.0.2.10"], "exact": True}, "the answer also has 192.0.2.11"),
        ({"record": "MX"}, "www.shop.example has no MX record"),
        ({"name": "nobody.shop.example"}, "NXDOMAIN for nobody.shop.example A, expected NOERROR"),
        ({"name": "www.elsewhere.example"}, "REFUSED for"),
        ({"name": "www.broken.example"}, "SERVFAIL for"),
        ({"rcode": "NXDOMAIN"}, "NOERROR for www.shop.example A, expected NXDOMAIN"),
    ],
)
async def test_another_answer_is_a_bad_one_of_a_server_that_lives(
    bind: int, options: dict[str, Any], text: str
) -> None:
    reading = await asked(bind, **options)
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
    assert reading.detail.startswith(text)
    assert reading.facts["rcode"] in text or reading.facts["rcode"] == "NOERROR"


@pytest.mark.parametrize(
    ("name", "rcode"), [("nobody.shop.example", "nxdomain"), ("www.elsewhere.example", "REFUSED")]
)
async def test_a_code_that_is_expected_is_a_success(bind: int, name: str, rcode: str) -> None:
    assert (await asked(bind, name, rcode=rcode)).outcome is Outcome.SUCCEEDED


async def test_a_truncated_answer_is_asked_for_again_over_tcp(bind: int) -> None:
    reading = await asked(bind, "big.shop.example", record="TXT")
    assert reading.outcome is Outcome.SUCCEEDED
    assert (reading.facts["transport"], len(reading.facts["answers"])) == ("tcp", 20)


async def test_both_families_of_the_server_are_asked(
    bind: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text(f"nameserver ::1\nnameserver {LOOPBACK}\n")
    monkeypatch.setattr(dns_probe, "RESOLV_CONF", file)
    reading = await asked(bind, server="", family="both")
    assert reading.outcome is Outcome.SUCCEEDED, reading
    assert {said["server"] for said in reading.facts["families"].values()} == {"::1", LOOPBACK}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_nobody_at_the_port_refuses(transport: str) -> None:
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind((LOOPBACK, 0))
        port = tcp.getsockname()[1]
        with contextlib.suppress(OSError):
            udp.bind((LOOPBACK, port))
        udp.close()
        reading = await asked(port, transport=transport)
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.REFUSED)


class Server(asyncio.DatagramProtocol):
    """`answer` makes datagrams of a question's."""

    def __init__(self, answer: Callable[[bytes], list[bytes]]) -> None:
        self.answer = answer
        self.asked = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.asked.set()
        for wire in self.answer(data):
            self.transport.sendto(wire, addr)


@asynccontextmanager
async def serving_udp(
    answer: Callable[[bytes], list[bytes]], host: str = LOOPBACK, port: int = 0
) -> AsyncIterator[tuple[int, Server]]:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: Server(answer), (host, port))
    try:
        yield transport.get_extra_info("sockname")[1], server
    finally:
        transport.close()


def right(question: bytes, address: str = "192.0.2.10") -> bytes:
    response = dns.message.make_response(dns.message.from_wire(question))
    response.answer.append(dns.rrset.from_text("www.shop.example.", 60, "IN", "A", address))
    return response.to_wire()


async def test_what_is_no_answer_to_the_question_is_dropped_and_the_answer_awaited() -> None:
    def answer(question: bytes) -> list[bytes]:
        good, bad = right(question), right(question, "192.0.2.66")
        other = dns.message.make_response(dns.message.make_query("evil.example", "A"))
        other.id = dns.message.from_wire(question).id
        return [b"", b"garbage", bad[:1] + bytes([bad[1] ^ 1]) + bad[2:], other.to_wire(), question, good]

    async with serving_udp(answer) as (port, _server):
        reading = await asked(port, expect=["192.0.2.10"], exact=True)
    assert reading.outcome is Outcome.SUCCEEDED, reading


async def test_an_answer_cut_in_the_middle_of_a_record_is_truncated(bind: int) -> None:
    """Asked again over TCP, where nobody listens."""

    def answer(question: bytes) -> list[bytes]:
        whole = bytearray(right(question))
        whole[2] |= dns.flags.TC >> 8
        return [bytes(whole[:-14])]

    async with serving_udp(answer) as (port, _server):
        assert (await asked(port)).failure is Failure.REFUSED


async def test_a_server_that_says_nothing_is_left_to_the_deadline_and_let_go_at_once() -> None:
    before, tasks = open_sockets(), asyncio.all_tasks()
    async with serving_udp(lambda _question: []) as (port, server):
        served = open_sockets()
        attempt = asyncio.create_task(probe(port).check())
        await asyncio.wait_for(server.asked.wait(), 10)
        assert not attempt.done()
        assert len(open_sockets() - served) == 1
        attempt.cancel()
        await asyncio.wait([attempt])
        assert open_sockets() == served
    await asyncio.sleep(0)
    assert open_sockets() <= before
    assert asyncio.all_tasks() <= tasks


async def test_a_dead_resolver_does_not_keep_the_next_from_being_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text(f"# two\nnameserver 127.0.0.2\nnameserver {LOOPBACK}\noptions timeout:1\n")
    monkeypatch.setattr(dns_probe, "RESOLV_CONF", file)
    async with (
        serving_udp(lambda question: [right(question)]) as (port, _server),
        serving_udp(lambda _question: [], "127.0.0.2", port),
    ):
        reading = await asked(port, server="")
    assert (reading.outcome, reading.facts["server"]) == (Outcome.SUCCEEDED, LOOPBACK)


async def test_no_resolver_at_all_is_our_own_trouble(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(dns_probe, "RESOLV_CONF", tmp_path / "none")
    assert (await asked(53, server="")).failure is Failure.LOCAL
    (tmp_path / "none").write_text("search example\n")
    reading = await asked(53, server="")
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.LOCAL)


def test_resolv_conf_is_read_as_the_c_library_does() -> None:
    text = "nameserver 192.0.2.1 # ours\n#nameserver 192.0.2.2\n nameserver\tfe80::1%eth0\nnameserver\n"
    assert resolvers(text) == ["192.0.2.1", "fe80::1%eth0"]
    assert len(resolvers("nameserver 192.0.2.1\n" * 5)) == 3


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"record": "BANANA"}, "no type of record"),
        ({"record": "AXFR"}, "no type that can be asked for"),
        ({"rcode": "FINE"}, "no response code"),
        ({"expect": ["not an address"]}, "not a A record"),
        ({"record": "MX", "expect": ["mail"]}, "not a MX record"),
        ({"exact": True}, "give `expect` too"),
        ({"rcode": "NXDOMAIN", "expect": ["192.0.2.1"]}, "no records to `expect`"),
        ({"name": "a" * 64 + ".example"}, "not a name"),
    ],
)
def test_options_that_cannot_be_meant_are_errors_that_say_what_is_allowed(
    options: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValidationError, match=text):
        probe(53, **options)
