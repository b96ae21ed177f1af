"""When a member is brought back: at once after a failover, patiently otherwise, never hastily again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from config.schema import Estate, Service
from controller.engines import engine_of
from controller.remedies import endpoint
from controller.remedies.remedy import Wayward
from controller.remedies.replicated import streams
from controller.remedies.table import REMEDIES
from controller.supervisor.judgement import Judged
from controller.supervisor.ledger import Ledger
from controller.views import MemberView, ServiceView

# A standby that lost its upstream looks for it by itself first (wal_retrieve_retry_interval: 5 s by default).
DETACHED_S = 15.0
# Twice as long as a load balancer's answer may be old.
MISLED_S = 1.0
# Between two tries of one member: doubled from the first to the last.
FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 300.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an execution came to, as far as the supervisor has to know.

    primary: the member that was promoted and is not journaled as primary yet, and its timeline. rejoined: the
    member that is where it was to be brought. another: it is another thing now than what was read of it.
    tried: the member that the execution was to bring back.
    """

    state: str
    primary: str | None = None
    timeline: int | None = None
    rejoined: str | None = None
    another: bool = False
    tried: str | None = None
    page: str | None = None
    severity: str = "info"


class Mending:
    """Chooses the member that is to be brought back now."""

    def __init__(self, estate: Estate, service: Service) -> None:
        self._estate = estate
        self._service = service
        self._astray_s: dict[str, float] = {}
        self._misled_s: float | None = None
        self._next_s: dict[str, float] = {}
        self._wait_s: dict[str, float] = {}

    def due(self, judged: Judged, ledger: Ledger) -> Wayward | None:
        """Who is brought back now, and how: at once, or after DETACHED_S where it may find its way itself."""
        view = judged.view
        wayward = REMEDIES[view.engine.name].wayward(view, judged.diagnosis, ledger.retired)
        ripe = self._ripe(wayward, judged)
        if view.engine.primaries:
            primary = view.member(ledger.primary)
            if primary is None or not primary.leads:
                return None
        misled = self._misled(judged)
        if misled is not None:
            return misled
        for found in ripe:
            member = view.member(found.member)
            if found.kind not in view.engine.runbooks or member is None or member.name == ledger.primary:
                continue
            if _foreign(view, member):
                continue
            if endpoint.done_already(self._service, found, view.balancers):
                continue
            if judged.at_s >= self._next_s.get(member.name, 0.0) and member.mendable:
                return found
        return None

    def expects(self, judged: Judged, ledger: Ledger) -> bool:
        """Will it be the turn of a member soon, though it is not now?"""
        now_s = judged.at_s
        if any(now_s - since_s < DETACHED_S for since_s in self._astray_s.values()):
            return True
        later = [m for m in (*ledger.retired, *self._astray_s) if m in self._next_s]
        return any(0 < self._next_s[m] - now_s < DETACHED_S for m in later)

    def returned(self, judged: Judged, ledger: Ledger) -> list[str]:
        """Retired members that stream from the primary on its timeline: somebody has brought them back."""
        return [m.name for m in judged.view.standbys if m.name in ledger.retired and streams(judged.view, m)]

    def unreachable(self) -> list[str]:
        """Members that can only be brought back by hand."""
        nodes = self._estate.nodes
        if not engine_of(self._service.engine).through_node:
            return []
        return [m.name for m in self._service.members.values() if nodes[m.node].access == "none"]

    def began(self, member: str, now_s: float) -> None:
        """A try begins: the next one is spaced from it, however it ends."""
        wait_s = self._wait_s.get(member, FIRST_WAIT_S)
        self._next_s[member] = now_s + wait_s

    def ended(self, outcome: Outcome, now_s: float) -> bool:
        """A try has ended: one that failed makes the next wait longer. True: the first in a row that failed,
        or one that did not fail."""
        member = outcome.tried
        if member is None:
            return True
        if outcome.rejoined == member:
            self._wait_s.pop(member, None)
            self._astray_s.pop(member, None)
            # One that does not stay would be brought back for ever.
            self._next_s[member] = now_s + FIRST_WAIT_S
            return True
        first = member not in self._wait_s
        wait_s = self._wait_s.get(member, FIRST_WAIT_S)
        self._next_s[member] = now_s + wait_s
        self._wait_s[member] = min(2 * wait_s, LONGEST_WAIT_S)
        return first

    def _misled(self, judged: Judged) -> Wayward | None:
        """Clients are led elsewhere than to the primary, and that has been told for long enough to be no look
        at a moment in the middle of a switch."""
        view = judged.view
        if not view.engine.primaries or not endpoint.misled(self._service, view.primary, view.balancers):
            self._misled_s = None
            return None
        if self._misled_s is None:
            self._misled_s = judged.at_s
        long = judged.at_s - self._misled_s >= MISLED_S
        primary = view.primary
        if not long or primary is None or judged.at_s < self._next_s.get(primary, 0.0):
            return None
        return Wayward(primary, endpoint.KIND)

    def _ripe(self, wayward: Sequence[Wayward], judged: Judged) -> list[Wayward]:
        """Those that wait for nothing first, then those that have not found their way for long enough."""
        patient = {w.member for w in wayward if w.patient}
        for member in [m for m in self._astray_s if m not in patient]:
            del self._astray_s[member]
        for member in patient:
            self._astray_s.setdefault(member, judged.at_s)
        long = [w for w in wayward if w.patient and judged.at_s - self._astray_s[w.member] >= DETACHED_S]
        return [*(w for w in wayward if not w.patient), *long]


def _foreign(view: ServiceView, member: MemberView) -> bool:
    """Of another system: it may be somebody's only copy of something else (P17)."""
    system = member.facts.get("system_identifier")
    return view.identity is not None and isinstance(system, str) and system != view.identity
