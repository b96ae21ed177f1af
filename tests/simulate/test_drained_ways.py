"""What the audit makes of a way that was slow: what is on it arrives late, though the way is well again."""

from __future__ import annotations

from controller.simulate.estates import Shape, estate_of
from controller.simulate.faults import FaultEvent
from controller.simulate.played import played
from controller.simulate.scene import Scenario


def test_a_primary_whose_answers_are_still_on_their_way_has_not_answered() -> None:
    """0.8 s of silence end the patience of `fast`; the way was well for the last half of it."""
    slow = FaultEvent(3.0, "slow-link", "db1", 0.3, 0.8)
    shape = Shape(sites=("dc1", "dc1"), profile="fast")
    found = played(Scenario("4309", estate_of(shape), (slow,), ops="wit"))
    assert "S6" not in found.rules
