"""What other observers hand in: to the supervisors that it concerns. Part of the station."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from config.schema import Estate
from controller.arrivals import Arrivals, Batch
from controller.supervisor.supervisor import Supervisor
from model.errors import UsageError
from model.ports import Clock


class ObserversInbox:
    """concerned: by the two parts of a target's name. `configure` before anything is taken, and for a new
    estate."""

    def __init__(
        self,
        clock: Clock,
        supervisors: Mapping[str, Supervisor],
        concerned: Callable[[str, str], Iterable[Supervisor]],
    ) -> None:
        self._clock = clock
        self._supervisors = supervisors
        self._concerned = concerned
        self._arrivals = Arrivals()
        self._others: tuple[str, ...] = ()
        self._said: dict[str, tuple[bool | None, str]] = {}

    def configure(self, estate: Estate) -> None:
        self._others = tuple(estate.other_observers)
        self._said.clear()  # supervisors are new, and know nothing

    def take(self, batch: Batch) -> None:
        """Whoever hands it in has made sure of the sender. What has been here before is passed over.

        Raises UsageError for a sender that is no other observer of the estate, and for what makes no sense.
        """
        if batch.observer not in self._others:
            raise UsageError(
                f"{batch.observer} is no other observer",
                hint=f"observers of the estate beside this one: {', '.join(self._others) or 'none'}",
            )
        self._arrivals, arrived = self._arrivals.take(batch, self._clock.monotonic_s())
        if arrived is None:
            return
        name, health = arrived.observer, (arrived.sane, arrived.why)
        if arrived.missed:
            for supervisor in self._supervisors.values():
                supervisor.missed_elsewhere(name)
        if self._said.get(name) != health:  # else only those are told of whose services it has seen something
            self._said[name] = health
            for supervisor in self._supervisors.values():
                supervisor.observer_elsewhere(name, *health, arrived.at_s)
        for seen in arrived.seen:
            kind, _, rest = seen.target.partition("/")
            for supervisor in self._concerned(kind, rest):
                supervisor.observer_elsewhere(name, *health, arrived.at_s)
                supervisor.observe(seen)
