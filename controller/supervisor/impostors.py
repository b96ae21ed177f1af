"""Receivers that stream under a member's name and are not that member (POSTGRESQL P1).

A `pg_receivewal` with a standby's application_name acknowledges for it, and what it has is no copy that can
be promoted. The primary can't tell the two apart; the member can: it has no WAL receiver.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from config.schema import Member
from model.observation import Observation

# Name, without case → pids of the senders that serve it.
_Senders = dict[str, frozenset[int]]


class Impostors:
    """Fed with every reading of the primary. members: those that are called false now, by name."""

    def __init__(self) -> None:
        self.members: set[str] = set()
        self._senders: _Senders = {}
        self._read_s: float | None = None

    def primary_read(
        self, seen: Observation, standbys: Iterable[Member], readings: Mapping[str, Observation]
    ) -> None:
        """readings: member → its last good one. Only a reading between two of the primary that show the same
        sender counts: a standby that has just lost its primary has no receiver either."""
        senders = _senders(seen)
        for member in standbys:
            name, reading = member.application_name.lower(), readings.get(member.name)
            lasting = senders.get(name, frozenset()) & self._senders.get(name, frozenset())
            if name not in senders:
                self.members.discard(member.name)
            elif lasting and reading is not None and self._between(reading, seen):
                receives = bool(reading.facts.get("walreceiver"))
                (self.members.discard if receives else self.members.add)(member.name)
        self._senders, self._read_s = senders, seen.ended_s

    def _between(self, reading: Observation, seen: Observation) -> bool:
        return (
            self._read_s is not None
            and self._read_s <= reading.started_s
            and reading.ended_s <= seen.started_s
        )


def _senders(seen: Observation) -> _Senders:
    rows = seen.facts.get("standbys")
    found: dict[str, set[int]] = {}
    for row in rows if isinstance(rows, list | tuple) else ():
        if isinstance(row, Mapping) and isinstance(row.get("pid"), int):
            found.setdefault(str(row.get("application_name", "")).lower(), set()).add(row["pid"])
    return {name: frozenset(pids) for name, pids in found.items()}
