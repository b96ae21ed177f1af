"""What an execution asks people: journaled, waited for, answered, and carried over a restart.

No answer in time is a no. Who may say what is said here and by `Consent`, and nowhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from model.errors import HeldError, UsageError
from model.people import WORDS, Agreement, Consent, Question, QuestionKind, Reply, Word
from model.ports import Clock
from runbooks.logbook import Logbook
from runbooks.recorded import RecordedQuestion

# Two words for the same: what people say to a question of each kind.
_AS_TOLD: Final[Mapping[QuestionKind, str]] = {
    QuestionKind.APPROVAL: "approve or deny",
    QuestionKind.MANUAL: "confirm, deny or skip",
    QuestionKind.DECISION: "retry or skip it, or abort the execution",
}


@dataclass(slots=True)
class OpenQuestion:
    """given: who agreed so far. reply: set with the word that ends it."""

    question: Question
    given: list[str]
    reply: Reply | None = None
    answered: asyncio.Event = field(default_factory=asyncio.Event)


class Questions:
    """Of one execution. halting: set when nothing may begin any more; whoever waits then waits no longer.
    carried: what was open when the process before died."""

    def __init__(
        self,
        log: Logbook,
        clock: Clock,
        consent: Consent,
        halting: asyncio.Event,
        carried: Mapping[str, RecordedQuestion],
    ) -> None:
        self._log = log
        self._clock = clock
        self._consent = consent
        self._halting = halting
        self._carried = dict(carried)
        self._open: dict[str, OpenQuestion] = {}

    @property
    def open(self) -> Mapping[str, OpenQuestion]:
        """By step."""
        return self._open

    async def ask(self, step: str, attempt: int, question: Question, deadline_s: float) -> Reply:
        """The word that ended it. Raises JournalError and LeadershipLostError."""
        before = self._carried.pop(step, None)
        carried = before if before is not None and before.text == question.text else None
        left_s = deadline_s - self._clock.monotonic_s()
        if carried is not None:  # its time began when it was first asked; a jump of the wall adds none
            left_s = min(left_s, carried.expires_wall_ns / 1e9 - self._clock.wall_s())
        opened = OpenQuestion(question, list(carried.given) if carried else [])
        self._open[step] = opened
        try:
            await self._log.asked(
                step,
                attempt,
                question,
                needed=self._agreement(opened).needed,
                given=opened.given,
                expires_wall_ns=int((self._clock.wall_s() + left_s) * 1e9),
            )
            self._settle(opened)
            await self._wait(opened, left_s)
        finally:
            del self._open[step]
        return opened.reply or Reply(
            None,
            tuple(opened.given),
            "the execution was stopped" if self._halting.is_set() else "nobody answered in time: no",
        )

    async def answer(self, step: str, word: Word, reason: str, person: str) -> Agreement:
        """One person's word; how the question stands after it. Raises UsageError, HeldError, JournalError and
        LeadershipLostError."""
        opened = self._open.get(step)
        if opened is None or opened.reply is not None:
            asking = ", ".join(self._open) or "none"
            raise UsageError(f"step {step!r} asks nobody now", hint=f"steps that ask: {asking}")
        kind = opened.question.kind
        if word not in WORDS[kind]:
            raise UsageError(f"{word.value!r} is no answer to step {step!r}", hint=_AS_TOLD[kind])
        if kind is QuestionKind.APPROVAL:
            self._refuse(opened, word, person)
        await self._log.said(step, word, reason, person)
        if opened.reply is None:
            self._take(opened, word, reason, person)
        return self._agreement(opened)

    def _take(self, opened: OpenQuestion, word: Word, reason: str, person: str) -> None:
        if word is Word.YES and opened.question.kind is QuestionKind.APPROVAL:
            opened.given.append(person)
            self._settle(opened)
            return
        opened.reply = Reply(word, (person,), reason)
        opened.answered.set()

    def _settle(self, opened: OpenQuestion) -> None:
        """An approval ends when enough have agreed; a yes from before a restart still counts."""
        if opened.question.kind is not QuestionKind.APPROVAL:
            if opened.given:
                opened.reply = Reply(Word.YES, tuple(opened.given), "said before a restart")
            return
        agreement = self._agreement(opened)
        if agreement.complete:
            opened.reply = Reply(Word.YES, agreement.given, agreement.reason)
            opened.answered.set()

    def _refuse(self, opened: OpenQuestion, word: Word, person: str) -> None:
        """Whoever asked for the execution may take it back by a no, and can't agree to it."""
        requester = self._log.actor
        if word is Word.NO and person == requester:
            return
        problem = self._consent.may_not(self._log.service, requester, person)
        if problem is None and word is Word.YES and person in opened.given:
            problem = f"{person} has agreed, and counts once"
        if problem is not None:
            raise HeldError(problem, gate="approval", hint=self._agreement(opened).reason)

    def _agreement(self, opened: OpenQuestion) -> Agreement:
        if opened.question.kind is not QuestionKind.APPROVAL:
            said = opened.reply
            return Agreement(said is not None, said.reason if said else "one person's word", 1, ())
        log = self._log
        return self._consent.agreement(log.service, log.actor, opened.question.persons, opened.given)

    async def _wait(self, opened: OpenQuestion, left_s: float) -> None:
        if opened.reply is None and not self._halting.is_set() and left_s > 0:
            await first_of((opened.answered, self._halting), timeout_s=left_s)


async def first_of(events: tuple[asyncio.Event, ...], *, timeout_s: float | None = None) -> None:
    """Until one of them is set, or the time is over."""
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
