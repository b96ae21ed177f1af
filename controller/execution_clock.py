"""How much of a service's RTO an execution has used. Pure.

It counts from T0, the last good observation, where there was an outage; a planned switch counts from its own
T0, when the old primary is closed for writes, and before that from its beginning. It ends at T8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controller.executions import Execution, execution_json, find_execution
from controller.phases import Instant, between, read_timings
from model.events import Event


def execution_clock(execution: Execution, incident: Sequence[Event], now: Instant) -> dict[str, Any] | None:
    """{since: T0 | its beginning, elapsed_s, rto_s, left_s, estimated}; left_s is negative beyond the RTO.

    None where the execution has no RTO, or no clock can tell. incident: the events of its incident.
    """
    if execution.rto_ms is None:
        return None
    marks = read_timings(incident).marks
    began = marks.get("T0")
    end = marks.get("T8") or execution.closed or now
    elapsed = between(began or execution.opened, end)
    if elapsed.seconds is None:
        return None
    rto_s = execution.rto_ms / 1000
    return {
        "since": "T0" if began is not None else "its beginning",
        "elapsed_s": elapsed.seconds,
        "rto_s": rto_s,
        "left_s": round(rto_s - elapsed.seconds, 3),
        "estimated": elapsed.estimated,
    }


def execution_now(events: Sequence[Event], execution_id: str, now: Instant) -> dict[str, Any]:
    """The execution as `show_execution` tells it, with its `clock`. Raises UsageError where there is none."""
    execution = find_execution(events, execution_id)
    own = [e for e in events if e.incident is not None and e.incident == execution.incident]
    return {**execution_json(execution), "clock": execution_clock(execution, own, now)}
