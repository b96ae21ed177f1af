"""How many automatic failovers the estate has left in its window (S1), less those that are on their way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from config.daemon import FailoverBudget
from controller import fields
from controller.phases import parse_wall_ns
from controller.supervisor.ledger import FAILOVER
from model import events as ev
from model.events import Event
from model.ports import Clock, Journal


class Launching:
    """One for all services of a daemon. Between a judgement and the record of its execution others are
    judged: two services that fail at once must not both take what is left for one."""

    def __init__(self) -> None:
        self.count = 0

    @contextmanager
    def one(self, left: int) -> Iterator[bool]:
        """left: what the journal leaves. True: it is within the budget, and counted until the end of the
        block, by when the journal has it or it did not begin."""
        if left - self.count <= 0:
            yield False
            return
        self.count += 1
        try:
            yield True
        finally:
            self.count -= 1


def budget_left(budget: FailoverBudget, journal: Journal, clock: Clock, boot_id: str) -> int:
    """By what the journal holds; below 0 after the budget was made smaller."""
    since_ns = int((clock.wall_s() - budget.per) * 1e9)
    this_boot = (boot_id, int((clock.monotonic_s() - budget.per) * 1e9))
    return budget.count - automatic_failovers(
        journal.events(types=(ev.EXECUTION_OPENED,)), since_ns, this_boot
    )


def automatic_failovers(
    events: Iterable[Event], since_wall_ns: int, this_boot: tuple[str, int] | None = None
) -> int:
    """Executions that failed a service over without a person's yes, opened since `since_wall_ns`.
    this_boot: (boot id, the same moment on its monotonic clock): a jump of the wall's gives nobody more."""
    return sum(
        1
        for event in events
        if event.type == ev.EXECUTION_OPENED
        and fields.text(event.data, "kind") == FAILOVER
        and fields.text(event.data, "trigger") == "automatic"
        and _since(event, since_wall_ns, this_boot)
    )


def _since(event: Event, wall_ns: int, this_boot: tuple[str, int] | None) -> bool:
    if this_boot is not None and event.boot_id == this_boot[0]:
        return event.mono_ns >= this_boot[1]
    return (parse_wall_ns(event.wall_utc) or 0) >= wall_ns
