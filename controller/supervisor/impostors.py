"""Who streams from the primary, by its word and by the members' own (POSTGRESQL P1).

A `pg_receivewal` with a standby's application_name acknowledges for it, and what it has is no copy that can
be promoted. The primary can't tell the two apart; the member can: it has no WAL receiver. The other way
round, a member that receives and is not among the primary's senders streams from somebody else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from math import inf

from config.schema import PostgresqlMember
from model.observation import Observation

# Name, without case → pids of the senders that serve it.
_Senders = dict[str, frozenset[int]]


class Impostors:
    """Fed with every reading of the primary. members: those that are called false now, by name. elsewhere:
    those that stream, and not from the primary."""

    def __init__(self) -> None:
        self.members: set[str] = set()
        self.elsewhere: set[str] = set()
        # The primary's last two readings. Two probes with one interval keep their order for long: a member's
        # reading may never lie between one of the primary's and the next.
        self._before: deque[tuple[_Senders, float]] = deque(maxlen=2)
        self._earlier: Mapping[str, Observation] = {}

    def primary_read(
        self, seen: Observation, standbys: Sequence[PostgresqlMember], readings: Mapping[str, Observation]
    ) -> None:
        """standbys: all but the primary, in whose own name nobody is looked for: one that was promoted since
        is a standby no more. readings: member → its last good one. Only a reading between readings of the
        primary that all show the same counts: a standby that has just lost its primary, or found it, is not
        what it was."""
        names = {m.name for m in standbys}
        self.members &= names
        self.elsewhere &= names
        senders = _senders(seen)
        if senders is None:
            return  # it does not say
        for member in standbys:
            name, reading = member.application_name.lower(), self._between(member.name, readings, seen)
            receives = reading is not None and bool(reading.facts.get("walreceiver"))
            before = [known.get(name, frozenset()) for known, _ended_s in self._before]
            if name in senders:
                self.elsewhere.discard(member.name)
                if reading is not None and senders[name].intersection(*before):
                    (self.members.discard if receives else self.members.add)(member.name)
            else:
                self.members.discard(member.name)
                if reading is not None and not any(before):
                    (self.elsewhere.add if receives else self.elsewhere.discard)(member.name)
        self._before.append((senders, seen.ended_s))
        self._earlier = readings

    def _between(
        self, member: str, readings: Mapping[str, Observation], seen: Observation
    ) -> Observation | None:
        """The last reading of the member between readings of the primary, if there is one."""
        from_s = self._before[0][1] if self._before else inf
        for known in (readings.get(member), self._earlier.get(member)):
            if known is not None and from_s <= known.started_s and known.ended_s <= seen.started_s:
                return known
        return None


def _senders(seen: Observation) -> _Senders | None:
    rows = seen.facts.get("standbys")
    if not isinstance(rows, list | tuple):
        return None
    found: dict[str, set[int]] = {}
    for row in rows:
        if isinstance(row, Mapping) and isinstance(row.get("pid"), int):
            found.setdefault(str(row.get("application_name", "")).lower(), set()).add(row["pid"])
    return {name: frozenset(pids) for name, pids in found.items()}
