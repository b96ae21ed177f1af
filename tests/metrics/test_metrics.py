"""The metrics: what is known is told, what is not has no series, and Prometheus accepts it all."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import threading

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from controller.metrics import ProbeSample, ServiceSample, Snapshot, render

SNAPSHOT = Snapshot(
    version="0.1.0",
    wall_s=1_795_000_000.25,
    leader=True,
    journal_ok=True,
    incidents_open=1,
    pages_undelivered=0,
    executions={"succeeded": 3, "undone": 1},
    services=(
        ServiceSample("shop", "up", ("pg1", "pg2", "pg3"), "pg2", objective_rto_s=60.0, last_rto_s=0.43),
        ServiceSample("crm", "unknown", ("pg1",), None, objective_rto_s=300.0),
    ),
    probes=(
        ProbeSample("shop", "pg1", "postgresql", up=False),
        ProbeSample("shop", "pg2", "postgresql", up=True, duration_s=0.004),
        ProbeSample("shop", "pg3", "postgresql", up=None, duration_s=0.005),
    ),
)

FAMILIES = {
    "bcm_build_info": "gauge",
    "bcm_heartbeat_timestamp_seconds": "gauge",
    "bcm_leader": "gauge",
    "bcm_journal_ok": "gauge",
    "bcm_incidents_open": "gauge",
    "bcm_pages_undelivered": "gauge",
    "bcm_executions": "counter",
    "bcm_service_health": "gauge",
    "bcm_service_primary": "gauge",
    "bcm_objective_rto_seconds": "gauge",
    "bcm_last_rto_seconds": "gauge",
    "bcm_probe_up": "gauge",
    "bcm_probe_duration_seconds": "gauge",
}

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def series(text: bytes) -> Series:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def value(text: bytes, name: str, **labels: str) -> float | None:
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


def test_what_is_not_known_has_no_series() -> None:
    text = render(SNAPSHOT)
    assert value(text, "bcm_probe_up", service="shop", member="pg1", probe="postgresql") == 0
    assert value(text, "bcm_probe_up", service="shop", member="pg3", probe="postgresql") is None
    assert value(text, "bcm_probe_duration_seconds", service="shop", member="pg1", probe="postgresql") is None
    assert value(text, "bcm_last_rto_seconds", service="crm") is None


def test_names_with_odd_characters_come_through() -> None:
    odd = dataclasses.replace(SNAPSHOT, probes=(ProbeSample('a"b\\c\nd', "e", "tcp", up=True),))
    assert value(render(odd), "bcm_probe_up", service='a"b\\c\nd', member="e", probe="tcp") == 1


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
