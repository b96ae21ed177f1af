"""What other observers see of one service: for each of them a fold of its own, like our own one.

Only what tells whether a target lives is made of it. Positions, settings and canaries, of which a proof is
made, are read by ourselves: nothing is promoted on hearsay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from config.schema import Estate, Service
from controller.detect import unseen
from controller.engines import ENGINES
from controller.news import is_news
from controller.supervisor.states import States
from controller.views import ObserverView
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
        self._engine = ENGINES[service.engine]
        self._own = estate.daemon.name
        self.own_site = estate.own_site
        self._others = {
            name: Other(name, o.site, States(service.detection)) for name, o in estate.other_observers.items()
        }

    def is_own(self, observer: str) -> bool:
        """Whether we saw it ourselves. Where nobody else is declared, nobody else can have."""
        return not self._others or observer == self._own

    def declares(self, observer: str) -> bool:
        return observer in self._others

    def observe(self, seen: Observation) -> bool:
        """By one that is declared. Is it news, so that the service is to be judged at once?"""
        other = self._others[seen.observer]
        before = other.states.get(seen.target, seen.probe)
        fold = self._engine.fold_of(seen.probe)
        state = fold(before or ProbeState(seen.target, seen.probe), seen, self._service.detection)
        other.states.put(state)
        return is_news(before, state)

    def health(self, observer: str, sane: bool | None, why: str, at_s: float) -> bool:
        """What it says of itself; what it said before that, and comes later, is passed over. Is it news?"""
        other = self._others.get(observer)
        if other is None or (other.told_s is not None and at_s < other.told_s):
            return False
        news = other.told_s is None or sane is not other.sane
        other.sane, other.why, other.told_s = sane, why, at_s
        return news

    def missed(self, observer: str) -> None:
        """Some of what it saw never came: what it fails to reach must be seen to fail anew."""
        other = self._others.get(observer)
        if other is not None:
            for state in list(other.states.all()):
                other.states.put(unseen(state))

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
        probe = self._engine.probe
        return states.get(probe) or ProbeState(member, probe)
