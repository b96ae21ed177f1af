"""What other observers see of one service: for each of them a fold of its own, like our own one.

Only what tells whether a target lives is made of it. Positions, settings and canaries, of which a proof is
made, are read by ourselves: nothing is promoted on hearsay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from config.schema import Estate, Service
from controller.detect import fold
from controller.supervisor.states import States
from controller.views import PG, ObserverView
from model.health import ProbeState
from model.observation import Observation


@dataclass(slots=True)
class Other:
    """One of them. told_s: when it last said how it is itself."""

    name: str
    site: str
    states: States
    sane: bool | None = None
    why: str = "it has said nothing yet"
    told_s: float | None = None


class Elsewhere:
    """Mutable on purpose, like `Knowledge`: one per service, touched from the loop only. All times are those
    of our monotonic clock: see `controller.arrivals`."""

    def __init__(self, estate: Estate, service: Service) -> None:
        self._service = service
        self._own = estate.daemon.name
        self.own_site = estate.own_site
        self._others = {
            name: Other(name, o.site, States(service.detection)) for name, o in estate.other_observers.items()
        }

    def is_own(self, observer: str) -> bool:
        """Whether we saw it ourselves. Where nobody else is declared, nobody else can have."""
        return not self._others or observer == self._own

    def observe(self, seen: Observation) -> bool:
        """False: by nobody that is declared, so that it counts for nothing."""
        other = self._others.get(seen.observer)
        if other is None:
            return False
        state = other.states.get(seen.target, seen.probe) or ProbeState(seen.target, seen.probe)
        other.states.put(fold(state, seen, self._service.detection))
        return True

    def health(self, observer: str, sane: bool | None, why: str, at_s: float) -> None:
        """What it says of itself; what it said before that, and comes later, is passed over."""
        other = self._others.get(observer)
        if other is not None and (other.told_s is None or at_s >= other.told_s):
            other.sane, other.why, other.told_s = sane, why, at_s

    def views(self, now_s: float) -> tuple[ObserverView, ...]:
        """In the order of the estate."""
        return tuple(self._view(other, now_s) for other in self._others.values())

    def _view(self, other: Other, now_s: float) -> ObserverView:
        stale_s = self._service.detection.stale_s
        old = other.told_s is None or now_s - other.told_s > stale_s
        members = self._service.members.values()
        return ObserverView(
            name=other.name,
            site=other.site,
            # That it was well is no news of now; that it was not holds until it says otherwise.
            sane=None if old and other.sane else other.sane,
            why=other.why,
            members={m.name: self._seen(other, m.name, now_s) for m in members},
            hosts={m.name: other.states.aged(f"node/{m.node}", now_s) for m in members},
        )

    def _seen(self, other: Other, member: str, now_s: float) -> ProbeState:
        states: Mapping[str, ProbeState] = other.states.aged(f"{self._service.name}/{member}", now_s)
        return states.get(PG) or ProbeState(member, PG)
