"""What people do to executions that are open: answered by the engine that runs them, or by the journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.supervisor.supervisor import Supervisor
from model.errors import UsageError
from model.people import QuestionKind, Word

Json = dict[str, Any]


class ExecutionControl:
    """`supervisors` is the daemon's own mapping: a reload changes it in place. Every method raises UsageError
    and HeldError for what can't be."""

    def __init__(self, supervisors: Mapping[str, Supervisor]) -> None:
        self._supervisors = supervisors

    async def resume(self, execution: str, reason: str, person: str) -> Json:
        """Ends a pause; or goes on with one whose end could not be seen, and that nobody runs."""
        supervisor = self._of(execution)
        if execution in supervisor.executor.engine.running.values():
            await supervisor.runs.steer(execution).go_on(reason, person)
        else:
            supervisor.resume_execution(execution, person)
        return self._told(supervisor, execution, "running")

    async def abort(self, execution: str, reason: str, person: str) -> Json:
        supervisor = self._of(execution)
        if not await supervisor.runs.abort(execution, reason, person):
            await supervisor.give_up(execution, reason, person)
        return self._told(supervisor, execution, "aborting")

    async def pause(self, execution: str, reason: str, person: str) -> Json:
        supervisor = self._of(execution)
        rests = await supervisor.runs.steer(execution).pause(reason, person)
        return {**self._told(supervisor, execution, "pausing"), "rests": rests}

    async def reconcile(self, execution: str) -> Json:
        """What the steps without a recorded outcome have left behind; changes nothing."""
        for supervisor in self._supervisors.values():
            if supervisor.executor.knows(supervisor.service, execution):
                found = await supervisor.executor.reconcile(execution)
                return {
                    "service": supervisor.service.name,
                    "execution": execution,
                    "items": [one.to_json() for one in found],
                }
        raise UsageError(f"no execution {execution!r}", hint="`bcm-failover execution list`")

    async def say(
        self, execution: str, step: str, word: Word, *, kind: QuestionKind | None, reason: str, person: str
    ) -> Json:
        """One person's word of a step. kind: what that person believes to be asked; None: whatever it is."""
        supervisor = self._of(execution)
        steering = supervisor.runs.steer(execution)
        told = {**self._told(supervisor, execution, "running"), "step": step, "word": word.value}
        match word:
            case Word.RETRY:
                await steering.retry(step, reason, person)
            case Word.SKIP:
                await steering.skip(step, reason, person)
            case Word.YES | Word.NO:
                agreement = await steering.answer(step, word, reason, person, kind=kind)
                if not agreement.complete and word is Word.YES:
                    return {**told, "state": "waiting_for_approval", "needs": agreement.reason}
        return told

    def _told(self, supervisor: Supervisor, execution: str, state: str) -> Json:
        return {"service": supervisor.service.name, "execution": execution, "state": state}

    def _of(self, execution: str) -> Supervisor:
        for supervisor in self._supervisors.values():
            if execution in supervisor.ledger.open_executions:
                return supervisor
        raise UsageError(f"no open execution {execution!r}", hint="`bcm-failover execution list`")
