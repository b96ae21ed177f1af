"""What is to be done: `act`, `hold` or `ask`, with every gate and its inputs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Verb(StrEnum):
    ACT = "act"
    HOLD = "hold"
    ASK = "ask"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate. `passed` None: not judged (its inputs are unknown), which never lets an action through."""

    name: str
    passed: bool | None
    reason: str
    rule: str = ""
    asks: bool = False  # a gate that does not stop, but asks a person


@dataclass(frozen=True, slots=True)
class Decision:
    service: str
    verb: Verb
    runbook: str | None
    candidate: str | None
    gates: tuple[GateResult, ...]
    reason: str
    would: bool = False  # mode `observe`: what would have been done

    @property
    def stopped_by(self) -> str | None:
        """The first gate that stops it; one that only asks a person comes after all that stop."""
        failed = sorted((g for g in self.gates if not g.passed), key=lambda g: g.asks)
        return failed[0].name if failed else None

    def to_json(self) -> dict[str, Any]:
        return {
            "verb": self.verb.value,
            "runbook": self.runbook,
            "candidate": self.candidate,
            "would": self.would,
            "reason": self.reason,
            "stopped_by": self.stopped_by,
            "gates": [
                {"name": g.name, "passed": g.passed, "reason": g.reason, "rule": g.rule, "asks": g.asks}
                for g in self.gates
            ],
        }
