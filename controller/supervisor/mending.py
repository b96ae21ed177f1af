"""When a member is brought back: at once after a failover, patiently otherwise, never hastily again."""

from __future__ import annotations

from dataclasses import dataclass

from config.schema import Estate, Service
from controller.supervisor.judgement import Judged
from controller.supervisor.ledger import Ledger
from model.health import Health

# A standby that lost its upstream looks for it by itself first (wal_retrieve_retry_interval: 5 s by default).
DETACHED_S = 15.0
# Between two tries of one member: doubled from the first to the last.
FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 300.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an execution came to, as far as the supervisor has to know.

    primary: the member that was promoted and is not journaled as primary yet. rejoined: the member that
    streams again. tried: the member that the execution was to bring back.
    """

    state: str
    primary: str | None = None
    rejoined: str | None = None
    tried: str | None = None
    page: str | None = None
    severity: str = "info"


class Mending:
    """Chooses the member that is to be brought back now."""

    def __init__(self, estate: Estate, service: Service) -> None:
        self._estate = estate
        self._service = service
        self._detached_s: dict[str, float] = {}
        self._next_s: dict[str, float] = {}
        self._wait_s: dict[str, float] = {}

    def due(self, judged: Judged, ledger: Ledger) -> str | None:
        if self._service.postgresql.rejoin != "auto":
            return None
        primary = judged.view.member(judged.view.primary)
        if primary is None or not primary.fresh:
            return None
        for member in (*ledger.retired, *self._long_detached(judged)):
            if judged.at_s >= self._next_s.get(member, 0.0) and self._reachable(member):
                return member
        return None

    def ended(self, outcome: Outcome, now_s: float) -> None:
        """A try has ended: one that failed makes the next wait longer."""
        member = outcome.tried
        if member is None:
            return
        if outcome.rejoined == member:
            self._wait_s.pop(member, None)
            self._next_s.pop(member, None)
            self._detached_s.pop(member, None)
            return
        wait_s = self._wait_s.get(member, FIRST_WAIT_S)
        self._next_s[member] = now_s + wait_s
        self._wait_s[member] = min(2 * wait_s, LONGEST_WAIT_S)

    def _long_detached(self, judged: Judged) -> list[str]:
        found = []
        for standby in judged.view.standbys:
            detached = (
                standby.pg.health is Health.UP
                and standby.facts.get("in_recovery") is True
                and not standby.facts.get("walreceiver")
            )
            if not detached:
                self._detached_s.pop(standby.name, None)
            elif judged.at_s - self._detached_s.setdefault(standby.name, judged.at_s) >= DETACHED_S:
                found.append(standby.name)
        return found

    def _reachable(self, member: str) -> bool:
        return self._estate.nodes[self._service.members[member].node].access != "none"
