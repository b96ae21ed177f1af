"""The main job on real servers: each fault ends as the product promises."""

from __future__ import annotations

from pathlib import Path

import pytest
from pg_servers import server_or_skip

from controller.demo.faults import FAULTS
from controller.demo.scenario import RunOptions, RunResult, Scenario

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(150)]


def run(tmp_path: Path, version: int = 18, **options: object) -> RunResult:
    chosen = RunOptions(**options)  # type: ignore[arg-type]
    unsupported = FAULTS[chosen.fault].unsupported() if chosen.fault in FAULTS else None
    if unsupported:
        pytest.skip(unsupported)
    return Scenario(server_or_skip(version), chosen, print, tmp_path).run()


def proven(result: RunResult) -> None:
    """Nothing acknowledged was lost, nothing was unguarded, and redundancy is back."""
    assert result.client.lost == 0
    assert result.unguarded == 0
    assert result.rpo["verdict"] == "ZERO_PROVEN", result.rpo["reason"]
    assert result.rejoined


@pytest.mark.parametrize("version", [18, 15])
def test_a_crashed_primary_is_failed_over_with_proof_and_comes_back_as_a_standby(
    tmp_path: Path, version: int
) -> None:
    result = run(tmp_path, version, fault="crash")
    proven(result)
    assert "PrimaryProcessDown" in result.diagnoses
    assert result.report is not None
    assert "ZERO_PROVEN" in Path(result.report).read_text(encoding="utf-8")
    assert result.rto["actual_s"] is not None
    assert set(result.rto["phases"]) >= {
        "detect_s",
        "decide_s",
        "fence_s",
        "promote_s",
        "reroute_s",
        "verify_s",
    }
    assert all(value is not None for value in result.rto["phases"].values() if value is not None)


def test_a_hung_primary_is_not_trusted_because_its_sockets_are_open(tmp_path: Path) -> None:
    result = run(tmp_path, fault="hang", profile="fast")
    proven(result)
    assert {"PrimaryHung", "PrimaryNodeDown"} & set(result.diagnoses)


def test_a_primary_that_is_restarted_in_place_acknowledges_nothing_that_is_lost(tmp_path: Path) -> None:
    result = run(tmp_path, fault="crash-restart")
    assert result.client.lost == 0
    assert result.unguarded == 0
    assert not result.failover or result.rpo["verdict"] == "ZERO_PROVEN"


def test_a_planned_switchover_loses_nothing(tmp_path: Path) -> None:
    proven(run(tmp_path, fault="switchover"))


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    result = run(tmp_path, fault="disk-full")
    assert "PrimaryDiskFull" in result.diagnoses
    assert result.client.lost == 0


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ("restart", "PrimaryRestarting"),
        ("backend-kill", None),
        ("saturate", "PrimaryConnectionsExhausted"),
        ("hba-reject", "ProbeCredentialsRejected"),
        ("idle-kill", None),
        ("idle-kill-tcp", None),
        ("silence", "PrimarySuspect"),
    ],
)
def test_what_is_no_failure_is_named_and_not_failed_over(
    tmp_path: Path, fault: str, named: str | None
) -> None:
    result = run(tmp_path, fault=fault)
    assert not result.failover
    assert result.client.lost == 0
    if named is not None:
        assert named in result.diagnoses


def test_an_asynchronous_service_is_held_and_a_person_asked(tmp_path: Path) -> None:
    result = run(tmp_path, fault="crash", asynchronous=True)
    assert result.held, "it acted by itself though nothing could be proven"
    assert result.rpo.get("verdict") in ("UNPROVEN", "LOSS")


def test_in_mode_observe_nothing_is_touched_and_what_would_be_done_is_recorded(tmp_path: Path) -> None:
    result = run(tmp_path, fault="crash", mode="observe")
    assert not result.failover
    assert result.held
    assert result.incident is not None
