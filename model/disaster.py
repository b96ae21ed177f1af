"""A disaster that a person has declared: its tier, what it concerns, and what follows for one service."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from model.errors import UsageError
from model.level import LEVELS


class Tier(StrEnum):
    """Of those that a person declares; the general one (一般灾害) is watched and handled by the product."""

    NATURAL = "natural"  # 自然灾害: the place is lost or will be; its services leave it
    MAN_MADE = (
        "man-made"  # 人为灾害: data may be damaged at every copy; a switch would carry the damage along
    )
    EXTERNAL = "external"  # 外部服务中断: a supplier is out; nothing of ours is better elsewhere by itself


@dataclass(frozen=True, slots=True)
class Scope:
    """What is concerned. kind: `site` or `service`."""

    kind: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """`site:dc1` or `service:orders`. Raises UsageError."""
        kind, _, name = text.partition(":")
        if kind not in ("site", "service") or not name:
            raise UsageError(f"not a scope: {text!r}", hint="site:NAME or service:NAME")
        return cls(kind, name)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Command:
    """A person has taken command of a service by declaring a disaster: nothing is done to it by itself.

    leaving: its members at the place that is to be left; none of them is promoted. waits_for: services that
    leave before it. moves: its own move is still to be made. level: of its incident.
    """

    incident: str
    tier: Tier
    scope: Scope
    person: str
    leaving: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()
    moves: bool = False
    level: str = LEVELS[0]

    @property
    def holds(self) -> bool:
        """Not even asked for: what would be asked may do harm, or help nobody."""
        return self.tier is not Tier.NATURAL

    @property
    def text(self) -> str:
        return f"{self.incident}: {self.tier.value} disaster at {self.scope}, declared by {self.person}"
