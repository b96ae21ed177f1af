"""Probe type `http` against a real nginx: expectations, credentials, redirects, certificates."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from model.observation import Failure, Outcome
from probes.base import Reading
from probes.http import HttpOptions, HttpProbe
from probes.trace import listening
from tests.bad_servers import LOOPBACK, serving
from tests.nginx_server import Nginx, running_nginx
from tests.secrets_of_tests import ports_with

SESAME = "open sesame"
TOKEN = {"env": "TOKEN"}
PASSWORD = {"env": "PASSWORD"}


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with running_nginx(tmp_path_factory.mktemp("nginx")) as server:
        yield server


@pytest.fixture
def name_of_both_families(monkeypatch: pytest.MonkeyPatch) -> str:
    """A host with an IPv6 and an IPv4 address, as no resolver of a test machine need know one."""
    system = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, **options: Any) -> Any:
        if host == "both.example" and not options.get("flags"):
            return [*system("::1", port, **options), *system(LOOPBACK, port, **options)]
        return system(host, port, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return "both.example"


async def read(url: str, **options: Any) -> Reading:
    ports = ports_with(TOKEN="t0ken", PASSWORD=SESAME, WRONG="nonsense", BROKEN="two\r\nlines")
    return await HttpProbe("shop/web", HttpOptions(url=url, **options), ports).check()


async def wrong(url: str, **options: Any) -> str:
    """What a bad answer is said to be."""
    reading = await read(url, **options)
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
    return reading.detail


async def test_what_is_expected_of_headers(nginx: Nginx) -> None:
    url = nginx.url("/text")
    right = await read(
        url, expect_headers={"x-pool": "blue", "Server": ""}, expect_headers_match={"X-POOL": "^blue [0-9]$"}
    )
    assert right.outcome is Outcome.SUCCEEDED
    assert await wrong(url, expect_headers={"X-Pool": "green"}) == (
        "header X-Pool is 'blue 7', and 'green' is not in it"
    )
    assert await wrong(url, expect_headers={"X-Gone": ""}) == "no header X-Gone"
    assert "does not match '^green'" in await wrong(url, expect_headers_match={"X-Pool": "^green"})
    assert await wrong(url, expect_headers_match={"X-Gone": "."}) == "no header X-Gone"


async def test_what_is_expected_of_the_body(nginx: Nginx) -> None:
    url = nginx.url("/text")
    right = await read(url, body="is well", body_matches="^all .* well$", body_lacks="(?i)maintenance")
    assert right.outcome is Outcome.SUCCEEDED
    assert await wrong(url, body_matches="^none") == "the body does not match '^none'"
    assert await wrong(url, body_lacks="(?i)WELL") == "the body matches '(?i)WELL', and must not"


async def test_what_is_expected_of_json(nginx: Nginx) -> None:
    url = nginx.url("/json")
    item = "data.items[0]"
    expected = {f"{item}.state": "up", f"{item}.n": 1, f"{item}.ok": True, f"{item}.none": None}
    right = await read(url, expect_json={**expected, 'data["a.b"]': "dot"})
    assert right.outcome is Outcome.SUCCEEDED
    assert await wrong(url, expect_json={f"{item}.state": "down"}) == (
        'in the body, data.items[0].state is "up", expected "down"'
    )
    assert "is true, expected 1" in await wrong(url, expect_json={f"{item}.ok": 1})
    assert await wrong(url, expect_json={"data.items[3].state": "up"}) == (
        "in the body, data.items[3] is not there"
    )
    assert "is a list, expected 1" in await wrong(url, expect_json={"data.items": 1})
    assert "no JSON" in await wrong(nginx.url("/text"), expect_json={"a": 1})


async def test_nothing_is_unpacked_though_the_server_would_pack(nginx: Nginx) -> None:
    steps: list[str] = []
    with listening(steps.append):
        reading = await read(nginx.url("/json"), body='"state":"up"')
    assert reading.outcome is Outcome.SUCCEEDED
    assert [step.split()[0] for step in steps] == ["connected", "asked:", "answered:"]


async def test_credentials_are_sent_from_their_references(nginx: Nginx) -> None:
    reading = await read(nginx.url("/seen"), bearer=TOKEN, body="authorization=Bearer t0ken ")
    assert reading.outcome is Outcome.SUCCEEDED
    reading = await read(nginx.url("/basic"), user="ops", password=PASSWORD)
    assert reading.outcome is Outcome.SUCCEEDED


async def test_credentials_that_are_refused_are_unknown_and_never_shown(nginx: Nginx) -> None:
    steps: list[str] = []
    with listening(steps.append):
        reading = await read(nginx.url("/basic"), user="ops", password={"env": "WRONG"})
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.CREDENTIALS)
    assert "nonsense" not in f"{reading} {steps}"
    assert await wrong(nginx.url("/basic")) == "status 401, expected 2xx"
    assert await wrong(nginx.url("/closed"), bearer=TOKEN) == "status 403, expected 2xx"


async def test_a_secret_that_is_missing_or_fits_no_header_is_our_own_trouble(nginx: Nginx) -> None:
    for name in ("MISSING", "BROKEN"):
        reading = await read(nginx.url("/seen"), bearer={"env": name})
        assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.LOCAL)
        assert reading.detail.startswith(f"env:{name}: ")
        assert "two" not in reading.detail


async def test_a_redirect_is_an_answer_of_its_own_unless_it_is_to_be_followed(nginx: Nginx) -> None:
    assert await wrong(nginx.url("/moved")) == "status 302, expected 2xx"
    assert (await read(nginx.url("/moved"), status=[302])).outcome is Outcome.SUCCEEDED
    followed = await read(nginx.url("/moved"), redirects="follow", body="all is well")
    assert followed.outcome is Outcome.SUCCEEDED
    assert (followed.facts["status"], followed.facts["redirects"]) == (200, 1)
    kept = await read(nginx.url("/moved"), redirects="follow", status=[302])
    assert kept.facts["status"] == 302


async def test_redirects_have_an_end(nginx: Nginx) -> None:
    detail = await wrong(nginx.url("/loop"), redirects="follow", max_redirects=3)
    assert detail.startswith("over 3 redirects, the last to http://")


async def test_what_was_given_for_one_place_is_sent_to_no_other(nginx: Nginx) -> None:
    given: dict[str, Any] = {"redirects": "follow", "bearer": TOKEN, "headers": {"X-Probe": "shop"}}
    there = await read(nginx.url("/elsewhere"), **given, body="authorization=none x-probe=none")
    assert there.outcome is Outcome.SUCCEEDED
    # Nor within the other place, where it sends us on.
    there = await read(nginx.url("/wander"), **given, body="authorization=none x-probe=none")
    assert (there.outcome, there.facts["redirects"]) == (Outcome.SUCCEEDED, 2)
    # Nor when another place sends us back: it may have chosen what is asked for.
    first = nginx.url("/back", nginx.other)
    assert (await read(first, **given, body="authorization=none x-probe=none")).outcome is Outcome.SUCCEEDED


async def test_a_post_is_sent_on_within_its_place_only(nginx: Nginx) -> None:
    post: dict[str, Any] = {"method": "POST", "request_body": "{}", "redirects": "follow", "status": [200]}
    kept = await read(nginx.url("/moved-post"), **post, body="method=POST")
    assert kept.outcome is Outcome.SUCCEEDED
    assert "redirects the POST to another place" in await wrong(nginx.url("/elsewhere-post"), **post)


async def test_no_redirect_leads_from_https_to_http_unless_allowed(nginx: Nginx) -> None:
    secure: dict[str, Any] = {"redirects": "follow", "ca_file": nginx.made.file}
    up = await read(nginx.url("/secure"), **secure)
    assert up.outcome is Outcome.SUCCEEDED
    assert up.facts["certificate_ends_s"] == int(nginx.made.ends.timestamp())
    down = nginx.url("/downgrade", nginx.tls, "https")
    assert "redirects from https to http://" in await wrong(down, **secure)
    assert (await read(down, **secure, allow_downgrade=True)).outcome is Outcome.SUCCEEDED


async def test_a_client_certificate_opens_what_is_closed_without(nginx: Nginx) -> None:
    url = nginx.url("/text", nginx.mutual, "https")
    file = nginx.made.file
    assert (await read(url, ca_file=file, client_certificate=file)).outcome is Outcome.SUCCEEDED
    assert await wrong(url, ca_file=file) == "status 400, expected 2xx"


async def test_a_post_has_its_body_and_type() -> None:
    heard: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend([await reader.readuntil(b"\r\n\r\n"), await reader.readexactly(9)])
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()

    async with serving(handle) as port:
        url = f"http://{LOOPBACK}:{port}/"
        assert (await read(url, method="POST", request_body='{"a": 1}\n')).outcome is Outcome.SUCCEEDED
    assert b"Content-Type: application/json\r\n" in heard[0]
    assert b"Content-Length: 9\r\n" in heard[0]
    assert heard[1] == b'{"a": 1}\n'


async def test_both_families_must_answer_where_both_are_wanted(
    nginx: Nginx, name_of_both_families: str
) -> None:
    both = await read(f"http://{name_of_both_families}:{nginx.port}/text", family="both", body="all is well")
    assert both.outcome is Outcome.SUCCEEDED
    assert {name: said["address"] for name, said in both.facts["families"].items()} == {
        "ipv4": "127.0.0.1",
        "ipv6": "::1",
    }
    # Nobody listens there over IPv6: half of the clients are out, and something lives.
    half = await read(f"http://{name_of_both_families}:{nginx.other}/seen", family="both")
    assert (half.outcome, half.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
    assert half.facts["families"]["ipv6"]["failure"] == "refused"
    assert half.facts["families"]["ipv4"]["status"] == 200


async def test_one_family_is_asked_alone_on_redirects_too(nginx: Nginx, name_of_both_families: str) -> None:
    url = f"http://{name_of_both_families}:{nginx.port}"
    assert (await read(f"{url}/text", family="ipv6")).facts["address"] == "::1"
    assert (await read(f"{url}/moved", family="ipv6", redirects="follow")).facts["address"] == "::1"
    assert (await read(f"{url}/text", family="ipv4")).facts["address"] == "127.0.0.1"
    refused = await read(f"http://{name_of_both_families}:{nginx.other}/seen", family="ipv6")
    assert refused.failure is Failure.REFUSED
    none = await read(nginx.url("/text"), family="ipv6")
    assert (none.outcome, none.detail) == (Outcome.UNKNOWN, "it has no IPv6 address")
    detail = await wrong(f"{url}/elsewhere", family="ipv6", redirects="follow")
    assert detail.endswith("/seen, which has no address of ipv6")
