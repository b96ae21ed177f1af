"""Who of the survivors counts, and who may be promoted (P3, P4, P16)."""

from __future__ import annotations

from typing import Any

import pytest
from situation_player import Situation

from controller.candidates import ROOM_BYTES, positions
from model.lsn import Position
from tests.core.situation_engines import AT, SYSTEM


def described(facts: dict[str, Any] | None = None, seen: list[str] | None = None, **member: Any) -> Situation:
    return Situation({"members": {"pg2": {"facts": facts or {}, **member}}, "seen": seen or []})


def pg2(situation: Situation, at_s: float = 1.0, **marks: tuple[int, int]) -> Any:
    view = situation.view(1000.0 + at_s, [])
    return {m.member: m for m in positions(view, marks or None)}["pg2"]


def test_a_streaming_standby_counts_and_may_be_promoted() -> None:
    found = pg2(described())
    assert found.position == Position(SYSTEM, 1, AT)
    assert found.not_candidate is None


def test_the_primary_is_not_among_them() -> None:
    assert [m.member for m in positions(described().view(1001.0, []))] == ["pg2", "pg3"]


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"system_identifier": "8"}, "another system"),
        ({"timeline": 2}, "timeline 2"),
        ({"in_recovery": False}, "runs as a primary"),
        ({"position": None}, "position is not known"),
        ({"timeline": None}, "position is not known"),
        ({"system_identifier": None}, "position is not known"),
        ({"receive_lsn": 2 << 20, "replay_lsn": 1000, "position": 2 << 20}, "segment's start"),
    ],
)
def test_what_does_not_count(facts: dict[str, Any], why: str) -> None:
    found = pg2(described(facts))
    assert found.position is None
    assert why in found.why_not


def test_a_member_that_does_not_answer_does_not_count() -> None:
    found = pg2(described(seen=["0.1+0.5 pg2 silent"]), at_s=0.7)
    assert found.position is None
    assert found.why_not.startswith("not readable")


def test_a_reading_that_is_stale_does_not_count() -> None:
    assert pg2(described(seen=["0.1 pg2 ok"]), at_s=0.5).position is not None
    assert pg2(described(seen=["0.1 pg2 ok"]), at_s=30.0).position is None


def test_a_member_below_its_own_high_water_mark_does_not_count() -> None:
    assert pg2(described(), pg2=(1, AT)).position is not None
    below = pg2(described(), pg2=(1, AT + 1))
    assert below.position is None
    assert "older copy" in below.why_not
    assert pg2(described(), pg2=(2, 5)).position is None


def test_a_received_position_counts_once_it_is_replayed() -> None:
    settled = {"receive_lsn": 2 << 20, "replay_lsn": 2 << 20, "position": 2 << 20}
    assert pg2(described(settled)).position is not None


@pytest.mark.parametrize(
    ("facts", "member", "why"),
    [
        ({"replay_paused": True}, {}, "paused"),
        ({"apply_delay_ms": 60000}, {}, "late"),
        ({}, {"excluded": True}, "excluded"),
        ({"wal_free_bytes": ROOM_BYTES - 1, "wal_size_bytes": 10**11}, {}, "no room"),
        ({"data_free_bytes": 0, "data_size_bytes": 10**11}, {}, "no room"),
        ({"wal_free_bytes": ROOM_BYTES, "wal_size_bytes": 10**11}, {}, None),
        ({"apply_delay_ms": 0}, {}, None),
    ],
)
def test_who_counts_and_may_not_be_promoted(
    facts: dict[str, Any], member: dict[str, Any], why: str | None
) -> None:
    found = pg2(described(facts, **member))
    assert found.position is not None
    assert (found.not_candidate is None) if why is None else (why in found.not_candidate)


def test_sites_come_before_preference() -> None:
    local = pg2(described(site_role="standby", preference=900))
    remote = pg2(described(site_role="dr", preference=1))
    assert local.preference < remote.preference
