"""The incident of a service that is not closed, as its journal tells of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Self

from controller import fields
from controller.phases import parse_wall_ns
from model import events as ev
from model.events import Event
from model.level import higher_level

# A service manager brings a dead controller back within seconds. What it saw longer ago may be over.
CRASH_SEEN_S: Final = 30.0
_CRASHED: Final = "PrimaryProcessDown"


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """`recovered`: it works again, redundancy may still be missing.

    opened_ns: monotonic time of its record, within `boot_id`; began_ns: of the last good observation before
    it, if there was one; began_wall_ns: the same on the wall, for after a reboot. acknowledged, reported: by
    whom. missed: (what, level) of the deadlines that have passed.
    """

    id: str
    opened_seq: int
    level: str
    code: str
    manual: bool = False
    recovered: bool = False
    boot_id: str = ""
    opened_ns: int = 0
    began_ns: int = 0
    began_wall_ns: int = 0
    acknowledged: str | None = None
    reported: str | None = None
    missed: tuple[tuple[str, str], ...] = ()

    @classmethod
    def opened_by(cls, event: Event) -> Self:
        t0_ns = fields.integer(event.data, "t0_ns")
        began_ns = event.mono_ns if t0_ns is None else min(t0_ns, event.mono_ns)
        wall_ns = parse_wall_ns(event.wall_utc) or 0
        return cls(
            event.incident or "",
            event.seq,
            fields.text(event.data, "level", "III"),
            fields.text(fields.mapping(event.data, "diagnosis"), "code"),
            manual=event.data.get("manual") is True,
            boot_id=event.boot_id,
            opened_ns=event.mono_ns,
            began_ns=began_ns,
            began_wall_ns=wall_ns - (event.mono_ns - began_ns),
        )

    def apply(self, event: Event) -> OpenIncident | None:
        """After one more event of it; None once it is closed."""
        match event.type:
            case ev.INCIDENT_CLOSED:
                return None
            case ev.INCIDENT_RECOVERED:
                return replace(self, recovered=True)
            case ev.INCIDENT_LEVEL | ev.DIAGNOSIS_CHANGED:
                return replace(self, level=higher_level(self.level, fields.text(event.data, "level")))
            case ev.INCIDENT_ACKNOWLEDGED:
                return replace(self, acknowledged=event.actor)
            case ev.INCIDENT_REPORTED:
                return replace(self, reported=event.actor)
            case ev.DEADLINE_MISSED:
                what, level = fields.text(event.data, "what"), fields.text(event.data, "level")
                return replace(self, missed=(*self.missed, (what, level)))
            case _:
                return self

    def elapsed_s(self, boot_id: str, now_s: float, wall_ns: int) -> float:
        """Since the outage began. Over a reboot the wall clock has to do."""
        if self.boot_id == boot_id:
            return max(0.0, now_s - self.began_ns / 1e9)
        return max(0.0, (wall_ns - self.began_wall_ns) / 1e9)

    def crash_seen_s(self, boot_id: str, now_s: float) -> float | None:
        """See `Ledger.crash_seen_s`."""
        if self.recovered or self.code != _CRASHED or self.boot_id != boot_id:
            return None
        at_s = self.opened_ns / 1e9
        return at_s if 0 <= now_s - at_s < CRASH_SEEN_S else None
