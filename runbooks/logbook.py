"""Writes one execution into the journal, and remembers when the journal can't be written any more."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model import events as ev
from model.errors import JournalError, LeadershipLostError
from model.events import Event
from model.execution import ExecutionState, StepResult
from model.people import WORDS, Question, Word
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
    """Intents and the end of an execution are on disk when their method returns. Results and marks are
    handed over in order and not waited for: the next intent, which is, comes after them in the same journal,
    so nothing acts before they are on disk. That saves a sync of the disk per step.

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
        self._writing: set[asyncio.Task[Event]] = set()
        self._failure: BaseException | None = None

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

    def result(
        self, step: Step, attempt: int, result: StepResult, *, took_ns: int | None, reason: str = ""
    ) -> None:
        data = {
            "step": step.id,
            "attempt": attempt,
            "outcome": result.outcome.value,
            "output": dict(result.output),
            "detail": result.detail,
            "took_ns": took_ns,
            "reason": reason,
        }
        self._submit(ev.STEP_RESULT, data)

    async def undo_intent(self, step: Step) -> None:
        await self._write(ev.UNDO_INTENT, {"step": step.id, "action": step.action}, anchor=True)

    def undo_result(self, step: Step, result: StepResult, *, took_ns: int) -> None:
        data = {"step": step.id, "outcome": result.outcome.value, "detail": result.detail, "took_ns": took_ns}
        self._submit(ev.UNDO_RESULT, data)

    def mark(self, mark: str, at_ns: int, note: str = "") -> None:
        self._submit(ev.CLOCK_MARK, {"mark": mark, "at_ns": at_ns, "note": note})

    async def asked(
        self,
        step: str,
        attempt: int,
        question: Question,
        *,
        needed: int,
        given: Sequence[str],
        expires_wall_ns: int,
    ) -> None:
        data = {
            "step": step,
            "attempt": attempt,
            "kind": question.kind.value,
            "text": question.text,
            "needed": needed,
            "given": list(given),
            "expires_wall_ns": expires_wall_ns,
            "words": [word.value for word in WORDS[question.kind]],
        }
        await self._write(ev.STEP_ASKED, data)

    async def said(self, step: str, word: Word, reason: str, person: str) -> None:
        await self.by_person(ev.STEP_ANSWERED, {"step": step, "word": word.value, "reason": reason}, person)

    async def by_person(self, type_: str, data: Mapping[str, Any], person: str) -> None:
        """What a person wants of the execution, on disk before it has an effect. A record that can't be
        written fails the person's request, and not yet the execution."""
        await self._journal.append(
            type_,
            data,
            service=self.service,
            incident=self.incident,
            execution=self.execution,
            actor=person,
        )

    async def paused(self, reason: str, before: Sequence[str]) -> None:
        await self._write(ev.EXECUTION_PAUSED, {"reason": reason, "before": list(before)})

    async def resumed(self, reason: str) -> Event | None:
        return await self._write(ev.EXECUTION_RESUMED, {"reason": reason})

    async def closed(self, state: ExecutionState, reason: str, *, step: str | None, asks: bool) -> bool:
        """False if it could not be written."""
        data = {"state": state.value, "reason": reason, "step": step, "asks": asks}
        return await self._write(ev.EXECUTION_CLOSED, data) is not None

    async def flush(self) -> None:
        """What was handed over is on disk. Raises if it is not."""
        await self.drain(None)
        self._raise_failure()

    async def drain(self, timeout_s: float | None) -> None:
        """Wait for what was handed over, whatever becomes of it."""
        if self._writing:
            await asyncio.wait(set(self._writing), timeout=timeout_s)

    async def _write(self, type_: str, data: Mapping[str, Any], *, anchor: bool = False) -> Event | None:
        """Raises if this record or one before it could not be written; None if so and lenient."""
        task = self._submit(type_, data, anchor=anchor)
        await asyncio.wait({task})  # a cancelled step does not cancel its record
        self._raise_failure()
        return None if task.cancelled() or task.exception() is not None else task.result()

    def _raise_failure(self) -> None:
        if self._failure is not None and not (self.lenient and isinstance(self._failure, JournalError)):
            raise self._failure

    def _submit(self, type_: str, data: Mapping[str, Any], *, anchor: bool = False) -> asyncio.Task[Event]:
        """Records are written in the order of the calls: tasks begin in the order in which they are made."""
        task = asyncio.ensure_future(
            self._journal.append(
                type_,
                data,
                service=self.service,
                incident=self.incident,
                execution=self.execution,
                actor=self.actor,
                anchor=anchor,
            )
        )
        self._writing.add(task)
        task.add_done_callback(self._written)
        return task

    def _written(self, task: asyncio.Task[Event]) -> None:
        """Keeps the first failure; lost leadership weighs more than a failing journal."""
        self._writing.discard(task)
        failure = asyncio.CancelledError() if task.cancelled() else task.exception()
        if failure is not None and (self._failure is None or isinstance(failure, LeadershipLostError)):
            self._failure = failure
