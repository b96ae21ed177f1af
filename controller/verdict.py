"""The RPO verdict as it is recorded and read, whatever the service is made of.

How it is found differs by engine (`controller.remedies`); what it may say does not: never a bare 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from controller import fields

ZERO_PROVEN: Final = "ZERO_PROVEN"
LOSS: Final = "LOSS"
UNPROVEN: Final = "UNPROVEN"


@dataclass(frozen=True, slots=True)
class RpoVerdict:
    """`lost` is a number only for LOSS, and then a lower bound; a number alone never tells the verdict."""

    verdict: str
    lost: int | None
    reason: str
    method: str
    inputs: Mapping[str, Any]
    not_covered: tuple[str, ...]

    @property
    def label(self) -> str:
        """`ZERO_PROVEN`, `LOSS(at least 3)`, `UNPROVEN(asynchronous: …)`."""
        if self.verdict == LOSS:
            return f"{LOSS}(at least {self.lost})"
        return f"{UNPROVEN}({self.reason})" if self.verdict == UNPROVEN else self.verdict

    def to_json(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "lost": self.lost,
            "reason": self.reason,
            "method": self.method,
            "inputs": dict(self.inputs),
            "not_covered": list(self.not_covered),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RpoVerdict:
        """Of a journal record; a verdict that this version does not know reads as UNPROVEN."""
        verdict = fields.text(data, "verdict")
        lost = fields.integer(data, "lost")
        reason = fields.text(data, "reason")
        if verdict not in (ZERO_PROVEN, LOSS, UNPROVEN) or (verdict == LOSS and lost is None):
            reason = f"the record can't be read: {verdict or 'no verdict'} {reason}".rstrip()
            verdict, lost = UNPROVEN, None
        return cls(
            verdict,
            lost,
            reason,
            fields.text(data, "method"),
            fields.mapping(data, "inputs"),
            tuple(fields.texts(data, "not_covered")),
        )
