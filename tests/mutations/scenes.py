"""Scenarios in which a broken rule shows: three members at two sites, and just the faults that it takes."""

from __future__ import annotations

from controller.simulate.estates import SERVICE, Shape, estate_of
from controller.simulate.faults import FaultEvent
from controller.simulate.scene import Scenario
from controller.simulate.world import Traits

PG1, PG2, PG3 = (f"{SERVICE}/pg{number}" for number in (1, 2, 3))


def fault(at_s: float, kind: str, target: str = "", for_s: float = 0.0, value: float = 0.0) -> FaultEvent:
    return FaultEvent(at_s, kind, target, for_s, value)


def scenario(
    *events: FaultEvent,
    shape: Shape | None = None,
    in_place: bool = False,
    ops: str = "wit",
    end_s: float = 12.0,
    promote_late_s: float = 0.0,
) -> Scenario:
    """The primary is pg1; any one of pg2 and pg3 confirms, so that a proof needs both."""
    traits = Traits(in_place=in_place, sealed=False)
    return Scenario(
        "mutation", estate_of(shape or Shape()), events, traits, ops, end_s, promote_late_s=promote_late_s
    )


CRASH = scenario(fault(3.0, "crash", PG1))
HANG = scenario(fault(3.0, "freeze", PG1, 9.0))
# pg2 has missed what pg3 has confirmed, and is all that is left.
THE_WRONG_ONE_IS_LEFT = scenario(
    fault(2.5, "replication-cut", "db2"), fault(4.0, "host-down", "db3"), fault(4.1, "crash", PG1)
)
# The next one crashes before there is redundancy again.
CRASH_UPON_CRASH = scenario(fault(3.0, "start-fails", PG1), fault(4.0, "crash", PG2))
