"""What a probe saw: one target, one observer, one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """Three values (S13): a probe that could not find out says `unknown`, never `failed`."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Layer(StrEnum):
    NETWORK = "network"
    SERVER = "server"
    APPLICATION = "application"


class Failure(StrEnum):
    """How a probe failed. The kind decides how long it must last before it is believed (POSTGRESQL P13)."""

    REFUSED = "refused"  # nobody listens: ECONNREFUSED
    RESET = "reset"  # the peer answered with a reset, or closed in the middle
    CLOSED = "closed"  # a held connection ended without a word
    SILENT = "silent"  # no answer before the deadline
    UNREACHABLE = "unreachable"  # the network says so: EHOSTUNREACH, ENETUNREACH
    STARTING = "starting"  # alive, not ready: SQLSTATE 57P03
    STOPPING = "stopping"  # ended by an administrator: SQLSTATE 57P01 on a held connection
    SATURATED = "saturated"  # alive, no room: SQLSTATE 53300
    CREDENTIALS = "credentials"  # alive, we are not let in: SQLSTATE class 28
    READ_ONLY = "read_only"  # alive, refuses writes: SQLSTATE 25006
    DISK_FULL = "disk_full"  # SQLSTATE 53100
    SYNC_BLOCKED = "sync_blocked"  # the write waits for a synchronous standby
    LOCK_BLOCKED = "lock_blocked"  # the write waits for a lock: says nothing about the server
    IO_BLOCKED = "io_blocked"  # the write waits for the disk
    BAD_ANSWER = "bad_answer"  # it answered, and not as expected
    LOCAL = "local"  # our own fault: EMFILE, EAI_AGAIN, own uplink down. Always `unknown`


# An answer, whatever it says, shows that the server lives (S6). `bad_answer` too: something speaks there.
ALIVE_FAILURES: frozenset[Failure] = frozenset(
    {
        Failure.STARTING,
        Failure.SATURATED,
        Failure.CREDENTIALS,
        Failure.READ_ONLY,
        Failure.DISK_FULL,
        Failure.SYNC_BLOCKED,
        Failure.LOCK_BLOCKED,
        Failure.IO_BLOCKED,
        Failure.BAD_ANSWER,
    }
)


@dataclass(frozen=True, slots=True)
class Observation:
    """One result of one probe.

    `target` is `service/member` or `node/name`; `probe` the probe's type name; `started_s` and `ended_s`
    are seconds of the observer's monotonic clock, `wall_s` seconds since 1970 UTC at the end (recorded,
    never subtracted). `facts` are JSON values that the probe type documents. `late` marks an answer that
    came after the verdict of its own deadline: it still shows life.
    """

    target: str
    probe: str
    observer: str
    outcome: Outcome
    started_s: float
    ended_s: float
    wall_s: float
    failure: Failure | None = None
    detail: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    late: bool = False

    @property
    def latency_s(self) -> float:
        return self.ended_s - self.started_s

    @property
    def shows_life(self) -> bool:
        """Something at the target answered, be it with an error."""
        return self.outcome is Outcome.SUCCEEDED or self.failure in ALIVE_FAILURES

    def to_json(self) -> dict[str, Any]:
        """For the frozen facts of an incident; times in integer nanoseconds (the journal has no floats)."""
        return {
            "target": self.target,
            "probe": self.probe,
            "observer": self.observer,
            "outcome": self.outcome.value,
            "failure": self.failure.value if self.failure else None,
            "detail": self.detail,
            "started_ns": int(self.started_s * 1e9),
            "ended_ns": int(self.ended_s * 1e9),
            "wall_ns": int(self.wall_s * 1e9),
            "facts": dict(self.facts),
        }
