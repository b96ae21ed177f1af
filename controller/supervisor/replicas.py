"""Standbys as observers of their primary: does it still send, although it doesn't answer here (P14)?

What a standby received counts where two readings in a row, both begun after the primary's first unanswered
attempt (or after its end, where a connection told of it), show an advance. The readings are kept from before
the suspicion: the first attempt that times out is known to be bad only when it ends, and the standbys have
been read meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from model.health import Health, ProbeState
from model.observation import Observation

# An advance counts for two intervals; in a burst there are more of them than this, and each is as good.
_KEPT = 4


@dataclass(slots=True)
class _Replica:
    """advances: (start of the reading before, end of the reading that was further), oldest first."""

    began_s: float
    position: int
    advances: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_KEPT))


class Replicas:
    """Of one service. Times are monotonic seconds."""

    def __init__(self, position_of: Callable[[Mapping[str, Any]], int | None]) -> None:
        """position_of: how far a member has received, from its facts."""
        self._position_of = position_of
        self._by_name: dict[str, _Replica] = {}

    def read(self, member: str, seen: Observation) -> None:
        """A successful reading of a standby."""
        position = self._position_of(seen.facts)
        if position is None:
            self.forget(member)
            return
        replica = self._by_name.get(member)
        if replica is None:
            self._by_name[member] = _Replica(seen.started_s, position)
            return
        if position > replica.position:
            replica.advances.append((replica.began_s, seen.ended_s))
        replica.began_s, replica.position = seen.started_s, position

    def forget(self, member: str) -> None:
        self._by_name.pop(member, None)

    def receives(self, member: str, primary: ProbeState | None, now_s: float, interval_s: float) -> bool:
        """Did it advance since the suspicion, and within two intervals?

        What a receiver had buffered of a dead primary is long on disk.
        """
        suspected_s = _suspected_since_s(primary)
        replica = self._by_name.get(member)
        if suspected_s is None or replica is None:
            return False
        return any(
            began_s > suspected_s and now_s - ended_s < 2 * interval_s
            for began_s, ended_s in replica.advances
        )


def _suspected_since_s(primary: ProbeState | None) -> float | None:
    if primary is None or primary.health is Health.UP or primary.first_bad_s is None:
        return None
    return max(primary.first_bad_s, primary.closed_s or primary.first_bad_s)
