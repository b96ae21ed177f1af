"""What is noted in the journal of what was seen: changes only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from controller.supervisor.judgement import Judged
from controller.supervisor.knowledge import Knowledge
from controller.supervisor.ledger import HIGH_WATER_EVERY_S
from model import events as ev
from model.health import Health

Append = Callable[[str, dict[str, Any]], Awaitable[Any]]


class Notes:
    """One per service; remembers what it noted last. What could not be written is noted the next time."""

    def __init__(
        self, knowledge: Knowledge, append: Append, marks_every_s: float = HIGH_WATER_EVERY_S
    ) -> None:
        self._knowledge = knowledge
        self._append = append
        self._healths: dict[str, Health] = {}
        self._diagnosis: tuple[object, ...] = ()
        self._settings = knowledge.settings.texts
        self._marks_every_s = marks_every_s
        self._high_water_s: float | None = None

    @property
    def mark_due_s(self) -> float | None:
        """Monotonic seconds; None: with the next turn."""
        return None if self._high_water_s is None else self._high_water_s + self._marks_every_s

    async def healths(self, judged: Judged) -> None:
        for member in judged.view.members:
            state = member.pg
            before = self._healths.get(member.name, Health.UNKNOWN)
            if state.health is before:
                continue
            await self._append(
                ev.HEALTH_CHANGED,
                {
                    "target": f"{judged.view.name}/{member.name}",
                    "probe": state.probe,
                    "from": before.value,
                    "to": state.health.value,
                    "why": state.why,
                },
            )
            self._healths[member.name] = state.health

    async def diagnosis(self, judged: Judged) -> None:
        diagnosis = judged.diagnosis
        root = None if diagnosis.root is None else diagnosis.root.key
        key = (diagnosis.code, diagnosis.member, diagnosis.confirmed, root)
        if key != self._diagnosis:
            await self._append(ev.DIAGNOSIS_CHANGED, diagnosis.to_json())
            self._diagnosis = key

    async def knowledge(self, judged: Judged, primary: str | None) -> None:
        """Settings when they change (P2), high water now and then (P3)."""
        history = self._knowledge.settings
        if history.texts != self._settings and history.current is not None:
            previous = self._settings[-1] if self._settings else None
            await self._append(
                ev.SYNC_SETTING,
                {
                    "member": primary,
                    "value": history.current,
                    "source": "read",
                    "previous": previous,
                    "confirmed": not history.pending,
                },
            )
            self._settings = history.texts
        seen = judged.view.member(primary)
        due = self.mark_due_s is None or judged.at_s >= self.mark_due_s
        if due and seen is not None and seen.fresh:
            marks = {m: {"timeline": t, "lsn": lsn} for m, (t, lsn) in self._knowledge.high_water.items()}
            await self._append(ev.HIGH_WATER, {"members": marks})
            self._high_water_s = judged.at_s
