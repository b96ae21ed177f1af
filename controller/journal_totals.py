"""What the metrics count in the journal, folded as it grows: no scrape reads it from the beginning."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from controller import fields
from controller.phases import read_timings
from model import events as ev
from model.events import Event
from model.ports import Journal


@dataclass(slots=True)
class LastMove:
    """The last failover or switchover of a service. `rto_s` is read anew when its incident goes on."""

    incident: str | None
    verdict: str
    lost: int | None
    rto_s: float | None = None
    is_read: bool = False


class JournalTotals:
    """executions: closed ones by their state. incidents: opened ones by service. Used on the loop only."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._seq = 0
        self._moves: dict[str, LastMove] = {}
        self.executions: Counter[str] = Counter()
        self.incidents: Counter[str] = Counter()
        self.catch_up()  # a long journal is read before anything is watched, and not at the first scrape

    def catch_up(self) -> None:
        """Take in what was written since the last call."""
        for event in self._journal.events(since_seq=self._seq):
            self._seq = event.seq
            self._apply(event)

    def last_move(self, service: str) -> LastMove | None:
        move = self._moves.get(service)
        if move is not None and not move.is_read:
            move.is_read = True
            if move.incident is not None:
                move.rto_s = read_timings(self._journal.events(incident=move.incident)).rto.seconds
        return move

    def _apply(self, event: Event) -> None:
        service = event.service or ""
        match event.type:
            case ev.EXECUTION_CLOSED:
                self.executions[fields.text(event.data, "state", "unknown")] += 1
            case ev.INCIDENT_OPENED:
                self.incidents[service] += 1
            case ev.RPO_VERDICT:
                verdict, lost = fields.text(event.data, "verdict"), fields.integer(event.data, "lost")
                self._moves[service] = LastMove(event.incident, verdict, lost)
        move = self._moves.get(service)
        if move is not None and event.incident == move.incident:
            move.is_read = False
