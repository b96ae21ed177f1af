"""The families of the daemon's metrics: name, help, labels, and the series of a snapshot.

Names and units follow the conventions of the Prometheus documentation: base units in the name, `_total` for
counters, `_timestamp_seconds` for moments (an age is `time() - …`), one series for each of a set of states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from config.services import ServiceMode
from controller.metrics_values import ServiceSample, Snapshot, WarningSample
from controller.verdict import LOSS, UNPROVEN, ZERO_PROVEN
from model.execution import OPEN_STATES, ExecutionState
from model.health import Health
from model.level import LEVELS


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """All but those of the probes, of which there may be many: `controller.metrics_probes`."""
    yield from _daemon(snapshot)
    yield from _observer(snapshot)
    yield from _executions(snapshot)
    yield from _services(snapshot.services)
    yield from _objectives(snapshot.services)
    yield from _incidents(snapshot)
    yield from _alerts(snapshot)
    yield _warnings(snapshot.warnings)


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
    yield _single("pages_undelivered", "Pages that have reached nobody yet.", snapshot.pages_undelivered)
    yield _gauge(
        "pushed_heartbeat_timestamp_seconds",
        "Time at which a declared heartbeat was last pushed; no series before the first.",
        ["heartbeat"],
        [([name], at_s) for name, at_s in snapshot.heartbeats.items()],
    )


def _observer(snapshot: Snapshot) -> Iterator[Metric]:
    yield _single(
        "observer_score",
        "This process's own trouble: 0 is none, 8 the worst; it stretches time-outs.",
        snapshot.observer_score,
    )
    yield _single(
        "observer_fit",
        "1 if what this process sees may be acted on, 0 while it is in trouble itself.",
        snapshot.observer_fit,
    )
    yield _counter(
        "scheduler_late_seconds",
        "What the scheduler of the probes has been late by in all.",
        [],
        [] if snapshot.scheduler_late_s is None else [([], snapshot.scheduler_late_s)],
    )
    yield _single(
        "scheduler_progress_timestamp_seconds",
        "Time at which the scheduler of the probes last finished a round.",
        snapshot.scheduler_progress_s,
    )


def _executions(snapshot: Snapshot) -> Iterator[Metric]:
    # Every state from the beginning, at 0: `increase` misses a series that is born at 1.
    states = [state.value for state in ExecutionState if state not in OPEN_STATES]
    yield _counter(
        "executions",
        "Runbook executions that were closed, by their final state.",
        ["state"],
        [([s], snapshot.executions.get(s, 0)) for s in sorted({*states, *snapshot.executions})],
    )
    yield _gauge(
        "execution_running",
        "1 while a runbook is executed for the service, or one is left open.",
        ["service"],
        [([s.service], s.executing) for s in snapshot.services],
    )


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
    yield _gauge(
        "service_mode",
        "1 for the mode that the service is in (what may be done without a person), 0 for every other.",
        ["service", "mode"],
        [([s.service, mode.value], mode.value == s.mode) for s in services if s.mode for mode in ServiceMode],
    )
    yield _of_each(services, "service_paused", "1 while hands are off the service.", lambda s: s.paused)
    yield _of_each(
        services,
        "service_blocked",
        "1 after an automatic failover, until redundancy is back or a person acknowledges.",
        lambda s: s.blocked,
    )


def _objectives(services: Sequence[ServiceSample]) -> Iterator[Metric]:
    yield _of_each(
        services,
        "objective_rto_seconds",
        "Recovery time objective of the service.",
        lambda s: s.objective_rto_s,
    )
    yield _of_each(
        services,
        "objective_rpo_seconds",
        "Recovery point objective: data that may be lost; at 0 nothing is promoted without proof.",
        lambda s: s.objective_rpo_s,
    )
    yield _of_each(
        services,
        "objective_mtpd_seconds",
        "Maximum tolerable period of disruption of the service.",
        lambda s: s.objective_mtpd_s,
    )
    yield _of_each(
        services,
        "last_rto_seconds",
        "Measured recovery time of the service's last failover or switchover.",
        lambda s: s.last_rto_s,
    )
    yield _gauge(
        "last_rpo_verdict",
        "1 for the verdict on the last failover or switchover, 0 for every other.",
        ["service", "verdict"],
        [
            ([s.service, verdict], verdict == s.last_rpo)
            for s in services
            if s.last_rpo is not None
            for verdict in (ZERO_PROVEN, LOSS, UNPROVEN)
        ],
    )
    yield _of_each(
        services,
        "last_lost_writes",
        "Acknowledged writes that the last failover lost at least, where that is known.",
        lambda s: s.last_lost,
    )


def _incidents(snapshot: Snapshot) -> Iterator[Metric]:
    services = snapshot.services
    yield _single("incidents_open", "Incidents that are not closed.", snapshot.incidents_open)
    yield _counter(
        "incidents",
        "Incidents of the service that were opened.",
        ["service"],
        [([s.service], s.incidents) for s in services],
    )
    yield _gauge(
        "incident_level",
        "1 for the crisis level of the service's open incident, 0 for every other; all 0 without one.",
        ["service", "level"],
        [
            ([s.service, level], s.incident is not None and s.incident.level == level)
            for s in services
            for level in LEVELS
        ],
    )
    yield _of_each(
        services,
        "incident_outage_seconds",
        "How long the service has been out: since the last good observation. No series while it works.",
        lambda s: None if s.incident is None else s.incident.outage_s,
    )


def _alerts(snapshot: Snapshot) -> Iterator[Metric]:
    yield _counter(
        "alerts_received",
        "Alerts that Alertmanager pushed, firing or resolved.",
        [],
        [] if snapshot.alerts_received is None else [([], snapshot.alerts_received)],
    )
    yield _gauge(
        "alerts_firing",
        "Alerts of Alertmanager that fire, by what they say of the service.",
        ["service", "says"],
        [(list(key), count) for key, count in snapshot.alerts_firing.items()],
    )


def _warnings(warnings: Sequence[WarningSample]) -> Metric:
    rows = dict.fromkeys((w.service, w.about, w.name, w.source) for w in warnings)
    return _gauge(
        "warning_active",
        "1 for each early warning that lasts; no series when it is over.",
        ["service", "about", "name", "source"],
        [(list(row), 1) for row in rows],
    )


Series = Iterable[tuple[Sequence[str], float]]


def _gauge(name: str, text: str, labels: Sequence[str], values: Series) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"bcm_{name}", text, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, value)
    return family


def _counter(name: str, text: str, labels: Sequence[str], values: Series) -> CounterMetricFamily:
    family = CounterMetricFamily(f"bcm_{name}", text, labels=labels)
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
