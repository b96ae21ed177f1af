"""Is an observation news, so that the service is to be judged at once? Pure.

What only says again what was known is judged with the next turn, a fraction of a second later: every
judgement looks at all that is known. It is most of what is seen, a few times a second for each member.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from model.health import ProbeState
from model.observation import Outcome

# Facts that move all the time while everything is well.
_MOVING: Final = frozenset(
    {
        "canary_n",
        "connected_clients",
        "current_lsn",
        "data_free_bytes",
        "flush_lsn",
        "gtid_binlog_pos",
        "gtid_current_pos",
        "gtid_slave_pos",
        "lag_s",
        "position",
        "receive_lsn",
        "replay_idle",
        "replay_lsn",
        "replication_offset",
        "seconds_behind",
        "sources",
        "standbys",
        "threads_connected",
        "threads_running",
        "uptime_s",
        "used_memory_bytes",
        "wal_free_bytes",
    }
)


def is_news(before: ProbeState | None, after: ProbeState) -> bool:
    """after: the state with one more observation in it, before: without."""
    if before is None or before.last is None or after.last is None or after.health is not before.health:
        return True
    was, seen = before.last, after.last
    if (was.outcome, was.failure, was.late) != (seen.outcome, seen.failure, seen.late):
        return True
    return seen.outcome is Outcome.SUCCEEDED and not same_facts(was.facts, seen.facts)


def same_facts(was: Mapping[str, Any], seen: Mapping[str, Any]) -> bool:
    """But for those that move all the time."""
    if was is seen:
        return True
    if was.keys() != seen.keys():
        return False
    return all(value == seen[name] for name, value in was.items() if name not in _MOVING)
