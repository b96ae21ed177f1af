"""What is to be done: `act`, `hold` or `ask`, with every gate and its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

# Why a service of some engines is watched and judged, and never moved.
NO_RUNBOOKS: Final = "this engine has no runbooks yet"


class Verb(StrEnum):
    ACT = "act"
    HOLD = "hold"
    ASK = "ask"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate. `passed` None: not judged (its inputs are unknown), which never lets an action through.
    inputs: what it looked at, as JSON without floats; ages among them make no other result."""

    name: str
    passed: bool | None
    reason: str
    rule: str = ""
    asks: bool = False  # a gate that does not stop, but asks a person
    inputs: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "passed": self.passed,
            "reason": self.reason,
            "rule": self.rule,
            "asks": self.asks,
            "inputs": dict(self.inputs),
        }


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
            "gates": [gate.to_json() for gate in self.gates],
        }
