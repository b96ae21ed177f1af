"""Several services are out at once: those that others need go first, then the more important."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.order import CLAIM_LIVES_S, WAITED_FOR_S, Claim, FailoverOrder, Stage, told

RANKS = {"low": 0, "normal": 1, "high": 2, "critical": 3}


def order(needs: dict[str, tuple[str, ...]], **importance: str) -> FailoverOrder:
    needed_by: dict[str, tuple[str, ...]] = {}
    for service, others in needs.items():
        for other in others:
            needed_by[other] = (*needed_by.get(other, ()), service)
    return FailoverOrder(needs, {s: RANKS[i] for s, i in importance.items()}, needed_by)


def due(*services: str, stage: Stage = Stage.DUE, at_s: float = 10.0) -> list[Claim]:
    return [Claim(service, stage, at_s, at_s) for service in services]


SHOP = order({"shop": ("orders",), "orders": ("ldap",), "ldap": (), "wiki": ()})


@pytest.mark.parametrize("stage", list(Stage))
def test_what_is_needed_directly_or_through_others_is_waited_for(stage: Stage) -> None:
    for other in ("orders", "ldap"):
        turn = SHOP.turn("shop", due(other, stage=stage), 3, 10.0)
        assert told(turn.waits_for) == f"{other} ({stage.value})"
    assert SHOP.turn("ldap", due("shop", "orders"), 3, 10.0).waits_for == ()
    assert SHOP.turn("wiki", due("shop", "orders", "ldap"), 4, 10.0).waits_for == ()


def test_a_claim_that_is_not_renewed_is_waited_for_by_nobody() -> None:
    assert SHOP.turn("shop", due("ldap"), 3, 10.0 + CLAIM_LIVES_S).waits_for
    assert not SHOP.turn("shop", due("ldap"), 3, 10.1 + CLAIM_LIVES_S).waits_for


@pytest.mark.parametrize("stage", list(Stage))
def test_one_that_takes_longer_than_it_should_has_a_trouble_of_its_own(stage: Stage) -> None:
    """A suspicion that is never settled, an execution that waits for a person."""
    late_s = 100.0 + WAITED_FOR_S[stage]
    assert SHOP.turn("shop", [Claim("ldap", stage, late_s, 100.0)], 3, late_s).waits_for
    assert not SHOP.turn("shop", [Claim("ldap", stage, late_s, 99.9)], 3, late_s).waits_for


def test_the_last_of_the_budget_is_kept_for_the_more_important() -> None:
    known = order({}, wiki="low", shop="critical", blog="low")
    assert [c.service for c in known.turn("wiki", due("shop"), 1, 10.0).yields_to] == ["shop"]
    assert known.turn("shop", due("wiki"), 1, 10.0).yields_to == ()
    assert known.turn("wiki", due("shop"), 2, 10.0).yields_to == ()
    # Of equals the name decides; what is failing over already has its share.
    assert known.turn("wiki", due("blog"), 1, 10.0).yields_to
    assert not known.turn("wiki", due("shop", stage=Stage.MOVING), 1, 10.0).yields_to


def test_a_service_is_as_important_as_what_needs_it() -> None:
    known = order({"shop": ("ldap",)}, shop="critical", ldap="low", orders="high")
    assert known.turn("orders", due("ldap"), 1, 10.0).yields_to
    assert known.turn("ldap", due("shop", "orders"), 1, 10.0).yields_to == ()


NAMES = ("a", "b", "c", "d", "e")
# Each may need those before it: no circles, whatever is drawn.
GRAPHS = st.fixed_dictionaries(
    {name: st.lists(st.sampled_from(NAMES[:i]), unique=True).map(tuple) if i else st.just(())
     for i, name in enumerate(NAMES)}
)  # fmt: skip


@given(
    needs=GRAPHS,
    importance=st.fixed_dictionaries({name: st.sampled_from(sorted(RANKS)) for name in NAMES}),
    names=st.permutations(NAMES),
    budget=st.integers(1, 6),
)
def test_somebody_may_always_go_and_in_the_end_all_for_whom_the_budget_lasts(
    needs: dict[str, tuple[str, ...]], importance: dict[str, str], names: list[str], budget: int
) -> None:
    """Nobody waits in a circle, and whatever a service needs has gone before it."""
    other = dict(zip(NAMES, names, strict=True))
    renamed = {other[s]: tuple(other[n] for n in needed) for s, needed in needs.items()}
    known = order(renamed, **importance)
    waiting, gone = set(NAMES), []
    for left in itertools.count(budget, -1):
        if not waiting or left <= 0:
            break
        turns = {s: known.turn(s, due(*sorted(waiting)), left, 10.0) for s in sorted(waiting)}
        may = [s for s, turn in turns.items() if not turn.waits_for and not turn.yields_to]
        assert may, turns
        assert len([s for s, t in turns.items() if not t.yields_to]) <= max(left, 0)
        waiting.remove(may[0])
        gone.append(may[0])
        assert set(renamed[may[0]]) <= set(gone)
    assert len(gone) == min(budget, len(NAMES))
