"""Is an approval complete? The one place that says who must agree, who may, and what a yes is worth. Pure.

Two persons mean four eyes: whoever asks is never an approver, and a person counts once. What the daemon asks
for needs as many persons as the rule says; what a person asks for needs one fewer: that one is asking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:  # reading a journal loads no schema
    from config.levels import Levels
    from config.services import Service

DAEMON: Final = "daemon"  # asks of its own accord


@dataclass(frozen=True, slots=True)
class Rule:
    """What an approval needs. approvers: ids of the people who may give it; None: everybody in `people`.
    in_mode_act: also what is done automatically waits for it."""

    level: str
    persons: int = 1
    offices: tuple[str, ...] = ()
    approvers: tuple[str, ...] | None = None
    expires_s: float = 900.0
    in_mode_act: bool = False

    def needed(self, requester: str) -> int:
        """How many beside the requester must agree; 0: nobody."""
        return self.persons if requester == DAEMON else self.persons - 1


class Standing(StrEnum):
    GRANTED = "granted"
    WAITS = "waits"
    REFUSED = "refused"  # for good: somebody said no, or nobody answered in time


@dataclass(frozen=True, slots=True)
class ApprovalState:
    """How a request stands. given: who agreed and counts, in that order. may_approve: who still can; None:
    everybody who did not ask and has not agreed. reason: one sentence for people."""

    id: str
    standing: Standing
    reason: str
    requester: str
    level: str
    needed: int
    given: tuple[str, ...]
    may_approve: tuple[str, ...] | None
    left_ms: int

    @property
    def missing(self) -> int:
        return max(0, self.needed - len(self.given))

    def to_json(self) -> dict[str, Any]:
        return {
            "approval": self.id,
            "standing": self.standing.value,
            "requester": self.requester,
            "level": self.level,
            "needed": self.needed,
            "given": list(self.given),
            "missing": self.missing,
            "may_approve": None if self.may_approve is None else list(self.may_approve),
            "left_ms": self.left_ms,
        }


def rule_for(levels: Levels, service: Service, level: str) -> Rule:
    """Of the level and the service together: the stricter of the two."""
    general, own = levels.approval(level), service.approval
    offices = levels.approving_offices(level, own)
    return Rule(
        level=level,
        persons=max(own.persons, general.persons),
        offices=offices,
        approvers=levels.holders(offices) or None,
        expires_s=own.expires or general.expires,
        in_mode_act=own.in_mode_act or general.in_mode_act,
    )


def judge_approval(
    rule: Rule,
    *,
    approval: str,
    requester: str,
    given: Sequence[str],
    expires_ns: int,
    wall_ns: int,
    rejected: str | None = None,
    expired: bool = False,
) -> ApprovalState:
    """How the request `approval` stands by the rule of now: where the level has risen meanwhile, that is the
    higher one's, and who agreed and may not by it counts no more.

    given: person ids, in any order and any number of times. rejected: who said no and why. expired: it was
    journaled that its time is over, or that what it was for is.
    """
    count = tuple(p for p in dict.fromkeys(given) if may_not(rule, requester, p) is None)
    needed = rule.needed(requester)
    may = rule.approvers
    left = None if may is None else tuple(p for p in may if p != requester and p not in count)
    if rejected is not None:
        standing, reason = Standing.REFUSED, f"{approval} was refused: {rejected}"
    elif expired or wall_ns >= expires_ns:
        standing, reason = Standing.REFUSED, f"{approval} has expired, which means no"
    elif len(count) >= needed:
        by = f"approved by {' and '.join(count)}" if count else "no other person is needed"
        standing, reason = Standing.GRANTED, by
    else:
        standing = Standing.WAITS
        reason = f"{approval} waits for {_who(rule, needed - len(count), count, left)}"
    left_ms = max(0, (expires_ns - wall_ns) // 1_000_000)
    return ApprovalState(approval, standing, reason, requester, rule.level, needed, count, left, left_ms)


def may_not(rule: Rule, requester: str, person: str) -> str | None:
    """Why `person` can't answer this request by yes; None: they can."""
    if person == requester:
        return f"{person} asked for it and can't approve it"
    if rule.approvers is not None and person not in rule.approvers:
        offices, people = " or ".join(rule.offices), ", ".join(rule.approvers)
        return f"an approval at level {rule.level} is given by the {offices} ({people}), not by {person}"
    return None


def _who(rule: Rule, missing: int, given: Sequence[str], left: Sequence[str] | None) -> str:
    more = " more" if given else ""
    after = f"; {' and '.join(given)} agreed" if given else ""
    persons = f"{missing}{more} person{'s' if missing > 1 else ''}"
    if left is None:
        return f"{persons} (level {rule.level}){after}"
    if len(left) < missing:
        few = f"only {', '.join(left)}" if left else "nobody"
        offices = " or ".join(rule.offices)
        return f"{persons} of the {offices}, and {few} is left: it can't be granted{after}"
    return f"{persons} of {', '.join(left)} (level {rule.level}){after}"
