"""Probe type `heartbeat`: does a job still say that it is alive? Silence is the failure.

For what can't be asked from outside: a nightly job, a host behind a firewall, a batch that must have
finished. It pushes to this controller, and this type looks at when it last did.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from config.durations import PositiveSeconds, format_duration
from model.observation import Failure, Layer
from probes.base import Probe, ProbeOptions, ProbePorts, Reading
from probes.texts import one_line
from probes.trace import note

_BAD = frozenset({"fail", "failed", "failure", "critical", "error", "down"})
_NOT_KNOWN = frozenset({"unknown"})


class HeartbeatOptions(ProbeOptions):
    """What is pushed, and how long it may be silent."""

    name: str = Field(
        "",
        pattern=r"^[A-Za-z0-9_.-]{0,100}$",
        description="Name under which it is pushed; that of the probe, if empty.",
    )
    within: PositiveSeconds = Field(description="The longest that may pass between two pushes.")


def heartbeat_name(target: str, options: ProbeOptions) -> str:
    """The name under which the heartbeat of a probe of `target` (`probe/NAME`) is pushed."""
    assert isinstance(options, HeartbeatOptions)  # noqa: S101  # narrows the type
    return options.name or target.rpartition("/")[2]


class HeartbeatProbe(Probe):
    """A push that must come within a time: silence is the failure.

    Facts: `age_ms` (since the last push) and `status` (its text), once there was one.

    A push whose status is fail, failed, failure, critical, error or down has failed; unknown is unknown; any
    other text is good. Never pushed since this process began is unknown until `within` has passed.
    """

    type: ClassVar[str] = "heartbeat"
    layer: ClassVar[Layer] = Layer.APPLICATION
    Options = HeartbeatOptions

    def __init__(self, target: str, options: ProbeOptions, ports: ProbePorts) -> None:
        super().__init__(target, options, ports)
        assert isinstance(options, HeartbeatOptions)  # noqa: S101  # narrows the type
        self._within_s = options.within
        self._name = heartbeat_name(target, options)
        self._made_s = ports.clock.monotonic_s()

    async def check(self) -> Reading:
        if self.ports.heartbeats is None:
            return Reading.unknown(Failure.LOCAL, "nothing can be pushed to this process")
        now_s = self.ports.clock.monotonic_s()
        allowed = format_duration(self._within_s)
        last = self.ports.heartbeats.last(self._name)
        if last is None:
            note("no push of %s since this process began", self._name)
            if now_s - self._made_s <= self._within_s:
                return Reading.unknown(None, f"no push of {self._name} yet; {allowed} are allowed")
            return Reading.failed(Failure.SILENT, f"no push of {self._name} within {allowed}")
        pushed_s, status = last
        age_s = max(now_s - pushed_s, 0.0)
        note("last push of %s: %.3f s ago, status %s", self._name, age_s, one_line(status))
        facts: dict[str, Any] = {"age_ms": int(age_s * 1000), "status": one_line(status)}
        if age_s > self._within_s:
            text = f"the last push of {self._name} is {age_s:.0f} s old; {allowed} are allowed"
            return Reading.failed(Failure.SILENT, text, **facts)
        word = status.strip().lower()
        if word in _BAD:
            return Reading.failed(Failure.BAD_ANSWER, f"{self._name} says: {one_line(status)}", **facts)
        if word in _NOT_KNOWN:
            return Reading.unknown(None, f"{self._name} says: {one_line(status)}", **facts)
        return Reading.ok(one_line(status), **facts)
