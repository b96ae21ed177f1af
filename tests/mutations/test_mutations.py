"""The product made wrong in one place after the other: each is noticed, and nothing is where nothing is wrong."""

from __future__ import annotations

import pytest
from gates_broken import GATES_BROKEN
from mutation import Mutation, applied
from noticing import noticed
from postgresql_broken import POSTGRESQL_BROKEN
from rules_broken import RULES_BROKEN

MUTATIONS = (*GATES_BROKEN, *RULES_BROKEN, *POSTGRESQL_BROKEN)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name)
def test_a_broken_rule_is_noticed(mutation: Mutation) -> None:
    assert noticed(mutation.noticed) == [], "it says so though nothing is wrong"
    with applied(mutation):
        assert noticed(mutation.noticed) != []
    assert noticed(mutation.noticed) == [], "the mutation has left something behind"
