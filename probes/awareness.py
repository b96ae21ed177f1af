"""How well this process is itself, so that its own trouble is not taken for that of its targets (S6).

In the manner of Lifeguard (Dadgar, Phillips, Currey: Local Health Awareness for More Accurate Failure
Detection, 2018): a score that is 0 in good health, rises with every round of trouble and falls with every
good one. It stretches this process's own time-outs, and from `UNFIT_FROM` on what this process sees is no
ground for action.

Only trouble that can be nobody else's raises it, for what raises it delays the detection of a real outage:
this process wakes late, the system refuses it a file or a buffer, or next to nothing answers, *not even what
answers whenever the own network works*. A server, a host or a site that is lost leaves it where it was.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from typing import Final

import structlog

from model.observation import Failure, Outcome
from probes.base import Reading
from probes.os_errors import LOCAL_ERROR

ROUND_S: Final = 1.0
MOST: Final = 8
# So many seconds of trouble in a row: a hiccup takes nobody's vote. It is back within MOST - UNFIT_FROM + 1
# good rounds.
UNFIT_FROM: Final = 3
# Late for more of a round than this: then the attempts in it were spoiled too (`own_lag_spoils`).
LATE_SHARE: Final = 0.5
# A freeze counts for as many rounds as it lasted, at most so many: what was seen before it is seen anew.
WORST_ROUND: Final = 3
# The longest that a time-out becomes, in calm time-outs. Silence is measured from the start of the attempts,
# so verdicts come later by at most this, and detection takes an answer that is later still for its own sleep.
STRETCH_MOST: Final = 2.0
# These are refused to the process, whichever target it asks. Others, such as no route or no name server, may
# be the matter of one target, and count as its silence.
_OWN_LACKS: Final = frozenset(
    errno.errorcode[n] for n in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
)
_UNHEARD: Final = frozenset({Failure.SILENT, Failure.UNREACHABLE})

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Round:
    """What one round showed. late_s: what this process was late by in all. answered, missed: targets of which
    an attempt was answered, be it by a refusal, or heard nothing; a target can be in both. lacks: what the
    system refused to this process, by errno's name. awaited: some answer was being waited for at its end."""

    length_s: float = ROUND_S
    late_s: float = 0.0
    awaited: bool = False
    answered: set[str] = field(default_factory=set)
    missed: set[str] = field(default_factory=set)
    lacks: set[str] = field(default_factory=set)

    def take(self, target: str, reading: Reading) -> None:
        """One verdict, or a late answer."""
        if reading.outcome is Outcome.UNKNOWN:
            name = reading.facts.get(LOCAL_ERROR)
            if name in _OWN_LACKS:
                self.lacks.add(str(name))
            elif name is not None:
                self.missed.add(target)
        elif reading.failure in _UNHEARD:
            self.missed.add(target)
        else:
            self.answered.add(target)


def trouble(seen: Round, references: frozenset[str]) -> list[str]:
    """Why the round was bad by this process's own fault, for a person; empty: it was not."""
    found = []
    if seen.late_s > LATE_SHARE * seen.length_s:
        found.append(f"this process was late by {seen.late_s:.1f} s of {seen.length_s:.1f} s")
    if seen.lacks:
        found.append(f"the system refused {', '.join(sorted(seen.lacks))}")
    missed_references = seen.missed & references
    others = (seen.answered | seen.missed) - references
    missed = seen.missed - references
    works = references & (seen.answered - seen.missed)
    if missed_references and not works and 2 * len(missed) >= len(others):
        found.append(
            f"{len(missed)} of {len(others)} targets and {len(missed_references)} reference targets "
            "missed a deadline at once"
        )
    return found


def next_score(score: int, seen: Round, references: frozenset[str]) -> int:
    """0 to MOST. A round in which something was asked and nothing answered is no sign of good health."""
    if trouble(seen, references):
        lost_rounds = round(seen.late_s / ROUND_S) if seen.late_s > LATE_SHARE * seen.length_s else 1
        return min(MOST, score + max(1, min(lost_rounds, WORST_ROUND)))
    if (seen.missed or seen.awaited) and not seen.answered:
        return score
    return max(0, score - 1)


def stretched_s(timeout_s: float, score: int, calm_timeout_s: float) -> float:
    """The time-out of an attempt at this score."""
    if score == 0:
        return timeout_s
    return max(timeout_s, min(timeout_s * (score + 1), STRETCH_MOST * calm_timeout_s))


class Awareness:
    """Takes in verdicts, closes rounds. Touched from the loop only.

    score: 0 to MOST. why: what the last bad round showed. references: targets that answer whenever the own
    network works; without any, silence is never taken for this process's own.
    """

    def __init__(self) -> None:
        self.score = 0
        self.why = ""
        self.references: frozenset[str] = frozenset()
        self._round = Round()

    @property
    def fit(self) -> bool:
        """May anything be done on the strength of what this process sees?"""
        return self.score < UNFIT_FROM

    def saw(self, target: str, reading: Reading) -> None:
        self._round.take(target, reading)

    def end_round(self, length_s: float, late_s: float, *, awaited: bool) -> None:
        """The round ends, and the next begins."""
        seen, self._round, was_fit = self._round, Round(), self.fit
        seen.length_s, seen.late_s, seen.awaited = length_s, late_s, awaited
        self.score = next_score(self.score, seen, self.references)
        why = trouble(seen, self.references)
        if why:
            self.why = "; ".join(why)
        if self.fit is not was_fit:
            say = log.info if self.fit else log.warning
            say("own health", fit=self.fit, score=self.score, why=self.why)
