"""Who takes over a service of Redis, and what its journal proves of the data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.redis_evidence import RedisInputs, gather, judge
from controller.remedies.table import REMEDIES
from controller.verdict import LOSS, UNPROVEN, ZERO_PROVEN
from model import events as ev
from model.lsn import Position
from model.quorum import MemberPosition
from tests.journal_builder import JournalBuilder

OURS, OTHER = "a" * 40, "b" * 40
CHOOSE = REMEDIES["redis"].choose
NEAR, RETURNING, DR = (0, 0, 100, 0), (0, 1, 100, 0), (1, 0, 100, 2)


def member(name: str, offset: int, preference: tuple[int, ...] = NEAR, **changes: Any) -> MemberPosition:
    return replace(MemberPosition(name, name, Position(OURS, 0, offset), preference), **changes)


@pytest.mark.parametrize(
    ("members", "chosen"),
    [
        ([member("r2", 100), member("r3", 101)], "r3"),
        ([member("r2", 100), member("r3", 100)], "r2"),
        ([member("r2", 1), member("r3", 101, DR)], "r2"),
        ([member("r2", 101, RETURNING), member("r3", 1)], "r3"),
        ([member("r2", 101, not_candidate="excluded"), member("r3", 1)], "r3"),
        ([member("r2", 101, position=Position(OTHER, 0, 101)), member("r3", 1)], None),
        ([member("r2", 0, position=None)], None),
        ([], None),
    ],
)
def test_the_furthest_that_may_takes_over(members: list[MemberPosition], chosen: str | None) -> None:
    assert CHOOSE(members).candidate == chosen
    assert CHOOSE(members[::-1]).candidate == chosen


def test_whom_people_name_takes_over_or_nobody() -> None:
    members = [member("r2", 100), member("r3", 101, not_candidate="excluded by the estate")]
    assert CHOOSE(members, wanted="r2").candidate == "r2"
    assert CHOOSE(members, wanted="r3").candidate is None
    assert "excluded" in CHOOSE(members, wanted="r3").reason


PLANNED = RedisInputs(
    "r2", reached=50, replid=OURS, final_offset=50, final_replid=OURS, closed=True,
    canary_acknowledged=7, canary_found=7,
)  # fmt: skip
CRASHED = RedisInputs("r2", reached=50, replid=OURS, shown_offset=50, shown_age_ms=300)


@pytest.mark.parametrize(
    ("inputs", "verdict", "told"),
    [
        (PLANNED, ZERO_PROVEN, "closed for writes at offset 50"),
        (replace(PLANNED, reached=49), UNPROVEN, "promoted at 49"),
        (replace(PLANNED, replid=OTHER), UNPROVEN, "history"),
        (replace(PLANNED, closed=False), UNPROVEN, "asynchronous"),
        (replace(PLANNED, overrides=("S2",)), UNPROVEN, "S2 was overridden"),
        (replace(PLANNED, canary_found=5), LOSS, "at least 2"),
        (CRASHED, UNPROVEN, "had shown 300 ms before"),
        (replace(CRASHED, reached=40), UNPROVEN, "lacks at least 10 bytes"),
        (replace(CRASHED, shown_offset=None), UNPROVEN, "not known"),
        (replace(CRASHED, canary_acknowledged=9, canary_found=8), LOSS, "at least 1"),
        (replace(CRASHED, canary_acknowledged=9), UNPROVEN, "asynchronous"),
        (RedisInputs(None), UNPROVEN, "nobody is known"),
    ],
)
def test_a_verdict_says_what_is_known_and_no_more(inputs: RedisInputs, verdict: str, told: str) -> None:
    found = judge(inputs)
    assert (found.verdict, told in found.reason) == (verdict, True), found.reason
    assert found.lost == (inputs.missing if verdict == LOSS else None)
    assert any("memory" in line for line in found.not_covered)


def test_what_a_verdict_rests_on_is_read_from_the_journal() -> None:
    journal = JournalBuilder()
    execution = journal.add(
        ev.EXECUTION_OPENED,
        {
            "runbook": "redis-failover", "kind": "failover", "mode": "real", "overrides": [],
            "vars": {"primary": "r1", "last_offset": 60, "last_acked_canary": 4, "overrides": ["S6"]},
            "steps": [{"id": s, "action": f"redis.{s}"} for s in ("prove", "promote", "verify")],
        },
        execution="new",
    ).execution  # fmt: skip
    outputs = {
        "prove": {"candidate": "r2", "positions": {"r2": {"replid": OURS, "offset": 50}}},
        "promote": {"member": "r2"},
        "verify": {"canary_found": 3},
    }
    for step, output in outputs.items():
        journal.add(ev.STEP_INTENT, {"step": step, "action": step, "attempt": 1}, execution=execution)
        result = {"step": step, "attempt": 1, "outcome": "succeeded", "output": output}
        journal.add(ev.STEP_RESULT, result, execution=execution)
    found = gather(journal.events, execution or "")
    assert (found.promoted, found.reached, found.behind_bytes) == ("r2", 50, 10)
    assert (found.canary_acknowledged, found.missing, found.overrides) == (4, 1, ("S6",))
