"""Probe type `tls`: real servers with good and bad certificates."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from model.observation import Failure, Outcome
from probes.base import Reading
from probes.tls import DAY_S, TlsProbe, TlsProbeOptions
from tests.bad_servers import open_sockets, serving, silent
from tests.scripted_probe import ports
from tests.tls_servers import LOOPBACK, Made, context_of, make, serving_starttls, serving_tls
from tests.virtual_clock import RealClock

NAME = "shop.example"
ROOT = make("Root of the tests", ca=True, days=3650)
BETWEEN = make("Between", ROOT, ca=True, days=400)
GOOD = make(NAME, BETWEEN, days=90)


@pytest.fixture(scope="module")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    file.write_bytes(ROOT.pem())
    return file


def probe(port: int, ca_file: Path, **options: Any) -> TlsProbe:
    given = {"host": LOOPBACK, "port": port, "server_name": NAME, "ca_file": ca_file, **options}
    return TlsProbe("shop/tls", TlsProbeOptions.model_validate(given), ports(RealClock()))


async def checked(made: Made, ca_file: Path, **options: Any) -> Reading:
    async with serving_tls(context_of(ca_file.parent, made)) as port:
        return await asyncio.wait_for(probe(port, ca_file, **options).check(), 10)


def is_bad(reading: Reading, text: str) -> None:
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.BAD_ANSWER), reading
    assert text in reading.detail


async def test_a_good_certificate_is_a_success_with_all_that_is_known_of_it(ca_file: Path) -> None:
    reading = await checked(GOOD, ca_file)
    assert reading.outcome is Outcome.SUCCEEDED, reading
    facts = dict(reading.facts)
    assert facts.pop("cipher").startswith("TLS_")
    assert facts == {
        "address": LOOPBACK,
        "verified": True,
        "version": "TLSv1.3",
        "certificate_ends_s": GOOD.ends_s,
        "certificate_begins_s": GOOD.ends_s - 120 * DAY_S,
        "subject": f"CN={NAME}",
        "issuer": "CN=Between",
        "names": [NAME],
        "chain_length": 3,
    }
    assert "ends in 90 days" in reading.detail


async def test_the_end_is_that_of_whichever_certificate_of_the_chain_ends_first(ca_file: Path) -> None:
    between = make("Ends soon", ROOT, ca=True, days=10)
    reading = await checked(make(NAME, between, days=90), ca_file)
    assert reading.facts["certificate_ends_s"] == between.ends_s


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (make(NAME, BETWEEN, days=-1), "expired"),
        (make(NAME, BETWEEN, begins=2), "not yet valid"),
        (make(NAME), "self-signed"),
        (make("other.example", BETWEEN), "Hostname mismatch"),
        (make(NAME, make("Another root", ca=True)), "unable to get local issuer"),
        (make(NAME, make("No authority", ROOT), days=90), "invalid CA"),
    ],
    ids=["expired", "not yet valid", "self-signed", "another name", "another root", "no authority"],
)
async def test_a_bad_certificate_is_told_with_why_and_with_its_end(
    made: Made, text: str, ca_file: Path
) -> None:
    reading = await checked(made, ca_file)
    is_bad(reading, text)
    assert reading.facts["certificate_ends_s"] == made.ends_s
    assert reading.facts["verified"] is False
    assert reading.facts["subject"] == made.certificate.subject.rfc4514_string()


async def test_too_few_days_left_fail_only_where_it_was_asked_for(ca_file: Path) -> None:
    made = make(NAME, BETWEEN, days=20)
    assert (await checked(made, ca_file)).outcome is Outcome.SUCCEEDED
    is_bad(await checked(made, ca_file, min_days=30), "ends in 20 days, at least 30")


async def test_without_verification_only_the_dates_count(ca_file: Path) -> None:
    assert (await checked(make("other.example"), ca_file, verify=False)).outcome is Outcome.SUCCEEDED
    is_bad(await checked(make(NAME, days=-1), ca_file, verify=False), "has expired")


async def test_an_old_version_of_tls_is_told(ca_file: Path) -> None:
    context = context_of(ca_file.parent, GOOD)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving_tls(context) as port:
        assert (await probe(port, ca_file).check()).facts["version"] == "TLSv1.2"
        is_bad(await probe(port, ca_file, min_version="TLSv1.3").check(), "TLSv1.2 was agreed on")


async def test_the_name_of_the_host_is_checked_where_no_other_is_given(ca_file: Path) -> None:
    is_bad(await checked(GOOD, ca_file, server_name=""), "IP address mismatch")


async def smtp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220-mail.example\r\n220 ESMTP\r\n")
    assert (await reader.readline()).startswith(b"EHLO ")
    writer.write(b"250-mail.example\r\n250-SIZE 1000\r\n250 starttls\r\n")
    assert await reader.readline() == b"STARTTLS\r\n"
    writer.write(b"220 go ahead\r\n")


async def postgresql(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    assert await reader.readexactly(8) == b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
    writer.write(b"S")


@pytest.mark.parametrize(("protocol", "prelude"), [("smtp", smtp), ("postgresql", postgresql)])
async def test_a_protocol_that_begins_in_the_clear_is_turned_into_tls(
    protocol: str, prelude: Any, ca_file: Path
) -> None:
    bad = make(NAME, BETWEEN, days=-1)
    for made, outcome in ((GOOD, Outcome.SUCCEEDED), (bad, Outcome.FAILED)):
        async with serving_starttls(context_of(ca_file.parent, made), prelude) as port:
            reading = await asyncio.wait_for(probe(port, ca_file, starttls=protocol).check(), 10)
        assert reading.outcome is outcome, reading
        assert reading.facts["certificate_ends_s"] == made.ends_s


@pytest.mark.parametrize(
    ("protocol", "said", "text"),
    [
        ("postgresql", b"N", "offers no TLS"),
        ("postgresql", b"H", "no PostgreSQL"),
        ("smtp", b"554 go away\r\n", "'554 go away', expected 220"),
        ("smtp", b"220 hello\r\n250 nothing\r\n", "does not offer STARTTLS"),
        ("smtp", b"220 hello\r\n250 STARTTLS\r\n454 not now\r\n", "'454 not now', expected 220"),
        ("smtp", b"220-" + b"x" * 70000, "no SMTP"),
        ("smtp", b"220-x\r\n" * 200, "no SMTP"),
    ],
)
async def test_a_server_that_does_not_turn_to_tls_is_a_bad_answer(
    protocol: str, said: bytes, text: str, ca_file: Path
) -> None:
    async def talks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await silent(reader, writer)

    async with serving(talks) as port:
        is_bad(await asyncio.wait_for(probe(port, ca_file, starttls=protocol).check(), 10), text)


async def test_a_cancelled_handshake_leaves_no_socket(ca_file: Path) -> None:
    asked = asyncio.Event()

    async def hears(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        asked.set()
        await silent(reader, writer)

    before = open_sockets()
    async with serving(hears) as port:
        attempt = asyncio.create_task(probe(port, ca_file).check())
        await asyncio.wait_for(asked.wait(), 10)
        attempt.cancel()
        await asyncio.wait([attempt])
    await asyncio.sleep(0)
    assert open_sockets() <= before


@pytest.mark.parametrize("name", [".example", "x" * 64, "a..b"])
def test_a_name_that_is_none_is_an_error(name: str, ca_file: Path) -> None:
    with pytest.raises(ValidationError, match="name"):
        probe(443, ca_file, server_name=name)
