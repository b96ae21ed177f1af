"""How many automatic failovers the estate has left in its window (S1), less those that are on their way."""

from __future__ import annotations

from collections.abc import Iterator
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


class AutomaticFailovers:
    """Those that the journal holds. It is asked with every judgement of every service, and so reads on from
    where it was."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._seq = 0
        self._opened: list[Event] = []

    def left(self, budget: FailoverBudget, clock: Clock, boot_id: str) -> int:
        """Below 0 after the budget was made smaller."""
        new = self._journal.events(since_seq=self._seq, types=(ev.EXECUTION_OPENED,))
        if new:
            self._seq = new[-1].seq
            self._opened += [event for event in new if is_automatic_failover(event)]
        since_ns = int((clock.wall_s() - budget.per) * 1e9)
        this_boot = (boot_id, int((clock.monotonic_s() - budget.per) * 1e9))
        return budget.count - sum(1 for event in self._opened if _since(event, since_ns, this_boot))


def is_automatic_failover(event: Event) -> bool:
    """An execution that fails a service over without a person's yes."""
    return (
        event.type == ev.EXECUTION_OPENED
        and fields.text(event.data, "kind") == FAILOVER
        and fields.text(event.data, "trigger") == "automatic"
    )


def _since(event: Event, wall_ns: int, this_boot: tuple[str, int]) -> bool:
    """this_boot: its id, and the same moment on its monotonic clock: a jump of the wall's changes nothing."""
    if event.boot_id == this_boot[0]:
        return event.mono_ns >= this_boot[1]
    return (parse_wall_ns(event.wall_utc) or 0) >= wall_ns
