"""The product made wrong in one place after the other: each is noticed, and nothing where all is right."""

from __future__ import annotations

import pytest
from gates_broken import GATES_BROKEN
from mutation import Mutation, applied
from noticing import SITUATIONS, noticed
from postgresql_broken import POSTGRESQL_BROKEN
from rules_broken import RULES_BROKEN

from tests.core.situation_player import Situation, load

MUTATIONS = (*GATES_BROKEN, *RULES_BROKEN, *POSTGRESQL_BROKEN)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name)
def test_a_broken_rule_is_noticed(mutation: Mutation) -> None:
    assert noticed(mutation.noticed) == [], "it says so though nothing is wrong"
    with applied(mutation):
        assert noticed(mutation.noticed) != []


def test_what_a_mutation_changes_is_as_it_was_afterwards() -> None:
    for mutation in GATES_BROKEN:
        with applied(mutation):
            pass
        assert noticed(mutation.noticed) == []


def test_every_gate_is_broken_once() -> None:
    gates = Situation(load(SITUATIONS / "healthy.yaml")).judge({"at": 0.0}).decision.gates
    assert {f"gate {g.name}" for g in gates} == {m.rule for m in GATES_BROKEN}


def test_every_rule_is_broken_at_least_once() -> None:
    broken = {m.rule for m in MUTATIONS}
    assert {f"S{number}" for number in range(1, 15)} - broken == set()
    assert {f"P{number}" for number in range(1, 17)} - broken == set()


def test_no_two_mutations_are_the_same() -> None:
    assert len({m.name for m in MUTATIONS}) == len(MUTATIONS)
