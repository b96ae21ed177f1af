"""What a probe type is: one attempt, one reading.

The scheduler owns the deadline: client libraries' own time-outs can't be relied on, so the verdict falls at
the deadline whatever the library does. How to write a type: docs/adding-a-probe.md.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from model.observation import ALIVE_FAILURES, Failure, Layer, Outcome
from model.ports import Clock, Heartbeats, NodeAccess, Secrets

API_VERSION = 1


class ProbeOptions(BaseModel):
    """Base of every type's options: unknown keys are errors, values never change."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# Named here: inside a probe class `type` is its name, not the builtin.
OptionsType = type[ProbeOptions]


@dataclass(frozen=True, slots=True)
class Reading:
    """What one attempt saw. Facts are JSON values, documented by the type."""

    outcome: Outcome
    failure: Failure | None = None
    detail: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def ok(cls, detail: str = "", **facts: Any) -> Reading:
        return cls(Outcome.SUCCEEDED, None, detail, facts)

    @classmethod
    def failed(cls, failure: Failure, detail: str = "", **facts: Any) -> Reading:
        return cls(Outcome.FAILED, failure, detail, facts)

    @classmethod
    def unknown(cls, failure: Failure | None, detail: str = "", **facts: Any) -> Reading:
        return cls(Outcome.UNKNOWN, failure, detail, facts)

    def adding(self, facts: Mapping[str, Any]) -> Reading:
        """The same with more facts; those that it has, such as the name of our own trouble, are kept."""
        return replace(self, facts={**facts, **self.facts})

    @property
    def shows_life(self) -> bool:
        """Something at the target answered, be it with an error."""
        return self.outcome is Outcome.SUCCEEDED or self.failure in ALIVE_FAILURES


@dataclass(frozen=True, slots=True)
class ProbePorts:
    """What a probe may touch besides its own target. `node` is None where no access is configured, and
    `heartbeats` where nothing can be pushed."""

    clock: Clock
    secrets: Secrets
    node: NodeAccess | None = None
    heartbeats: Heartbeats | None = None


class Probe(abc.ABC):
    """A check of one target. Instances are kept for the target's life and may hold connections.

    concurrent: how many attempts may be under way at once. While a target is silent, fresh attempts overlap
    the unanswered ones, so that an answer is seen at once when it comes back. 1 for a type whose attempts
    share a connection or write in order.
    """

    API_VERSION: ClassVar[int] = API_VERSION
    type: ClassVar[str]
    layer: ClassVar[Layer]
    Options: ClassVar[OptionsType]
    concurrent: ClassVar[int] = 1

    def __init__(self, target: str, options: ProbeOptions, ports: ProbePorts) -> None:
        self.target = target
        self.options = options
        self.ports = ports

    @property
    def keeps_connection(self) -> bool:
        """Is there a connection for `hold` to keep? Wherever the type has a `hold` of its own, and its option
        `hold`, if it has one, asks for it."""
        return type(self).hold is not Probe.hold and bool(getattr(self.options, "hold", True))

    @abc.abstractmethod
    async def check(self) -> Reading:
        """One attempt. Never raises for what the target does.

        May be cancelled at any await, and then lets go of its socket at once: without waiting for the peer,
        and without cancelling anything there.
        """

    async def hold(self) -> Reading | None:
        """Keep a connection open and return when the peer ends it, with a reading that says how.

        Returns None at once if there is nothing to hold (the default) or it can't be opened now; the
        scheduler calls again after the next success.
        """
        return None

    def abandon(self) -> None:  # noqa: B027  # most types have nothing to do
        """An attempt was cancelled and has not ended: shut the sockets of all attempts now, without blocking
        or cancelling anything at the peer. Needed only where a library swallows or delays cancellation."""

    async def aclose(self) -> None:  # noqa: B027  # nor anything to close
        """End of the target's life: close everything."""
