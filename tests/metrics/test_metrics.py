"""The metrics: what is known is told, what is not has no series, and Prometheus accepts it all."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from controller.metrics import render
from controller.metrics_values import (
    OpenIncidentSample,
    ProbeSample,
    ServiceSample,
    Snapshot,
    WarningSample,
)


def probe(member: str, **more: Any) -> ProbeSample:
    about = f"service/shop/{member}"
    return ProbeSample("postgresql", "postgresql", about, service="shop", member=member, **more)


SNAPSHOT = Snapshot(
    version="0.1.0",
    wall_s=1_795_000_000.25,
    leader=True,
    journal_ok=True,
    incidents_open=1,
    pages_undelivered=0,
    executions={"succeeded": 3, "undone": 1},
    services=(
        ServiceSample(
            "shop",
            "up",
            ("pg1", "pg2", "pg3"),
            "pg2",
            objective_rto_s=60.0,
            objective_mtpd_s=14400.0,
            mode="act",
            blocked=True,
            executing=True,
            incident=OpenIncidentSample("II", 12.5),
            incidents=3,
            last_rto_s=0.43,
            last_rpo="LOSS",
            last_lost=2,
        ),
        ServiceSample("crm", "unknown", ("pg1",), None, objective_rto_s=300.0),
    ),
    probes=(
        probe("pg1", up=False),
        probe("pg2", up=True, duration_s=0.004),
        probe("pg3", up=None, duration_s=0.005, flapping=True),
        ProbeSample("web", "http", "node/db1", up=True),
    ),
    observer_score=2,
    observer_fit=True,
    scheduler_late_s=1.25,
    scheduler_progress_s=1_795_000_000.0,
    alerts_received=7,
    alerts_firing={("shop", "down"): 2, ("shop", "up"): 0},
    warnings=(
        WarningSample("DiskFilling", "node/db1", "", "bcm-failover"),
        WarningSample("Slow", "service/shop", "shop", "alertmanager"),
        WarningSample("Slow", "service/shop", "shop", "alertmanager"),
    ),
    heartbeats={"backup": 1_794_999_000.0},
)

FAMILIES = {
    "bcm_build_info": "gauge",
    "bcm_heartbeat_timestamp_seconds": "gauge",
    "bcm_leader": "gauge",
    "bcm_journal_ok": "gauge",
    "bcm_pages_undelivered": "gauge",
    "bcm_pushed_heartbeat_timestamp_seconds": "gauge",
    "bcm_observer_score": "gauge",
    "bcm_observer_fit": "gauge",
    "bcm_scheduler_late_seconds": "counter",
    "bcm_scheduler_progress_timestamp_seconds": "gauge",
    "bcm_executions": "counter",
    "bcm_execution_running": "gauge",
    "bcm_service_health": "gauge",
    "bcm_service_primary": "gauge",
    "bcm_service_mode": "gauge",
    "bcm_service_paused": "gauge",
    "bcm_service_blocked": "gauge",
    "bcm_objective_rto_seconds": "gauge",
    "bcm_objective_rpo_seconds": "gauge",
    "bcm_objective_mtpd_seconds": "gauge",
    "bcm_last_rto_seconds": "gauge",
    "bcm_last_rpo_verdict": "gauge",
    "bcm_last_lost_writes": "gauge",
    "bcm_incidents_open": "gauge",
    "bcm_incidents": "counter",
    "bcm_incident_level": "gauge",
    "bcm_incident_outage_seconds": "gauge",
    "bcm_alerts_received": "counter",
    "bcm_alerts_firing": "gauge",
    "bcm_warning_active": "gauge",
    "bcm_probe_up": "gauge",
    "bcm_probe_duration_seconds": "gauge",
    "bcm_probe_flapping": "gauge",
}

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def series(text: bytes) -> Series:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def value(text: bytes, name: str, /, **labels: str) -> float | None:
    return series(text).get((name, tuple(sorted(labels.items()))))


def test_every_family_has_its_type_and_help() -> None:
    families = {f.name: f for f in text_string_to_metric_families(render(SNAPSHOT).decode())}
    assert {name: family.type for name, family in families.items()} == FAMILIES
    assert all(family.documentation.endswith(".") for family in families.values())


def test_a_daemon_that_knows_nothing_yet_still_describes_every_family() -> None:
    empty = render(Snapshot("0.1.0", 1.0, leader=False, journal_ok=False))
    assert {f.name for f in text_string_to_metric_families(empty.decode())} == set(FAMILIES)
    assert value(empty, "bcm_leader") == 0
    assert value(empty, "bcm_journal_ok") == 0
    assert value(empty, "bcm_incidents_open") is None


def test_the_values_are_those_of_the_snapshot() -> None:
    text = render(SNAPSHOT)
    assert value(text, "bcm_build_info", version="0.1.0") == 1
    assert value(text, "bcm_heartbeat_timestamp_seconds") == 1_795_000_000.25
    assert value(text, "bcm_incidents_open") == 1
    assert value(text, "bcm_pages_undelivered") == 0
    assert value(text, "bcm_last_rto_seconds", service="shop") == 0.43
    assert value(text, "bcm_objective_rto_seconds", service="crm") == 300


def test_the_health_is_one_of_all_states() -> None:
    text = render(SNAPSHOT)
    states = {
        state: value(text, "bcm_service_health", service="shop", state=state)
        for state in ("up", "suspect", "down", "unknown")
    }
    assert states == {"up": 1, "suspect": 0, "down": 0, "unknown": 0}


def test_one_member_at_most_is_the_primary() -> None:
    text = render(SNAPSHOT)
    primaries = [value(text, "bcm_service_primary", service="shop", member=f"pg{n}") for n in (1, 2, 3)]
    assert primaries == [0, 1, 0]
    assert value(text, "bcm_service_primary", service="crm", member="pg1") == 0


def test_executions_count_from_zero_in_every_final_state() -> None:
    text = render(SNAPSHOT)
    counts = {
        state: value(text, "bcm_executions_total", state=state)
        for state in ("succeeded", "undone", "failed", "unknown")
    }
    assert counts == {"succeeded": 3, "undone": 1, "failed": 0, "unknown": 0}


def of_probe(text: bytes, name: str, member: str) -> float | None:
    labels = {"service": "shop", "member": member, "probe": "postgresql", "type": "postgresql"}
    return value(text, name, about=f"service/shop/{member}", **labels)


def test_what_is_not_known_has_no_series() -> None:
    text = render(SNAPSHOT)
    assert of_probe(text, "bcm_probe_up", "pg1") == 0
    assert of_probe(text, "bcm_probe_up", "pg3") is None
    assert of_probe(text, "bcm_probe_flapping", "pg3") == 1
    assert of_probe(text, "bcm_probe_duration_seconds", "pg1") is None
    assert value(text, "bcm_last_rto_seconds", service="crm") is None
    assert value(text, "bcm_incident_outage_seconds", service="crm") is None
    assert value(text, "bcm_last_rpo_verdict", service="crm", verdict="LOSS") is None


def test_a_probe_of_no_service_says_what_it_is_about() -> None:
    labels = {"service": "", "member": "", "probe": "web", "type": "http", "about": "node/db1"}
    assert value(render(SNAPSHOT), "bcm_probe_up", **labels) == 1


def test_an_incident_has_its_level_its_outage_and_its_number() -> None:
    text = render(SNAPSHOT)
    levels = [value(text, "bcm_incident_level", service="shop", level=level) for level in ("III", "II", "I")]
    assert levels == [0, 1, 0]
    assert value(text, "bcm_incident_level", service="crm", level="I") == 0
    assert value(text, "bcm_incident_outage_seconds", service="shop") == 12.5
    assert value(text, "bcm_incidents_total", service="shop") == 3
    assert value(text, "bcm_incidents_total", service="crm") == 0


def test_the_last_verdict_is_one_of_three() -> None:
    text = render(SNAPSHOT)
    verdicts = {
        v: value(text, "bcm_last_rpo_verdict", service="shop", verdict=v) for v in ("LOSS", "UNPROVEN")
    }
    assert verdicts == {"LOSS": 1, "UNPROVEN": 0}
    assert value(text, "bcm_last_lost_writes", service="shop") == 2


def test_alerts_warnings_and_heartbeats_are_told() -> None:
    text = render(SNAPSHOT)
    assert value(text, "bcm_alerts_received_total") == 7
    assert value(text, "bcm_alerts_firing", service="shop", says="down") == 2
    disk = {"service": "", "about": "node/db1", "name": "DiskFilling", "source": "bcm-failover"}
    assert value(text, "bcm_warning_active", **disk) == 1
    assert value(text, "bcm_pushed_heartbeat_timestamp_seconds", heartbeat="backup") == 1_794_999_000.0


def test_texts_from_outside_come_through_as_they_are() -> None:
    odd = 'a"b\\c\nd {}\u202e\x1b'
    told = dataclasses.replace(
        SNAPSHOT, probes=(probe(odd, up=True),), warnings=(WarningSample(odd, "x", "y", "alertmanager"),)
    )
    text = render(told)
    assert value(text, "bcm_warning_active", service="y", about="x", name=odd, source="alertmanager") == 1
    assert of_probe(text, "bcm_probe_up", odd) == 1


def test_nothing_is_kept_between_renderings_nor_shared_with_other_threads() -> None:
    before = {metric.name for metric in REGISTRY.collect()}
    expected = render(SNAPSHOT)
    texts: list[bytes] = []
    threads = [threading.Thread(target=lambda: texts.append(render(SNAPSHOT))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(texts) == {expected}
    assert {metric.name for metric in REGISTRY.collect()} == before


def test_promtool_finds_nothing_to_complain_of() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; on Debian: apt-get install prometheus")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=render(SNAPSHOT), capture_output=True, timeout=60, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_every_metric_is_on_the_operators_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations" / "monitoring.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`(bcm_\w+)`", page))
    names = {f"{name}_total" if kind == "counter" else name for name, kind in FAMILIES.items()}
    assert names <= told
    assert {name for name in told if name.startswith("bcm_")} - names <= {"bcm_probe_unknown"}
