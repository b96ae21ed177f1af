"""From what the daemon knows to its metrics: each probe once, what is stale unknown, the journal counted."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from journal_builder import failover_journal
from prometheus_client.parser import text_string_to_metric_families

from config.loader import load_estate
from config.probes import ProbeEntry
from controller.adapters.clock import SystemClock
from controller.alerts import alert_of
from controller.journal_totals import JournalTotals
from controller.metrics import render
from controller.metrics_snapshot import RawProbes, metrics_job, take_probes
from controller.metrics_values import ProbeSample, Snapshot
from controller.station import Station
from controller.store.sqlite import SqliteStore
from model.events import Event
from model.health import PROFILES, Health, ProbeState
from model.observation import Observation, Outcome
from tests.fake_daemon import ESTATE

BALANCED = PROFILES["balanced"]


def state(target: str, probe: str = "postgresql", at_s: float = 100.0) -> ProbeState:
    seen = Observation(target, probe, "ops1", Outcome.SUCCEEDED, at_s - 0.004, at_s, 1e9)
    return ProbeState(target, probe, Health.UP, last=seen, last_good=seen, last_good_s=at_s, last_life_s=at_s)


def entry(name: str, **about: str) -> ProbeEntry:
    return ProbeEntry(name=name, type="tcp", interval=1.0, timeout=1.0, **about)  # type: ignore[arg-type]


def test_the_node_below_two_services_is_one_series() -> None:
    node = state("node/db1", "icmp")
    raw = RawProbes(100.5, [(BALANCED, [state("shop/pg1"), node]), (BALANCED, [state("crm/pg1"), node])], [])
    assert [(p.about, p.service, p.member) for p in raw.samples()] == [
        ("service/shop/pg1", "shop", "pg1"),
        ("node/db1", "", ""),
        ("service/crm/pg1", "crm", "pg1"),
    ]


def test_what_is_stale_is_unknown_and_has_no_series() -> None:
    declared = [(entry("web", service="shop"), state("probe/web", "tcp"))]
    fresh = RawProbes(100.5, [(BALANCED, [state("shop/pg1")])], declared)
    assert [p.up for p in fresh.samples()] == [True, True]
    assert [p.up for p in replace(fresh, now_s=200.0).samples()] == [None, None]


def test_a_declared_probe_is_there_before_it_was_seen() -> None:
    (sample,) = RawProbes(1.0, [], [(entry("web", service="shop", member="pg1"), None)]).samples()
    assert sample == ProbeSample("web", "tcp", "service/shop/pg1", None, None, "shop", "pg1")


class Journal:
    def __init__(self, events: Iterable[Event]) -> None:
        self.written = list(events)
        self.asked: list[int] = []

    def events(self, *, since_seq: int = 0, incident: str | None = None, **_more: Any) -> list[Event]:
        self.asked.append(since_seq)
        return [e for e in self.written if e.seq > since_seq and incident in (None, e.incident)]


def test_the_journal_is_counted_as_it_grows_and_read_once() -> None:
    whole = failover_journal().events
    journal = Journal(whole[:1])
    totals = JournalTotals(journal)  # type: ignore[arg-type]
    assert (dict(totals.incidents), totals.last_move("orders")) == ({}, None)
    journal.written = list(whole)
    totals.catch_up()
    totals.catch_up()
    assert journal.asked == [0, whole[0].seq, whole[-1].seq]
    assert sum(totals.incidents.values()) == 1
    assert totals.executions["succeeded"] >= 1
    service = next(e.service for e in whole if e.service)
    move = totals.last_move(str(service))
    assert move is not None
    assert (move.verdict, move.rto_s) == ("ZERO_PROVEN", 0.641)
    reads = len(journal.asked)
    totals.last_move(str(service))
    assert len(journal.asked) == reads  # read anew only when its incident goes on


@pytest.fixture
def station(tmp_path: Path) -> Station:
    estate = yaml.safe_load(ESTATE)
    estate["daemon"] = {"state_dir": str(tmp_path / "state"), "socket": str(tmp_path / "s")}
    beat = {"type": "heartbeat", "options": {"within": "1h"}}
    estate["probes"] = {"backup": beat, "never": beat}
    file = tmp_path / "e.yaml"
    file.write_text(yaml.safe_dump(estate))
    loaded, clock = load_estate(file), SystemClock()
    store = SqliteStore.open(loaded.estate.daemon.state_dir, owner="test", clock=clock)
    return Station(loaded, store, clock)


async def test_a_whole_station_is_told_and_promtool_finds_nothing_to_complain_of(station: Station) -> None:
    station.start()
    try:
        firing = alert_of("f", {"alertname": 'S"low\n', "service": "orders"}, {}, firing=True)
        station.inbox.desk.take([firing])
        assert station.inbox.heartbeats.push("backup")
        job = metrics_job(station, JournalTotals(station.journal))
        rendered: list[bytes] = []
        thread = threading.Thread(target=lambda: rendered.append(job()))
        thread.start()
        thread.join()
    finally:
        await station.stop()
        station.store.close()
    text = rendered[0].decode()
    found = {
        (s.name, s.labels.get("heartbeat") or s.labels.get("says") or s.labels.get("name") or ""): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }
    assert found["bcm_alerts_firing", "warning"] == 1
    assert found["bcm_warning_active", 'S"low'] == 1
    assert abs(found["bcm_pushed_heartbeat_timestamp_seconds", "backup"] - time.time()) < 60
    assert ("bcm_pushed_heartbeat_timestamp_seconds", "never") not in found
    assert found["bcm_observer_fit", ""] == 1
    promtool = shutil.which("promtool")
    if promtool is not None:
        checked = subprocess.run(
            [promtool, "check", "metrics"], input=text.encode(), capture_output=True, timeout=60, check=False
        )
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_ten_thousand_probes_cost_the_loop_references_only() -> None:
    """No wall time: what is taken on the loop makes no sample, and the states are the very objects."""
    known = [(entry(f"p{n}"), state(f"probe/p{n}", "tcp")) for n in range(10_000)]
    raw = RawProbes(100.5, [], known)
    assert raw.declared[0][1] is known[0][1]
    text = render(Snapshot("1", 1.0, leader=True, journal_ok=True, probes=raw.samples()))
    assert text.count(b"\nbcm_probe_up{") == 10_000


async def test_taking_the_probes_ages_nothing(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_arguments: object) -> ProbeState:
        raise AssertionError("aged on the loop")

    monkeypatch.setattr("controller.metrics_snapshot.age", never)
    monkeypatch.setattr("controller.declared.age", never)
    raw = take_probes(station)
    assert [e.name for e, _state in raw.declared] == ["backup", "never"]
    station.store.close()
