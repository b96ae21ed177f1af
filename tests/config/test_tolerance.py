"""What is said to survive does survive, by the arithmetic of the proof itself (P1, P19)."""

from __future__ import annotations

from itertools import combinations

import pytest
from estate_texts import VALID, spoiled
from hypothesis import given
from hypothesis import strategies as st

from config.loader import examine
from config.positions import load_yaml
from config.tolerance import Tolerance, tolerance, tolerance_line
from model.lsn import Position
from model.quorum import MemberPosition, SyncSetting, prove


def orders(names: str) -> str:
    estate = examine(load_yaml(spoiled('ANY 1 (pg2, "pg3")', names, VALID))).estate
    assert estate is not None
    return tolerance_line(estate.service("orders"))


def test_any_one_of_two_survives_the_primary_alone() -> None:
    assert orders("ANY 1 (pg2, pg3)") == (
        "orders: ANY 1 of 2 standbys: survives the loss of the primary alone with proof (2 of 2 must be "
        "readable); writes go on with 1 standby out; more: ANY 2 of the same 2 survives one more, but writes "
        "wait as soon as one is out; ANY 2 of 3 standbys survives one standby more, and writes go on with "
        "one out"
    )


def test_any_two_of_two_survives_a_standby_too_but_waits() -> None:
    line = orders("ANY 2 (pg2, pg3)")
    assert "survives the loss of the primary and 1 standby with proof (1 of 2 must be readable)" in line
    assert "writes wait as soon as one standby is out" in line


def test_the_primary_s_own_name_does_not_count() -> None:
    assert orders("ANY 1 (pg1, pg2, pg3)") == orders("ANY 1 (pg2, pg3)")
    assert "FIRST 1 of 1 standby: survives the loss of the primary alone" in orders("pg2")


def test_asynchronous_survives_nothing_with_proof() -> None:
    assert "asynchronous: survives no loss with proof" in orders('""')
    estate = examine(load_yaml(VALID)).estate
    assert estate is not None
    assert not tolerance(estate.service("billing")).synchronous


@pytest.mark.parametrize(("k", "n"), [(1, 3), (2, 3), (1, 4)])
def test_more_standbys_of_the_same_number_are_named_first(k: int, n: int) -> None:
    more = Tolerance("ANY", k, n, n - k + 1).more()
    assert more.startswith(f"ANY {k + 1} of the same {n} survives")


@given(st.integers(1, 5), st.integers(0, 4))
def test_the_line_agrees_with_the_proof(k: int, spare: int) -> None:
    n = k + spare
    names = tuple(f"s{i}" for i in range(n))
    setting = SyncSetting("ANY", k, names)
    said = Tolerance("ANY", k, n, setting.readable_needed)

    def proven(lost: tuple[str, ...]) -> bool:
        members = [
            MemberPosition(name, name, None if name in lost else Position("1", 1, 100), (0,))
            for name in names
        ]
        return prove([setting], members).complete

    assert all(proven(lost) for lost in combinations(names, said.standbys_lost))
    assert not any(proven(lost) for lost in combinations(names, said.standbys_lost + 1))
    assert said.writes_wait_after == n - k
