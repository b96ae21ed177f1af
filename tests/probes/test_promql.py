"""Probe type `promql` with a real Prometheus: what is stale counts for nothing."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.secrets import SecretRef
from controller.adapters.secrets import SecretStore
from model.observation import Failure, Outcome
from probes.base import Reading
from probes.promql import PromqlOptions, PromqlProbe, is_selector
from probes.trace import listening
from tests.bad_servers import LOOPBACK, nobody, serving, silent
from tests.mariadb_servers import certificate as make_certificate
from tests.prometheus_server import OLD_S, PASSWORD, USER, PrometheusServer, running_prometheus
from tests.scripted_probe import ports
from tests.virtual_clock import RealClock

SOON_S = 15.0
FRESH = {"fresh_series": "demo_value"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, certificate: Path) -> Iterator[PrometheusServer]:
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), certificate) as server:
        yield server


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> SecretRef:
    file = tmp_path_factory.mktemp("secret") / "password"
    file.write_text(PASSWORD)
    file.chmod(0o600)
    return SecretRef(file=file)


def probe(url: str, **options: Any) -> PromqlProbe:
    given = PromqlOptions.model_validate({"url": url, "within": "10s", **options})
    return PromqlProbe("probe/p", given, replace(ports(RealClock()), secrets=SecretStore()))


async def run(url: str, **options: Any) -> Reading:
    return await asyncio.wait_for(probe(url, **options).check(), SOON_S)


@pytest.fixture
def ask(prometheus: PrometheusServer, certificate: Path, secret: SecretRef) -> Any:
    async def ask(query: str, **options: Any) -> Reading:
        login = {"user": USER, "password": secret, "ca_file": certificate, "server_name": "db.example"}
        return await run(prometheus.url, query=query, **{**login, **options})

    return ask


async def test_a_value_that_fulfils_the_condition_is_good(ask: Any) -> None:
    steps: list[str] = []
    with listening(steps.append):
        reading = await ask("demo_value", op="<", value=50)
    assert (reading.outcome, reading.facts["value"], reading.facts["series"]) == (
        Outcome.SUCCEEDED,
        "42.5",
        1,
    )
    assert 0 <= reading.facts["age_ms"] < 60_000
    assert "instance=" in reading.facts["labels"]
    told = "\n".join(steps)
    for step in ("connected", "demo_value: status 200", "timestamp(demo_value)", "judged"):
        assert step in told
    assert PASSWORD not in told


@pytest.mark.parametrize(
    ("op", "value", "good"),
    [
        (">", "42", True), (">", "42.5", False), (">=", "42.5", True), ("<", "42.5", False),
        ("<=", "42.5", True),
        ("==", "42.5", True), ("==", "42", False), ("!=", "42", True), ("!=", "42.50", False),
    ],
)  # fmt: skip
async def test_each_comparison(ask: Any, op: str, value: str, good: bool) -> None:
    reading = await ask("demo_value", op=op, value=value)
    assert reading.outcome is (Outcome.SUCCEEDED if good else Outcome.FAILED)
    assert reading.failure is (None if good else Failure.BAD_ANSWER)


async def test_every_series_must_fulfil_it_and_the_one_that_does_not_is_named(ask: Any) -> None:
    assert (await ask("demo_many", op=">=", value=1)).outcome is Outcome.SUCCEEDED
    reading = await ask("demo_many", op=">", value=2)
    assert (reading.failure, reading.facts["value"], reading.facts["series"]) == (Failure.BAD_ANSWER, "1", 2)
    assert 'part="a"' in reading.detail
    assert "is 1, expected > 2" in reading.detail


async def test_large_numbers_stay_exact(ask: Any) -> None:
    """As Prometheus holds them: it is the double next to 2^53 + 1."""
    assert (await ask("demo_large", op="==", value="9007199254740992")).outcome is Outcome.SUCCEEDED


async def test_samples_that_are_too_old_are_unknown_and_never_bad(ask: Any) -> None:
    reading = await ask("demo_old", op="==", value=99, max_age="1m")
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, None)
    assert reading.facts["age_ms"] >= OLD_S * 1000
    assert "1m are allowed" in reading.detail
    good = await ask("demo_old", op="==", value=7, max_age="1h")
    assert good.outcome is Outcome.SUCCEEDED
    assert (await ask("demo_old", op="==", value=7, max_age=None)).facts.get("age_ms") is None


async def test_an_expression_is_as_fresh_as_what_it_is_made_from(ask: Any) -> None:
    fresh = await ask("sum(demo_many)", op="==", value=4, **FRESH)
    assert fresh.outcome is Outcome.SUCCEEDED
    stale = await ask("demo_old * 2", op="==", value=14, fresh_series="demo_old", max_age="1m")
    missing = await ask("sum(demo_many)", op="==", value=4, fresh_series='demo_value{job="other"}')
    assert {stale.outcome, missing.outcome} == {Outcome.UNKNOWN}
    assert "there are none of demo_value" in missing.detail


@pytest.mark.parametrize(
    ("empty", "outcome"),
    [("ok", Outcome.SUCCEEDED), ("failed", Outcome.FAILED), ("unknown", Outcome.UNKNOWN)],
)
async def test_no_series_mean_what_they_are_said_to(ask: Any, empty: str, outcome: Outcome) -> None:
    reading = await ask("demo_value > 1000", empty=empty, **FRESH)
    assert (reading.outcome, reading.facts["series"]) == (outcome, 0)


async def test_no_series_are_no_good_sign_where_nothing_is_scraped_any_more(ask: Any) -> None:
    reading = await ask("up == 0", empty="ok", fresh_series='up{job="gone"}')
    assert reading.outcome is Outcome.UNKNOWN
    reading = await ask("up == 0", empty="ok", fresh_series='up{job="shop"}')
    assert reading.outcome is Outcome.SUCCEEDED


async def test_without_a_comparison_any_series_means_the_opposite_of_none(ask: Any) -> None:
    assert (await ask("demo_value > 1", empty="ok", **FRESH)).failure is Failure.BAD_ANSWER
    assert (await ask("demo_value > 1", empty="failed", **FRESH)).outcome is Outcome.SUCCEEDED


async def test_a_scalar_is_a_value_and_no_number_is_unknown(ask: Any) -> None:
    assert (await ask("scalar(demo_value)", op=">", value=1, max_age=None)).facts["value"] == "42.5"
    reading = await ask("demo_nan", op="<", value=50)
    assert (reading.outcome, reading.detail) == (Outcome.UNKNOWN, reading.detail)
    assert "NaN" in reading.detail


@pytest.mark.parametrize("query", ["demo_value[1m]", "demo_value ==", "no_such_function(demo_value)"])
async def test_a_query_that_can_not_be_answered_is_unknown_and_says_why(ask: Any, query: str) -> None:
    reading = await ask(query, op=">", value=1, max_age=None)
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, None)
    assert "parse error" in reading.detail or "instant vector" in reading.detail


async def test_a_password_that_is_refused_is_unknown(ask: Any) -> None:
    reading = await ask("up", user="", password=None)
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.CREDENTIALS)


async def test_a_certificate_that_is_not_trusted_is_unknown(ask: Any) -> None:
    reading = await ask("up", ca_file=None)
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.BAD_ANSWER)
    assert "certificate" in reading.detail


async def test_a_prometheus_that_is_not_there_or_hangs_says_nothing_of_the_target() -> None:
    async with nobody() as port:
        gone = await run(f"http://{LOOPBACK}:{port}", query="up")
    async with serving(silent) as port:
        hangs = await run(f"http://{LOOPBACK}:{port}", query="up", within="50ms")
    assert (gone.outcome, gone.failure) == (Outcome.UNKNOWN, Failure.REFUSED)
    assert (hangs.outcome, hangs.failure) == (Outcome.UNKNOWN, Failure.SILENT)
    assert "within 50ms" in hangs.detail


async def test_a_prometheus_that_is_stopped_in_its_tracks_is_unknown(
    prometheus: PrometheusServer, ask: Any
) -> None:
    assert prometheus.process is not None
    prometheus.process.send_signal(signal.SIGSTOP)
    try:
        reading = await ask("up", within="200ms")
    finally:
        prometheus.process.send_signal(signal.SIGCONT)
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.SILENT)


@asynccontextmanager
async def answering(*bodies: object, heads: list[str] | None = None) -> Any:
    """Something like Prometheus; the last body is repeated."""
    left = [body if isinstance(body, bytes) else json.dumps(body).encode() for body in bodies]

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if heads is not None:
            heads.append(head.decode())
        body = left.pop(0) if len(left) > 1 else left[0]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        await reader.read()

    async with serving(handle) as port:
        yield f"http://{LOOPBACK}:{port}/prefix/"


def vector(value: str, **more: object) -> dict[str, object]:
    series = [{"metric": {"__name__": "x"}, "value": [1000.25, value]}]
    return {"status": "success", "data": {"resultType": "vector", "result": series}, **more}


async def test_what_was_left_out_of_an_answer_may_have_made_it_a_good_one() -> None:
    """As Thanos answers while one of its stores is away."""
    partial = vector("1", warnings=["store s2 is away"])
    async with answering(partial) as url:
        good = await run(url, query="x", op="==", value=1, max_age=None)
        bad = await run(url, query="x", op="==", value=2, max_age=None)
    assert (good.outcome, good.facts["warnings"]) == (Outcome.SUCCEEDED, ["store s2 is away"])
    assert bad.outcome is Outcome.UNKNOWN
    assert "s2 is away" in bad.detail


async def test_a_token_is_sent_and_the_path_has_the_prefix(secret: SecretRef, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t0ken")
    token.chmod(0o600)
    heads: list[str] = []
    async with answering(vector("1"), heads=heads) as url:
        await run(url, query='x{a="b c"}', bearer=SecretRef(file=token), max_age=None)
    assert heads[0].startswith("GET /prefix/api/v1/query?query=x%7Ba%3D%22b%20c%22%7D HTTP/1.1\r\n")
    assert "Authorization: Bearer t0ken\r\n" in heads[0]


async def test_a_sample_from_the_future_is_unknown() -> None:
    async with answering(vector("1"), vector("9000")) as url:
        reading = await run(url, query="x", op="==", value=1)
    assert reading.outcome is Outcome.UNKNOWN
    assert "ahead of Prometheus' clock" in reading.detail


async def test_an_answer_that_is_too_long_says_what_to_do() -> None:
    answer = vector("1")
    answer["data"]["result"] *= 10_000  # type: ignore[index]
    async with answering(answer) as url:
        reading = await run(url, query="x", op="==", value=1, max_age=None)
    assert reading.outcome is Outcome.UNKNOWN
    assert "aggregate in the query" in reading.detail


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[1]",
        {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "histogram": []}]}},
        {
            "status": "success",
            "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "x"]}]},
        },
        {"status": "success", "data": None},
        b"[" * 100_000,
        b" " * 300_000,
    ],
)
async def test_what_is_no_answer_of_prometheus_is_unknown(body: object) -> None:
    async with answering(body) as url:
        reading = await run(url, query="x", max_age=None)
    assert reading.outcome is Outcome.UNKNOWN
    assert reading.failure in (Failure.BAD_ANSWER, None)


@pytest.mark.parametrize(
    ("query", "is_one"),
    [
        ("up", True),
        ('up{job="a b", x!~"}{\\""}', True),
        ('{__name__="up"}', True),
        ("up{}", True),
        ("up == 0", False),
        ("rate(up[5m])", False),
        ("up[5m]", False),
        ("up offset 5m", False),
        ('up{a="b"} / up{c="d"}', False),
        ("1", False),
        ("", False),
    ],
)
def test_a_selector_is_told_from_an_expression(query: str, is_one: bool) -> None:
    assert is_selector(query) is is_one


@pytest.mark.parametrize(
    "options",
    [
        {"query": "sum(up)"},
        {"query": "up", "op": ">"},
        {"query": "up", "value": 1},
        {"query": "up", "op": "~", "value": 1},
        {"query": "up", "op": ">", "value": "NaN"},
        {"query": "up", "fresh_series": "sum(up)"},
        {"query": "up", "user": "me"},
        {"query": "up", "password": "secret"},
        {"query": "up", "url": "http://me:pw@host"},
        {"query": "up", "url": "http://host/?x=1"},
        {"query": ""},
    ],
)
def test_options_that_can_not_be_right_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        PromqlOptions.model_validate({"url": "http://prometheus:9090", **options})
