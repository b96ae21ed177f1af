"""`/probe?target=&module=`: beside the real blackbox_exporter, and what it refuses to connect to."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import dns.message
import dns.rrset
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from config.loader import examine
from config.modules import BUILT_IN, ProbeModule
from config.positions import load_yaml
from config.schema import Estate
from controller import probe_shelf
from controller.adapters.secrets import SecretStore
from controller.api import blackbox
from controller.api.blackbox import ProbeEndpoint, timeout_of
from controller.api.public import HealthReport, PublicServer
from controller.estate_file import probe_findings
from controller.probe_modules import is_allowed, module_problem, parse_target
from model.errors import UsageError
from tests.bad_servers import LOOPBACK, nobody, open_sockets, serving, silent
from tests.fake_daemon import ESTATE
from tests.nginx_server import Nginx, running_nginx
from tests.pg_pair import free_port, wait_for
from tests.virtual_clock import RealClock

PROGRAM = "prometheus-blackbox-exporter"
SHORT = {"timeout": "0.3s"}
QUESTION = {"query_name": "www.shop.example", "query_type": "A"}


def estate_of(*patterns: str, **modules: dict[str, Any]) -> Estate:
    estate = yaml.safe_load(ESTATE)
    estate["daemon"]["probe_endpoint"] = list(patterns)
    return Estate.model_validate({**estate, "probe_modules": modules})


class Port:
    """Asks the endpoint on a real HTTP port."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session, self._port = session, port

    async def ask(self, target: str, module: str = "", scrape_s: str = "", **more: str) -> tuple[int, str]:
        query = {"target": target, **({"module": module} if module else {}), **more}
        headers = {blackbox.TIMEOUT_HEADER: scrape_s} if scrape_s else {}
        url = f"http://{LOOPBACK}:{self._port}/probe"
        async with self._session.get(url, params=query, headers=headers) as answer:
            return answer.status, await answer.text()

    async def series(self, target: str, module: str = "", **more: str) -> dict[str, float]:
        code, text = await self.ask(target, module, **more)
        assert code == 200, text
        return series_of(text)


class _NameServer(asyncio.DatagramProtocol):
    """Knows one address of every name."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        question = dns.message.from_wire(data)
        answer = dns.message.make_response(question)
        name = question.question[0].name
        answer.answer.append(dns.rrset.from_text(name, 60, "IN", "A", "192.0.2.10"))
        self._transport.sendto(answer.to_wire(), addr)


@asynccontextmanager
async def name_server() -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    transport, _protocol = await loop.create_datagram_endpoint(_NameServer, (LOOPBACK, 0))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


def series_of(text: str) -> dict[str, float]:
    """`name` or `name{phase}` → value."""
    return {
        s.name + ("{" + ",".join(sorted(s.labels.values())) + "}" if s.labels else ""): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


@asynccontextmanager
async def serving_probes(estate: Estate) -> AsyncIterator[Port]:
    endpoint = ProbeEndpoint(lambda: estate, RealClock(), SecretStore())
    server = PublicServer(
        f"{LOOPBACK}:0",
        health=lambda: HealthReport("ok", (), None, 5.0),
        routing=lambda _service: None,
        metrics=lambda: bytes,
        more=endpoint.routes(),
        closing=endpoint.aclose,
    )
    await server.start()
    assert server.port
    try:
        async with aiohttp.ClientSession() as session:
            yield Port(session, server.port)
    finally:
        await server.stop()


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with running_nginx(tmp_path_factory.mktemp("nginx")) as server:
        yield server


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory, nginx: Nginx) -> Iterator[str]:
    """URL of a real blackbox_exporter whose modules are like ours."""
    if shutil.which(PROGRAM) is None:
        pytest.skip(f"blackbox_exporter is not installed (Debian: {PROGRAM})")
    http = {"preferred_ip_protocol": "ip4", "follow_redirects": False}
    tls = {"tls_config": {"ca_file": str(nginx.made.file)}}
    modules: dict[str, Any] = {
        "http_2xx": {"prober": "http", "http": http},
        "https": {"prober": "http", "http": {**http, **tls}},
        "has_text": {"prober": "http", "http": {**http, "fail_if_body_not_matches_regexp": ["no such text"]}},
        "tcp_connect": {"prober": "tcp", "tcp": {"preferred_ip_protocol": "ip4"}},
        "tcp_expect": {"prober": "tcp", "tcp": {"query_response": [{"expect": "no such text"}]}},
        "tls": {"prober": "tcp", "tcp": {"preferred_ip_protocol": "ip4", "tls": True, **tls}},
        "icmp": {"prober": "icmp", "icmp": {"preferred_ip_protocol": "ip4"}},
        "dns": {"prober": "dns", "dns": {"preferred_ip_protocol": "ip4", **QUESTION}},
        "dns_other": {
            "prober": "dns",
            "dns": {"preferred_ip_protocol": "ip4", **QUESTION, "valid_rcodes": ["NXDOMAIN"]},
        },
    }
    config, port = tmp_path_factory.mktemp("exporter") / "blackbox.yml", free_port()
    config.write_text(yaml.safe_dump({"modules": {n: {**m, "timeout": "0.5s"} for n, m in modules.items()}}))
    process = subprocess.Popen(
        [PROGRAM, f"--config.file={config}", f"--web.listen-address={LOOPBACK}:{port}", "--log.level=error"],
        env=os.environ | {"GOMAXPROCS": "1"}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://{LOOPBACK}:{port}"

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"{url}/-/healthy", timeout=5):
                return True
        except OSError:
            assert process.poll() is None, "blackbox_exporter ended"
            return False

    try:
        wait_for(answers, "blackbox_exporter")
        yield url
    finally:
        process.kill()
        process.wait()


# What theirs tells and ours does not, and why: docs/operations/monitoring.md.
ONLY_THEIRS = {
    "http": {
        "probe_http_uncompressed_body_length",
        "probe_ssl_last_chain_expiry_timestamp_seconds",
        "probe_ssl_last_chain_info",
    },
    "tcp": set(),
    "icmp": {"probe_icmp_reply_hop_limit"},
    "tls": {"probe_ssl_last_chain_expiry_timestamp_seconds", "probe_ssl_last_chain_info"},
    "dns": {"probe_dns_additional_rrs", "probe_dns_authority_rrs"},
}
OURS = {"bcm_probe_unknown"}
# What both must say alike of the same target.
SAME = {
    "probe_success",
    "probe_ip_protocol",
    "probe_ip_addr_hash",
    "probe_http_status_code",
    "probe_http_content_length",
    "probe_http_version",
    "probe_http_ssl",
    "probe_tls_version_info{TLS 1.3}",
    "probe_dns_query_succeeded",
    "probe_dns_answer_rrs",
    "probe_failed_due_to_regex",
    "probe_ssl_earliest_cert_expiry",
}


@pytest.mark.parametrize(
    ("module", "target"),
    [
        ("http_2xx", "http://127.0.0.1:{nginx.port}/text"),
        ("http_2xx", "127.0.0.1:{nginx.port}/closed"),
        ("http_2xx", "http://127.0.0.1:{nginx.port}/moved"),
        ("http_2xx", "http://127.0.0.1:{nobody}/"),
        ("https", "https://127.0.0.1:{nginx.tls}/text"),
        ("has_text", "http://127.0.0.1:{nginx.port}/text"),
        ("tcp_connect", "127.0.0.1:{nginx.port}"),
        ("tcp_connect", "127.0.0.1:{nobody}"),
        ("tcp_expect", "127.0.0.1:{nginx.port}"),
        ("icmp", "127.0.0.1"),
        ("tls", "127.0.0.1:{nginx.tls}"),
        ("dns", "127.0.0.1:{names}"),
        ("dns_other", "127.0.0.1:{names}"),
    ],
)
async def test_it_says_what_blackbox_exporter_says(
    exporter: str, nginx: Nginx, module: str, target: str
) -> None:
    trusted = {"ca_file": str(nginx.made.file)}
    estate = estate_of(
        "127.0.0.0/8",
        https={"type": "http", "options": trusted},
        has_text={"type": "http", "options": {"body_matches": "no such text"}},
        tcp_expect={"type": "tcp", "options": {"expect": "no such text"}, **SHORT},
        tls={"type": "tls", "options": trusted},
        dns={"type": "dns", "options": {"name": "www.shop.example"}},
        dns_other={"type": "dns", "options": {"name": "www.shop.example", "rcode": "NXDOMAIN"}},
    )
    async with nobody() as free, name_server() as names, serving_probes(estate) as port:
        asked = target.format(nginx=nginx, nobody=free, names=names)
        ours = await port.series(asked, module)
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{exporter}/probe", params={"target": asked, "module": module}) as answer,
        ):
            theirs = series_of(await answer.text())
    kind = "http" if module in ("https", "has_text") else module.partition("_")[0]
    missing = {name.partition("{")[0] for name in set(theirs) - set(ours)}
    assert missing <= ONLY_THEIRS[kind]
    assert set(ours) - set(theirs) <= OURS
    alike = SAME & set(theirs)
    assert {n: ours[n] for n in alike} == {n: theirs[n] for n in alike}
    assert ours["bcm_probe_unknown"] == 0


async def test_a_grpc_server_is_asked_by_its_name() -> None:
    async with nobody() as free, serving_probes(estate_of("localhost", health={"type": "grpc"})) as port:
        found = await port.series(f"localhost:{free}", "health")
    assert (found["probe_success"], found["bcm_probe_unknown"]) == (0, 0)


async def test_it_is_off_until_targets_are_allowed() -> None:
    async with serving_probes(estate_of()) as port:
        code, text = await port.ask(LOOPBACK, "icmp")
    assert code == 404
    assert "daemon.probe_endpoint" in text


async def test_a_target_that_is_not_allowed_is_never_connected_to() -> None:
    heard: list[str] = []

    async def listen(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append("connected")
        writer.close()

    async with serving(listen) as peer, serving_probes(estate_of("10.0.0.0/8", "*.shop.example")) as port:
        for target in (
            f"{LOOPBACK}:{peer}",
            f"localhost:{peer}",
            f"[::ffff:{LOOPBACK}]:{peer}",
            f"2130706433:{peer}",
        ):
            assert (await port.ask(target, "tcp_connect"))[0] == 403, target
            assert (await port.ask(f"http://{target}/"))[0] == 403, target
    assert heard == []


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("11.1.2.3", False),
        ("fd00::1", True),
        ("www.shop.example", True),
        ("WWW.shop.example.", True),
        ("shop.example", False),
        ("www.shop.example.evil", False),
        ("10.1.2.3.evil", False),
        ("192.0.2.7", True),
        ("192.0.2.77", False),
    ],
)  # fmt: skip
def test_addresses_are_allowed_by_networks_and_names_by_patterns(host: str, allowed: bool) -> None:
    assert is_allowed(host, ["10.0.0.0/8", "fd00::/8", "*.shop.example", "192.0.2.7"]) is allowed


@pytest.mark.parametrize(
    ("type_", "target"),
    [
        ("http", ""),
        ("http", "ftp://host/"),
        ("http", "http://user:secret@host/"),
        ("http", "file:///etc/passwd"),
        ("tcp", "host"),
        ("tcp", "host:99999"),
        ("tcp", "host:80/x"),
        ("icmp", "host name"),
        ("icmp", "-f\n"),
        ("icmp", "пример"),
    ],
)
def test_what_is_no_target_is_refused(type_: str, target: str) -> None:
    with pytest.raises(UsageError):
        parse_target(type_, target)


async def test_what_is_wrong_with_a_request_is_said() -> None:
    async with serving_probes(estate_of("127.0.0.0/8")) as port:
        code, text = await port.ask(LOOPBACK, "no_such")
        assert (code, "there are: dns_tcp" in text) == (400, True)
        assert (await port.ask("", "icmp"))[0] == 400
        assert (await port.ask(LOOPBACK, "icmp", scrape_s="soon"))[0] == 400


async def test_an_unknown_outcome_is_marked_as_ours() -> None:
    """Port 0 of nobody's: the name can't be looked up, which says nothing of the target."""
    async with serving_probes(estate_of("*")) as port:
        found = await port.series("no-such-host.invalid", "icmp")
    assert found["probe_success"] == 0
    assert found["bcm_probe_unknown"] == 1
    assert found["probe_ip_protocol"] == 0


async def test_the_scrape_s_time_out_ends_it_before_the_module_s() -> None:
    async with serving(silent) as peer, serving_probes(estate_of("127.0.0.0/8")) as port:
        async with asyncio.timeout(4):  # the module's own is 5 s
            code, text = await port.ask(f"{LOOPBACK}:{peer}", "http_2xx", scrape_s="0.6")
    found = series_of(text)
    assert (code, found["probe_success"], found["probe_http_status_code"]) == (200, 0, 0)
    assert 0.1 <= found["probe_duration_seconds"] < 3


def test_the_time_out_leaves_prometheus_time_for_the_answer() -> None:
    module = ProbeModule(name="m", type="icmp", timeout=5.0)
    assert timeout_of(module, None) == 5.0
    assert timeout_of(module, "10") == 5.0
    assert timeout_of(module, "3") == 2.5
    assert timeout_of(module, "0.4") == 0.2
    for bad in ("0", "-1", "nan", "inf", "x"):
        with pytest.raises(UsageError):
            timeout_of(module, bad)


async def test_debug_shows_the_steps_and_the_module(nginx: Nginx) -> None:
    async with serving_probes(estate_of("127.0.0.0/8")) as port:
        _code, text = await port.ask(nginx.url("/text"), debug="true")
    assert re.search(r"ms  connected to 127\.0\.0\.1", text)
    assert "succeeded: status 200" in text
    assert "probe_success 1.0" in text
    assert '"type": "http"' in text


async def test_no_more_run_at_once_than_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blackbox, "MOST_AT_ONCE", 2)
    module = {"waits": {"type": "tcp", "options": {"expect": "hello"}, "timeout": "1s"}}
    async with serving(silent) as peer, serving_probes(estate_of("127.0.0.0/8", **module)) as port:
        asked = [port.ask(f"{LOOPBACK}:{peer}", "waits") for _ in range(5)]
        codes = [code for code, _text in await asyncio.gather(*asked)]
    assert sorted(codes) == [200, 200, 503, 503, 503]


async def test_probes_are_kept_few_and_nothing_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_shelf, "MOST_KEPT", 2)
    before = open_sockets()
    async with nobody() as free, serving_probes(estate_of("127.0.0.0/8")) as port:
        for last in range(1, 7):
            assert (await port.series(f"127.0.0.{last}:{free}", "tcp_connect"))["probe_success"] == 0
            assert "probe_success" in await port.series(f"127.0.0.{last}", "icmp")
    assert open_sockets() == before


@pytest.mark.parametrize(
    ("module", "problem"),
    [
        ({"type": "exec", "options": {"command": ["id"]}}, "can't be asked for over HTTP"),
        ({"type": "ssh"}, "can't be asked for over HTTP"),
        ({"type": "http", "options": {"redirects": "follow"}}, "could lead to hosts that are not allowed"),
        ({"type": "http", "options": {"status": [99]}}, "options.status.0"),
        ({"type": "tcp", "options": {"prot": 1}}, "options.prot"),
    ],
)
def test_a_module_that_could_do_harm_or_is_wrong_is_found_in_the_file(
    module: dict[str, Any], problem: str
) -> None:
    text = ESTATE.lstrip() + f"probe_modules:\n  m: {json.dumps(module)}\n"
    found = examine(load_yaml(text, file="e.yaml"), probe_findings).findings
    errors = [f for f in found if f.severity == "error"]
    assert len(errors) == 1
    assert problem in errors[0].what
    assert errors[0].line == len(text.splitlines())


def test_redirects_are_followed_where_every_target_is_allowed() -> None:
    module = ProbeModule(name="m", type="http", options={"redirects": "follow"})
    assert module_problem(module, ["*"]) is None
    assert all(module_problem(m, []) is None for m in BUILT_IN.values())


@pytest.mark.parametrize("pattern", ["10.0.0.0/33", "10.0.0.1/8", "a b", "host/24", ""])
def test_a_pattern_that_allows_nothing_sensible_is_refused(pattern: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must be a network|is no network"):
        estate_of(pattern)
