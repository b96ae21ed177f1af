"""Detection's memory of one probe."""

from __future__ import annotations

from dataclasses import fields, replace

from model.health import Health, ProbeState


def test_another_value_of_a_field_leaves_the_rest_and_the_original_as_they_were() -> None:
    state = ProbeState("orders/pg1", "postgresql", failures=3)
    assert state.but(health=Health.UP, failures=0) == replace(state, health=Health.UP, failures=0)
    assert state.failures == 3


def test_the_other_one_has_the_same_fields() -> None:
    state = ProbeState("orders/pg1", "postgresql").but(failures=1)
    assert set(vars(state)) == {f.name for f in fields(ProbeState)}
