"""How an owner enters the journal: the record with which its epoch begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.store import hostclock
from controller.store.hostclock import Times
from controller.store.leadership import Leadership
from controller.store.records import Draft, snapshot
from model.events import EPOCH_TAKEN


@dataclass(frozen=True, slots=True)
class Opening:
    """take_over: the lock's holder is frozen, and a person wants to act in its place. restarted: the data of
    `journal.restarted`, where a new journal takes the place of a broken one."""

    take_over: bool = False
    reason: str = ""
    restarted: tuple[str, Mapping[str, Any]] | None = None  # (type, data)
    actor: str = "daemon"

    def draft(self, times: Times, owner: str, previous: Leadership | None) -> Draft:
        if self.restarted is not None:
            type_, data = self.restarted
            return draft(times, type_, data, actor=self.actor, anchor=True)
        data = {
            "owner": owner,
            "previous_owner": previous.owner if previous else None,
            "reason": self.reason or ("taken over" if self.take_over else "the lock was free"),
        }
        return draft(times, EPOCH_TAKEN, data, actor=self.actor, anchor=True)


def draft(
    times: Times,
    type_: str,
    data: Mapping[str, Any],
    *,
    service: str | None = None,
    incident: str | None = None,
    execution: str | None = None,
    actor: str = "daemon",
    anchor: bool = False,
) -> Draft:
    """A record with the time of now. Raises TypeError on data that is no canonical JSON (floats)."""
    return Draft(
        type=type_,
        data=snapshot(data),
        service=service,
        incident=incident,
        execution=execution,
        actor=actor,
        anchor=anchor,
        mono_ns=int(times.monotonic_s() * 1e9),
        wall_utc=hostclock.wall_utc(times.wall_s()),
        wall_offset_us=hostclock.wall_offset_us(),
    )
