"""Who takes over a service of MariaDB, what semi-sync proves, and what its journal says of the data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.mariadb_evidence import MariadbInputs, gather, judge
from controller.remedies.table import REMEDIES
from controller.verdict import LOSS, UNPROVEN, ZERO_PROVEN
from model.gtid import compared, covers, furthest, parse_gtids, parse_logged, unknown_to
from model.lsn import Position
from model.quorum import MemberPosition
from model.semi_sync import SemiSync
from tests.journal_builder import JournalBuilder

CHOOSE = REMEDIES["mariadb"].choose
NEAR, RETURNING, DR = (0, 0, 100, 0), (0, 1, 100, 0), (1, 0, 100, 2)


def member(name: str, sequence: int, preference: tuple[int, ...] = NEAR, **changes: Any) -> MemberPosition:
    return replace(MemberPosition(name, name, Position("", 0, sequence), preference), **changes)


@pytest.mark.parametrize(
    ("members", "chosen"),
    [
        ([member("m2", 100), member("m3", 101)], "m3"),
        ([member("m2", 100), member("m3", 100)], "m2"),
        ([member("m2", 100, RETURNING), member("m3", 100)], "m3"),
        ([member("m2", 100), member("m3", 101, DR)], "m3"),
        ([member("m2", 101, not_candidate="excluded"), member("m3", 101)], "m3"),
        ([member("m2", 0, position=None)], None),
        ([], None),
    ],
)
def test_the_furthest_takes_over(members: list[MemberPosition], chosen: str | None) -> None:
    assert CHOOSE(members).candidate == chosen
    assert CHOOSE(members[::-1]).candidate == chosen


def test_whom_people_name_takes_over_or_nobody() -> None:
    members = [member("m2", 100), member("m3", 100, not_candidate="excluded by the estate")]
    assert CHOOSE(members, wanted="m2").candidate == "m2"
    assert CHOOSE(members, wanted="m3").candidate is None


# --- semi-sync

GOOD = SemiSync(True, True, "AFTER_SYNC", True, 10_000, 2, written=True)


def test_semi_sync_that_held_proves() -> None:
    assert GOOD.doubt(counted=2, age_ms=3000) is None


@pytest.mark.parametrize(
    ("seen", "counted", "age_ms", "told"),
    [
        (replace(GOOD, enabled=False), 2, 10, "asynchronous"),
        (replace(GOOD, enabled=None), 2, 10, "not known"),
        (replace(GOOD, active=False), 2, 10, "fallen back to asynchronous"),
        (replace(GOOD, active=None), 2, 10, "fallen back to asynchronous"),
        (replace(GOOD, wait_point="AFTER_COMMIT"), 2, 10, "AFTER_COMMIT"),
        (replace(GOOD, wait_no_replica=False), 2, 10, "wait_no_slave"),
        (replace(GOOD, written=False), 2, 10, "write_table"),
        (GOOD, 2, 10_000, "may have fallen back"),
        (GOOD, 2, None, "may have fallen back"),
        (replace(GOOD, timeout_ms=None), 2, 10, "may have fallen back"),
        (GOOD, 1, 10, "2 replicas acknowledged writes and 1 of them"),
        (replace(GOOD, clients=None), 2, 10, "acknowledged writes"),
        (replace(GOOD, clients=0), 0, 10, "no replica"),
    ],
)
def test_what_semi_sync_does_not_prove(seen: SemiSync, counted: int, age_ms: int | None, told: str) -> None:
    assert told in (seen.doubt(counted=counted, age_ms=age_ms) or "")


def test_only_a_long_time_out_is_a_fence() -> None:
    assert not GOOD.holds_for_good
    assert replace(GOOD, timeout_ms=3_600_000).holds_for_good
    assert not replace(GOOD, timeout_ms=3_600_000, active=False).holds_for_good
    assert not replace(GOOD, timeout_ms=3_600_000, wait_no_replica=None).holds_for_good


# --- GTIDs


def test_positions_compare_by_domain() -> None:
    here, there = parse_gtids("0-1-100,7-3-5"), parse_gtids("0-2-101, 7-3-5,rubbish,1-2")
    assert covers(there, here)
    assert not covers(here, there)
    assert not covers(parse_gtids("0-1-200"), here)
    assert compared(here, 0) == ("7-3-5", 100)
    assert compared(here, 1) == ("0-1-100,7-3-5", 0)
    assert furthest(here, there)[0] == (2, 101)


def test_transactions_that_another_never_had_are_found_by_the_server_that_wrote_them() -> None:
    replica, primary = parse_logged("0-1-100,0-2-101"), parse_logged("0-1-100,0-3-40")
    assert unknown_to(replica, primary) == ["0-2-101"]
    assert unknown_to(parse_logged("0-1-120"), primary, but=1) == []
    assert unknown_to(parse_logged("0-1-120"), primary) == ["0-1-120"]


# --- the verdict

PLANNED = MariadbInputs(
    "m2", complete=True, reason="it has all", reached="0-1-50", proven="0-1-50", final_gtid="0-1-50",
    canary_acknowledged=7, canary_found=7, old_primary="read_only",
)  # fmt: skip
CRASHED = replace(PLANNED, final_gtid=None, shown_gtid="0-1-49", old_primary="gone")


@pytest.mark.parametrize(
    ("inputs", "verdict", "told"),
    [
        (PLANNED, ZERO_PROVEN, "it has all"),
        (CRASHED, ZERO_PROVEN, "it has all"),
        (replace(CRASHED, old_primary="blocked"), ZERO_PROVEN, "it has all"),
        (replace(CRASHED, old_primary="unreachable"), UNPROVEN, "fenced"),
        (replace(CRASHED, complete=False, reason="semi-sync had fallen back"), UNPROVEN, "fallen back"),
        (replace(CRASHED, reached="0-1-49"), UNPROVEN, "was to be had"),
        (replace(CRASHED, shown_gtid="0-1-51"), UNPROVEN, "had shown"),
        (replace(CRASHED, canary_found=5), LOSS, "at least 2"),
        (replace(PLANNED, reached="0-1-49"), UNPROVEN, "was to be had"),
        (replace(PLANNED, overrides=("S3",)), UNPROVEN, "overridden"),
        (replace(PLANNED, promoted=None), UNPROVEN, "nobody"),
    ],
)
def test_the_verdict(inputs: MariadbInputs, verdict: str, told: str) -> None:
    found = judge(inputs)
    assert (found.verdict, told in found.reason) == (verdict, True), found
    assert any("READ ONLY ADMIN" in text for text in found.not_covered)


def test_the_journal_of_nothing_proves_nothing() -> None:
    assert judge(gather((), "EXE-1")).verdict == UNPROVEN
    assert judge(gather(JournalBuilder().events, "EXE-1")).verdict == UNPROVEN
