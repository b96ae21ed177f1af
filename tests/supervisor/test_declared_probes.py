"""Probes that the estate declares: checked with it, watched, folded by counts, run for a person."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import yaml

from config.loader import examine
from config.positions import load_yaml
from config.schema import Estate
from controller.declared import DeclaredProbes
from controller.estate_file import probe_findings
from controller.probe_runs import ProbeRuns
from controller.supervisor.probing import ProbeFactory
from controller.watching import Watching
from model.errors import UsageError
from model.health import Health
from model.observation import Observation
from probes.scheduler import Scheduler
from tests.bad_servers import LOOPBACK, nobody, serving, silent
from tests.fake_daemon import ESTATE
from tests.scripted_probe import ports
from tests.virtual_clock import RealClock


def declaring(**probes: dict[str, Any]) -> Estate:
    return Estate.model_validate({**yaml.safe_load(ESTATE), "probes": probes})


def findings_of(probes: str) -> list[str]:
    text = ESTATE.lstrip() + "probes:\n" + probes
    document = load_yaml(text, file="e.yaml")
    return [f"{f.col}: {f.what}" for f in examine(document, probe_findings).findings if f.severity == "error"]


@pytest.mark.parametrize(
    ("probe", "what"),
    [
        ("{type: htpt, options: {}}", "unknown probe type `htpt`"),
        ("{type: tcp, options: {host: h}}", "key 'port' is missing in probes.web.options"),
        ("{type: tcp, options: {host: h, port: 80, prot: 1}}", "unknown key 'prot' in probes.web.options"),
        ("{type: tcp, service: shop, options: {host: h, port: 80}}", "service 'shop' is not declared"),
        ("{type: tcp, service: orders, member: pg9, options: {host: h, port: 80}}", "member 'pg9' is not"),
        ("{type: tcp, site: dc1, node: node1, options: {host: h, port: 80}}", "it tells about one thing"),
        ("{type: tcp, fall: 0, options: {host: h, port: 80}}", "probes.web.fall must be 1 or more"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_declared_probe_is_found_in_the_file(probe: str, what: str) -> None:
    found = findings_of(f"  web: {probe}\n")
    assert len(found) == 1
    assert what in found[0]
    assert int(found[0].partition(":")[0]) >= 3  # in the entry, not at the head of the file


def test_a_sound_declaration_has_no_finding() -> None:
    assert findings_of("  web: {type: tcp, service: orders, options: {host: h, port: 80}}\n") == []


@asynccontextmanager
async def watched(estate: Estate) -> AsyncIterator[tuple[DeclaredProbes, asyncio.Event]]:
    clock, news = RealClock(), asyncio.Event()
    base = ports(clock)
    declared = DeclaredProbes(estate, clock, base.secrets, {})

    def seen(observation: Observation) -> None:
        declared.observe(observation)
        news.set()

    scheduler = Scheduler(clock, "ops1", seen)
    watching = Watching(scheduler, ProbeFactory(estate, clock, base.secrets), {})
    watching.watch_declared(declared.watches())
    try:
        yield declared, news
    finally:
        await watching.unwatch_declared()
        assert scheduler.watched() == []
        await scheduler.aclose()


async def until(declared: DeclaredProbes, news: asyncio.Event, name: str, health: Health) -> None:
    async with asyncio.timeout(20):
        while declared.states()[name].health is not health:
            news.clear()
            await news.wait()


async def test_a_declared_probe_goes_down_after_its_falls_and_says_what_it_tells_about() -> None:
    async with serving(silent) as good, nobody() as refuses:
        often = {"type": "tcp", "interval": "0.2s"}
        estate = declaring(
            web={**often, "service": "orders", "options": {"host": LOOPBACK, "port": good}},
            gone={**often, "node": "node1", "options": {"host": LOOPBACK, "port": refuses}},
        )
        async with watched(estate) as (declared, news):
            assert declared.states()["web"].health is Health.UNKNOWN
            await until(declared, news, "web", Health.UP)
            await until(declared, news, "gone", Health.DOWN)
            assert [e.name for e, _state in declared.about("service/orders")] == ["web"]
            assert [e.name for e, _state in declared.about("node/node1", "site/dc1")] == ["gone"]


def runs_of(estate: Estate) -> ProbeRuns:
    clock = RealClock()
    secrets = ports(clock).secrets
    return ProbeRuns(
        estate,
        clock,
        ProbeFactory(estate, clock, secrets),
        DeclaredProbes(estate, clock, secrets, {}),
        {},
    )


async def test_a_person_sees_every_step_of_an_attempt_and_its_verdict() -> None:
    async with nobody() as port:
        estate = declaring(web={"type": "tcp", "options": {"host": LOOPBACK, "port": port}})
        body = await runs_of(estate).run("web")
    (attempt,) = body["attempts"]
    assert (attempt["outcome"], attempt["failure"]) == ("failed", "refused")


async def test_an_attempt_that_hangs_ends_at_its_deadline_as_silence() -> None:
    async with serving(silent) as port:
        options = {"host": LOOPBACK, "port": port, "expect": "hello"}
        estate = declaring(web={"type": "tcp", "timeout": "0.1s", "options": options})
        body = await runs_of(estate).run("web")
    assert body["attempts"][0]["failure"] == "silent"


async def test_a_name_that_there_is_not_is_told_with_the_nearest() -> None:
    runs = runs_of(declaring(web={"type": "tcp", "options": {"host": LOOPBACK, "port": 1}}))
    assert "orders/pg1" in runs.names()
    with pytest.raises(UsageError) as refused:
        await runs.run("wep")
    assert "did you mean 'web'" in str(refused.value.hint)
