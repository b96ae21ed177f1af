"""What each rule makes of the facts: the sentence that a person reads, and the threshold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from config.schema import WarningThresholds
from controller.early_warnings.scene import Copy, Scene, ServiceScene, Watched
from controller.early_warnings.watcher import Watcher
from controller.early_warnings.words import CODES, Sign
from controller.views import CANARY
from model.health import ProbeState
from model.observation import Observation, Outcome

DAY = 86400
LIMITS = WarningThresholds()
WALL_S = 1_764_000_000.0


def seen(
    facts: dict[str, Any],
    at_s: float,
    *,
    took_s: float = 0.005,
    outcome: Outcome = Outcome.SUCCEEDED,
    probe: str = "host",
) -> Observation:
    return Observation("probe/x", probe, "t", outcome, at_s - took_s, at_s, WALL_S, None, "", facts)


def watched(facts: dict[str, Any], at_s: float = 100.0, name: str = "db1", **more: Any) -> Watched:
    last = seen(facts, at_s, **more)
    state = ProbeState("probe/x", last.probe, last=last, last_good=last)
    return Watched("node/db1", name, state, timeout_s=2.0, interval_s=10.0)


def signs(*things: Watched, watcher: Watcher | None = None, services: Any = ()) -> list[Sign]:
    scene = Scene(now_s=100.0, wall_s=WALL_S, watched=things, services=services)
    return [s for s in (watcher or Watcher()).signs(scene, LIMITS) if s is not None]


def told(*things: Watched, **more: Any) -> dict[tuple[str, str], tuple[bool | None, str]]:
    return {(s.key.code, s.key.part): (s.passed, s.sentence) for s in signs(*things, **more) if s.sentence}


def mount(free: int, *, size: int = 100 << 30, **more: Any) -> dict[str, Any]:
    return {"file_systems": {"/": {"free_bytes": free, "size_bytes": size, **more}}}


def test_a_disk_below_its_threshold_is_told_with_figures() -> None:
    (sign,) = [s for s in signs(watched(mount(9 << 30))) if s.key.code == "DiskFilling"]
    assert (sign.passed, sign.key.about, sign.key.part, sign.readings) == (True, "node/db1", "/", 2)
    assert sign.sentence == "db1: / has 9 % free (9.0 GiB of 100 GiB)"


@pytest.mark.parametrize(("free_gib", "passed"), [(9, True), (10, None), (11, False), (50, False)])
def test_a_disk_that_breathes_about_its_threshold_changes_nothing(free_gib: int, passed: bool | None) -> None:
    assert told(watched(mount(free_gib << 30)))["DiskFilling", "/"][0] is passed


def test_what_can_not_be_written_can_not_fill_up() -> None:
    assert told(watched(mount(0, read_only=True))) == {}


def test_inodes_run_out_like_bytes() -> None:
    facts = mount(50 << 30, free_inodes=1000, inodes=100_000)
    assert told(watched(facts))["DiskFilling", "/ inodes"] == (
        True,
        "db1: / has 1 % of its inodes free (1000)",
    )


def test_a_members_data_and_wal_on_one_volume_are_one_warning() -> None:
    one = {"data_free_bytes": 5, "data_size_bytes": 100, "wal_free_bytes": 5, "wal_size_bytes": 100}
    assert list(told(watched(one))) == [("DiskFilling", "data")]
    two = {**one, "wal_free_bytes": 4}
    assert list(told(watched(two))) == [("DiskFilling", "data"), ("DiskFilling", "wal")]


def test_a_disk_that_will_be_full_tomorrow_says_when() -> None:
    watcher = Watcher()
    for minute in range(121):
        free = (50 << 30) - minute * (100 << 20)
        found = told(
            watched({"data_free_bytes": free, "data_size_bytes": 100 << 30}, 60.0 * minute), watcher=watcher
        )
    passed, sentence = found["DiskFilling", "data"]
    assert passed is True
    assert sentence == "db1: data directory will be full in about 7 h (38 % free, 5.9 GiB an hour)"


@pytest.mark.parametrize(
    ("ends_in_s", "passed", "words"),
    [
        (30 * DAY, False, "ends in 30 days (2025-12-24)"),
        (12 * DAY, True, "ends in 12 days (2025-12-06)"),
        (5 * 3600, True, "ends in 5 h"),
        (-2 * DAY, True, "ended 2 days ago (2025-11-22)"),
    ],
)
def test_a_certificate_says_how_long_it_lasts(ends_in_s: int, passed: bool, words: str) -> None:
    facts = {"certificate_ends_s": int(WALL_S) + ends_in_s}
    was, sentence = told(watched(facts, name="web"))["CertificateExpiring", "web"]
    assert (was, words in sentence) == (passed, True), sentence


@pytest.mark.parametrize(
    ("offset_ms", "unsure_ms", "passed"),
    [(2300, 100, True), (-2300, 100, True), (1050, 100, None), (950, 100, None), (200, 100, False)],
)
def test_clocks_that_are_apart_beyond_doubt(offset_ms: int, unsure_ms: int, passed: bool | None) -> None:
    facts = {"clock_offset_ms": offset_ms, "clock_uncertainty_ms": unsure_ms}
    assert told(watched(facts))["ClockSkew", ""][0] is passed


def test_a_clock_is_told_by_how_much_and_which_way() -> None:
    facts = {"clock_offset_ms": -2300, "clock_uncertainty_ms": 100}
    text = "the clock of db1 is 2.30 s behind this host's (± 100 ms)"
    assert told(watched(facts))["ClockSkew", ""][1] == text


def test_a_backup_that_is_too_old_says_so_also_where_its_probe_fails() -> None:
    late = watched({"backup_age_s": 3 * DAY}, name="nightly", outcome=Outcome.FAILED)
    assert told(late)["BackupStale", "nightly"] == (
        True,
        "the newest good backup that nightly finds is 3 days old; it should be no older than 26 h",
    )
    assert told(watched({"backup_age_s": DAY}, name="nightly"))["BackupStale", "nightly"][0] is False


def service(**more: Any) -> ServiceScene:
    shape: dict[str, Any] = {"name": "orders", "primary": "pg1", "rpo_s": 0.0, "standbys": 2, "missing": ()}
    return ServiceScene(**{**shape, **more})


def lag_of(rpo_s: float, canary_n: int, behind: int | None = 0) -> tuple[bool | None, str]:
    watcher = Watcher()
    for n in range(100):
        acked = service(rpo_s=rpo_s, acked=(n, float(n)))
        signs(watcher=watcher, services=[acked])
    copy = Copy("pg2", 100.0, canary_n, behind)
    found = told(watcher=watcher, services=[service(rpo_s=rpo_s, acked=(99, 99.0), copies=(copy,))])
    return found["StandbyLagging", ""]


def test_a_standby_lags_by_the_age_of_its_data_against_the_rpo() -> None:
    assert lag_of(60.0, 48)[0] is True  # 50 s of 60 s
    assert lag_of(60.0, 48)[1] == (
        "pg2: its data is 50 s older than the primary's, 83 % of the RPO; it is 0 bytes of log behind"
    )
    assert lag_of(60.0, 60)[0] is None  # 38 s: between four fifths of the threshold and the threshold
    assert lag_of(60.0, 90)[0] is False
    assert lag_of(0.0, 80)[0] is True  # no RPO to compare with: ten seconds
    assert lag_of(0.0, 99)[0] is False
    assert lag_of(0.0, 99, behind=65 << 20)[0] is True


def test_missing_copies_are_named_and_must_last() -> None:
    (sign,) = signs(services=[service(missing=("pg3: no answer",))])
    assert (sign.key.code, sign.passed, sign.after_s) == ("RedundancyLost", True, 30.0)
    assert sign.sentence == "orders has fewer copies than it should: pg3: no answer"
    assert signs(services=[service(missing=None)]) == []


@pytest.mark.parametrize(("took_s", "passed"), [(0.25, True), (0.17, None), (0.01, False)])
def test_a_slow_canary_is_told_as_a_share_of_its_time_out(took_s: float, passed: bool | None) -> None:
    canary = watched({"canary_n": 7}, took_s=took_s, probe=CANARY, name="pg1")
    canary = Watched("service/orders/pg1", "pg1", canary.state, 0.4, 0.2)
    (sign,) = [s for s in signs(services=[service(canary=canary)]) if s.key.code == "CanarySlow"]
    assert sign.passed is passed
    if passed:
        assert sign.sentence == (
            "a small write on pg1 takes 250 ms, 62 % of the 400 ms after which it counts as failed"
        )


def answers(watcher: Watcher, from_s: float, for_s: float, took_s: float) -> Iterator[Sign]:
    at_s = from_s
    while at_s < from_s + for_s:
        yield from signs(watched({}, at_s, took_s=took_s), watcher=watcher)
        at_s += 1.0


def test_a_target_that_became_slow_is_told_against_what_is_usual() -> None:
    watcher = Watcher()
    assert {s.passed for s in answers(watcher, 0.0, 2400.0, 0.020)} == {False}
    *_, last = answers(watcher, 2400.0, 60.0, 0.200)
    assert (last.key.code, last.passed, last.after_s) == ("LatencyDegraded", True, 60.0)
    assert last.sentence == "db1 answers the probe 'host' in 200 ms, 10 times what is usual (20 ms)"


def test_what_was_always_near_its_time_out_needs_no_history() -> None:
    thing = watched({}, took_s=1.2)
    slow = Watched(
        thing.about, thing.name, ProbeState("probe/x", "host", slow=5, last=thing.state.last), 2.0, 10.0
    )
    (sign,) = signs(slow)
    assert sign.passed is True
    assert "more than half of its time-out (2.00 s)" in sign.sentence


def test_silence_says_nothing_at_all() -> None:
    silent = watched({}, outcome=Outcome.FAILED)
    assert signs(silent) == []
    once = watched(mount(5 << 30))
    watcher = Watcher()
    assert signs(once, watcher=watcher) != []
    assert signs(once, watcher=watcher) == []  # the same reading again


def test_facts_of_other_types_are_no_reading() -> None:
    odd = {"certificate_ends_s": "soon", "clock_offset_ms": None, "backup_age_s": "1", "file_systems": [1]}
    assert [s for s in signs(watched(odd)) if s.key.code != "LatencyDegraded"] == []


def test_what_is_gone_is_forgotten() -> None:
    watcher = Watcher()
    signs(watched(mount(5 << 30)), watcher=watcher, services=[service(acked=(1, 1.0))])
    signs(watcher=watcher)
    assert (watcher._free, watcher._latency, watcher._canaries, watcher._seen_s) == ({}, {}, {}, {})


def test_every_code_is_raised_by_a_rule_here() -> None:
    told_here = {
        "BackupStale", "CanarySlow", "CertificateExpiring", "ClockSkew", "DiskFilling", "LatencyDegraded",
        "RedundancyLost", "StandbyLagging",
    }  # fmt: skip
    assert told_here == CODES
