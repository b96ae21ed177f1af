"""The daemon's metrics in Prometheus' text format, from a snapshot of plain values.

`render` keeps no state and touches nothing but its argument, so that it can run off the event loop: rendering
two thousand targets takes tenths of a second. What is not known has no series, rather than a 0 that looks
like knowledge (S6): alert on `== 0` for what is known to be bad, on `absent()` for what is not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from model.execution import ExecutionState
from model.health import Health


@dataclass(frozen=True, slots=True)
class ProbeSample:
    """The last reading of one probe. `service` and `member` are the two parts of the probe's target.

    up: None while it could not be found out. duration_s: of the last attempt that was answered.
    """

    service: str
    member: str
    probe: str
    up: bool | None
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class ServiceSample:
    """health: one of `model.health.Health`, or another word of the status. primary: None while not known.

    last_rto_s: from the last good observation to verified recovery, of the last failover or switchover.
    """

    service: str
    health: str
    members: Sequence[str]
    primary: str | None
    objective_rto_s: float
    last_rto_s: float | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that is told. wall_s: seconds since 1970 at which the daemon took it; None for what it can't say.

    executions: closed executions by their state, since the journal began.
    """

    version: str
    wall_s: float
    leader: bool
    journal_ok: bool
    incidents_open: int | None = None
    pages_undelivered: int | None = None
    executions: Mapping[str, int] = field(default_factory=dict)
    services: Sequence[ServiceSample] = ()
    probes: Sequence[ProbeSample] = ()


def render(snapshot: Snapshot) -> bytes:
    """Text format 0.0.4, every family with its help and type, also one that has no series at present."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(snapshot))
    return generate_latest(registry)


class _Collected(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        yield from _daemon(self._snapshot)
        yield from _executions(self._snapshot)
        yield from _services(self._snapshot.services)
        yield from _probes(self._snapshot.probes)


def _daemon(snapshot: Snapshot) -> Iterator[Metric]:
    yield _gauge("build_info", "Version of the running bcm-failover.", ["version"], [([snapshot.version], 1)])
    yield _single(
        "heartbeat_timestamp_seconds",
        "Time at which the daemon took these values; alert when it gets old (dead man's switch).",
        snapshot.wall_s,
    )
    yield _single("leader", "1 if this controller leads and may act, else 0.", snapshot.leader)
    yield _single(
        "journal_ok",
        "1 if the journal is whole and can be written; at 0 nothing is done.",
        snapshot.journal_ok,
    )
    yield _single("incidents_open", "Incidents that are not closed.", snapshot.incidents_open)
    yield _single("pages_undelivered", "Pages that have reached nobody yet.", snapshot.pages_undelivered)


def _executions(snapshot: Snapshot) -> Iterator[Metric]:
    family = CounterMetricFamily(
        "bcm_executions", "Runbook executions that were closed, by their final state.", labels=["state"]
    )
    # Every state from the beginning, at 0: `increase` misses a series that is born at 1.
    states = [state.value for state in ExecutionState if state is not ExecutionState.RUNNING]
    for state in sorted({*states, *snapshot.executions}):
        family.add_metric([state], snapshot.executions.get(state, 0))
    yield family


def _services(services: Sequence[ServiceSample]) -> Iterator[Metric]:
    yield _gauge(
        "service_health",
        "1 for the health that the service has, 0 for every other.",
        ["service", "state"],
        [
            ([s.service, state], state == s.health)
            for s in services
            for state in dict.fromkeys([*(health.value for health in Health), s.health])
        ],
    )
    yield _gauge(
        "service_primary",
        "1 for the member that is the primary, 0 for every other; all 0 while it is not known.",
        ["service", "member"],
        [([s.service, member], member == s.primary) for s in services for member in s.members],
    )
    yield _of_each(
        services,
        "objective_rto_seconds",
        "Recovery time objective of the service.",
        lambda sample: sample.objective_rto_s,
    )
    yield _of_each(
        services,
        "last_rto_seconds",
        "Measured recovery time of the service's last failover or switchover.",
        lambda sample: sample.last_rto_s,
    )


def _probes(probes: Sequence[ProbeSample]) -> Iterator[Metric]:
    labels = ["service", "member", "probe"]
    yield _gauge(
        "probe_up",
        "1 if the last attempt succeeded, 0 if it failed; no series if it could not be found out.",
        labels,
        [([p.service, p.member, p.probe], p.up) for p in probes if p.up is not None],
    )
    yield _gauge(
        "probe_duration_seconds",
        "How long the last answered attempt took.",
        labels,
        [([p.service, p.member, p.probe], p.duration_s) for p in probes if p.duration_s is not None],
    )


def _gauge(
    name: str, text: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"bcm_{name}", text, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, value)
    return family


def _single(name: str, text: str, value: float | None) -> GaugeMetricFamily:
    return _gauge(name, text, [], [] if value is None else [([], value)])


def _of_each(
    services: Sequence[ServiceSample], name: str, text: str, value: Callable[[ServiceSample], float | None]
) -> GaugeMetricFamily:
    values = [(sample.service, value(sample)) for sample in services]
    return _gauge(name, text, ["service"], [([service], v) for service, v in values if v is not None])
