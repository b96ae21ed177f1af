"""Writes one execution into the journal, and remembers when the journal can't be written any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model import events as ev
from model.errors import JournalError
from model.events import Event
from model.execution import ExecutionState, StepResult
from model.ports import Journal
from runbooks.schema import Step


@dataclass(frozen=True, slots=True)
class Intent:
    """What an attempt is about to do. why: the reason for a try after an earlier one."""

    attempt: int
    changing: bool
    commands: Sequence[str]
    inputs: Mapping[str, Any]
    why: str = ""


class Logbook:
    """Each method returns after the record is on disk.

    lenient: the journal has failed; writing is still tried, and its failing is no news. That is only for
    taking back what was tentative (S4). LeadershipLostError is raised even then.
    """

    def __init__(
        self, journal: Journal, *, execution: str, service: str, incident: str | None, actor: str
    ) -> None:
        self._journal = journal
        self.execution = execution
        self.service = service
        self.incident = incident
        self.actor = actor
        self.lenient = False

    async def intent(self, step: Step, intent: Intent) -> None:
        data: dict[str, Any] = {
            "step": step.id,
            "action": step.action,
            "attempt": intent.attempt,
            "changing": intent.changing,
            "commands": list(intent.commands),
            "inputs": dict(intent.inputs),
        }
        if intent.why:
            data["why"] = intent.why
        await self._write(ev.STEP_INTENT, data, anchor=intent.changing)

    async def result(
        self, step: Step, attempt: int, result: StepResult, *, took_ns: int | None, reason: str = ""
    ) -> Event | None:
        data = {
            "step": step.id,
            "attempt": attempt,
            "outcome": result.outcome.value,
            "output": dict(result.output),
            "detail": result.detail,
            "took_ns": took_ns,
            "reason": reason,
        }
        return await self._write(ev.STEP_RESULT, data)

    async def undo_intent(self, step: Step) -> None:
        await self._write(ev.UNDO_INTENT, {"step": step.id, "action": step.action}, anchor=True)

    async def undo_result(self, step: Step, result: StepResult, *, took_ns: int) -> None:
        data = {"step": step.id, "outcome": result.outcome.value, "detail": result.detail, "took_ns": took_ns}
        await self._write(ev.UNDO_RESULT, data)

    async def mark(self, mark: str, at_ns: int, note: str = "") -> None:
        await self._write(ev.CLOCK_MARK, {"mark": mark, "at_ns": at_ns, "note": note})

    async def resumed(self, reason: str) -> Event | None:
        return await self._write(ev.EXECUTION_RESUMED, {"reason": reason})

    async def closed(self, state: ExecutionState, reason: str, *, step: str | None, asks: bool) -> bool:
        """False if it could not be written."""
        data = {"state": state.value, "reason": reason, "step": step, "asks": asks}
        return await self._write(ev.EXECUTION_CLOSED, data) is not None

    async def _write(self, type_: str, data: Mapping[str, Any], *, anchor: bool = False) -> Event | None:
        """None where the journal has failed and still fails."""
        try:
            return await self._journal.append(
                type_,
                data,
                service=self.service,
                incident=self.incident,
                execution=self.execution,
                actor=self.actor,
                anchor=anchor,
            )
        except JournalError:
            if self.lenient:
                return None
            raise
