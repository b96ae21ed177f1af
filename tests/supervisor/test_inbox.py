"""What is pushed reaches those who wait for it: heartbeats their probes, alerts journal and diagnosis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from config.loader import LoadedEstate, load_estate
from controller.adapters.clock import SystemClock
from controller.alerts import Alert, alert_of
from controller.station import Station
from controller.status import explanation
from controller.store.sqlite import SqliteStore
from model import events as ev
from model.health import Health
from tests.fake_daemon import ESTATE

BEAT = {"type": "heartbeat", "interval": "0.1s", "options": {"within": "1h"}}


def write(directory: Path, **more: Any) -> LoadedEstate:
    estate = yaml.safe_load(ESTATE)
    estate["daemon"] = {"state_dir": str(directory / "state"), "socket": str(directory / "s")}
    for node in estate["nodes"].values():
        node["address"] = "127.0.0.1"
    estate["services"]["orders"]["members"]["pg1"]["port"] = 1
    estate["services"]["orders"]["members"]["pg2"]["port"] = 2
    file = directory / "estate.yaml"
    file.write_text(yaml.safe_dump({**estate, **more}))
    return load_estate(file)


@asynccontextmanager
async def running(loaded: LoadedEstate) -> AsyncIterator[Station]:
    clock = SystemClock()
    store = SqliteStore.open(loaded.estate.daemon.state_dir, owner="test", clock=clock)
    station = Station(loaded, store, clock)
    station.start()
    try:
        yield station
    finally:
        await station.stop()
        store.close()


async def until(true: Callable[[], bool], within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.01)


def down(*, firing: bool = True) -> Alert:
    return alert_of("f1", {"alertname": "ShopDown"}, {"summary": "nobody can pay"}, firing=firing)


async def test_a_heartbeat_that_is_pushed_makes_its_probe_up_and_a_reload_forgets_none(
    tmp_path: Path,
) -> None:
    loaded = write(tmp_path, probes={"backup": BEAT})
    async with running(loaded) as station:
        box = station.inbox.heartbeats
        assert not box.push("report")
        assert box.push("backup")
        await until(lambda: station.declared.states()["backup"].health is Health.UP)
        pushed = box.last("backup")
        await station.apply(write(tmp_path, probes={"backup": BEAT, "report": BEAT}))
        assert box.last("backup") == pushed
        assert box.push("report", "fail")
        await until(lambda: station.declared.states()["report"].health is Health.DOWN)
        await until(lambda: station.declared.states()["backup"].health is Health.UP)
        await station.apply(write(tmp_path, probes={"report": BEAT}))
        assert not box.push("backup")


async def test_an_alert_stands_in_explain_and_in_the_journal_with_the_incident_that_is_open(
    tmp_path: Path,
) -> None:
    rules = {"rules": [{"match": {"alertname": "ShopDown"}, "service": "orders", "says": "down"}]}
    async with running(write(tmp_path, alerts=rules)) as station:
        supervisor = station.supervisors["orders"]
        await until(lambda: supervisor.judged is not None)
        opened = {"t0_ns": 1, "level": "III", "diagnosis": {"code": "PrimaryProcessDown"}}
        await station.journal.append(ev.INCIDENT_OPENED, opened, service="orders", incident="INC-1")
        station.inbox.desk.take([down()])
        await until(lambda: bool(station.journal.events(types=(ev.ALERT_RECEIVED,))))
        (event,) = station.journal.events(types=(ev.ALERT_RECEIVED,))
        assert (event.service, event.incident, event.data["name"]) == ("orders", "INC-1", "ShopDown")
        told = explanation(supervisor)["diagnosis"]
        assert any("ShopDown" in text for text in [*told["evidence_for"], *told["evidence_against"]])
        station.inbox.desk.take([down(firing=False)])
        await until(lambda: bool(station.journal.events(types=(ev.ALERT_RESOLVED,))))
        told = explanation(supervisor)["diagnosis"]
        assert not any("ShopDown" in text for text in [*told["evidence_for"], *told["evidence_against"]])


async def test_other_rules_after_a_reload_understand_what_fires_anew(tmp_path: Path) -> None:
    async with running(write(tmp_path, alerts={"rules": [{"service": "orders", "says": "down"}]})) as station:
        station.inbox.desk.take([down()])
        assert station.inbox.alerts.warnings("orders") == []
        await station.apply(write(tmp_path, alerts={"rules": [{"service": "orders", "says": "warning"}]}))
        assert [name for name, _sentence, _since in station.inbox.alerts.warnings("orders")] == ["ShopDown"]
