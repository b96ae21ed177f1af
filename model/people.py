"""What a step asks people, and what they say: the words of four eyes, and the port that knows its rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class QuestionKind(StrEnum):
    """approval: others than whoever asked for the execution must agree. manual: somebody did it by hand.
    decision: how to go on after a step that did not succeed; only the engine asks that."""

    APPROVAL = "approval"
    MANUAL = "manual"
    DECISION = "decision"


class Word(StrEnum):
    YES = "yes"
    NO = "no"
    RETRY = "retry"
    SKIP = "skip"


WORDS: dict[QuestionKind, tuple[Word, ...]] = {
    QuestionKind.APPROVAL: (Word.YES, Word.NO),
    QuestionKind.MANUAL: (Word.YES, Word.NO, Word.SKIP),
    QuestionKind.DECISION: (Word.RETRY, Word.SKIP),
}


@dataclass(frozen=True, slots=True)
class Question:
    """persons: at least so many must agree; the level may ask for more."""

    kind: QuestionKind
    text: str
    persons: int = 1


@dataclass(frozen=True, slots=True)
class Reply:
    """word None: nobody answered in time, or the execution was stopped meanwhile; that is no yes. by: those
    who said it, in that order."""

    word: Word | None
    by: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a request for approval stands. given: who agreed and counts. may_answer: who still can; None:
    everybody but the requester and those who agreed. reason: in words for people."""

    complete: bool
    reason: str
    needed: int
    given: tuple[str, ...]
    may_answer: tuple[str, ...] | None = None


class Consent(Protocol):
    """Who may agree to what an execution does to a service, and how many must."""

    def agreement(self, service: str, requester: str, persons: int, given: Sequence[str]) -> Agreement: ...

    def may_not(self, service: str, requester: str, person: str) -> str | None:
        """Why this person can't agree; None: they can."""
        ...


class OneOther(Consent):
    """Without levels and offices: anybody but the requester, and each counts once."""

    def agreement(self, service: str, requester: str, persons: int, given: Sequence[str]) -> Agreement:
        count = tuple(p for p in dict.fromkeys(given) if self.may_not(service, requester, p) is None)
        missing = persons - len(count)
        reason = f"waits for {missing} more" if missing > 0 else f"approved by {' and '.join(count)}"
        return Agreement(missing <= 0, reason, persons, count)

    def may_not(self, service: str, requester: str, person: str) -> str | None:  # noqa: ARG002
        return f"{person} asked for it and can't approve it" if person == requester else None
