"""The snapshot of a station for its metrics.

On the loop only references are taken: states and entries never change once made. Ageing them and making
samples of them goes with the rendering, off the loop, which 10,000 probes would hold up for too long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from config.probes import ProbeEntry
from controller.detect import age
from controller.early_warnings.desk import service_of
from controller.journal_totals import JournalTotals
from controller.metrics import render
from controller.metrics_values import (
    OpenIncidentSample,
    ProbeSample,
    ServiceSample,
    Snapshot,
    WarningSample,
)
from controller.station import VERSION, Station
from controller.status import service_health
from controller.supervisor.supervisor import Supervisor
from model.health import Health, ProbeState, Profile


@dataclass(frozen=True, slots=True)
class RawProbes:
    """What is known of all probes at `now_s`, not aged yet. engine: with the profile of their service."""

    now_s: float
    engine: Sequence[tuple[Profile, Sequence[ProbeState]]]
    declared: Sequence[tuple[ProbeEntry, ProbeState | None]]

    def samples(self) -> list[ProbeSample]:
        """Each once: the node below two services is probed once. What is stale is unknown."""
        found: dict[tuple[str, str], ProbeSample] = {}
        for profile, states in self.engine:
            for state in states:
                if (state.target, state.probe) not in found:
                    sample = _engine_sample(age(state, self.now_s, profile))
                    found[state.target, state.probe] = sample
        declared = (
            _declared_sample(entry, None if state is None else age(state, self.now_s, entry.profile))
            for entry, state in self.declared
        )
        return [*found.values(), *declared]


def metrics_job(station: Station, totals: JournalTotals) -> Callable[[], bytes]:
    """Takes the snapshot, and returns what renders it: to be called off the loop."""
    snapshot, raw = take_snapshot(station, totals), take_probes(station)
    return lambda: render(replace(snapshot, probes=raw.samples()))


def take_probes(station: Station) -> RawProbes:
    engine = [(s.service.detection, s.knowledge.states()) for s in station.supervisors.values()]
    return RawProbes(station.clock.monotonic_s(), engine, station.declared.known())


def take_snapshot(station: Station, totals: JournalTotals) -> Snapshot:
    """All but the probes."""
    totals.catch_up()
    clock, awareness = station.clock, station.scheduler.awareness
    now_s, wall_s = clock.monotonic_s(), clock.wall_s()
    supervisors = list(station.supervisors.values())
    alerts = station.inbox.alerts
    beats = {name: station.inbox.heartbeats.last(name) for name in sorted(station.inbox.heartbeats.names)}
    return Snapshot(
        version=VERSION,
        wall_s=wall_s,
        leader=station.store.held(),
        journal_ok=station.store.held() and not station.store.problem,
        incidents_open=sum(s.ledger.incident is not None for s in supervisors),
        pages_undelivered=station.pager.undelivered,
        executions=dict(totals.executions),
        services=[_service_sample(s, totals, now_s) for s in supervisors],
        observer_score=awareness.score,
        observer_fit=awareness.fit,
        scheduler_late_s=station.scheduler.late_s,
        scheduler_progress_s=wall_s - (now_s - station.scheduler.progress_s),
        alerts_received=alerts.received,
        alerts_firing=_firing(station),
        warnings=[*_warnings(station)],
        heartbeats={name: wall_s - (now_s - last[0]) for name, last in beats.items() if last is not None},
    )


def _firing(station: Station) -> dict[tuple[str, str], int]:
    """Every service and word from the beginning, at 0."""
    counts = Counter((f.meaning.service, f.meaning.says) for f in station.inbox.alerts.firing())
    return {
        (service, says): counts[service, says]
        for service in station.supervisors
        for says in ("down", "up", "warning")
    }


def _warnings(station: Station) -> Iterator[WarningSample]:
    for warning in station.warnings.open():
        key = warning.key
        yield WarningSample(key.code, key.about, service_of(key) or "", "bcm-failover")
    for firing in station.inbox.alerts.firing():
        if firing.meaning.says == "warning":
            service = firing.meaning.service
            yield WarningSample(firing.alert.name, f"service/{service}", service, "alertmanager")


def _service_sample(supervisor: Supervisor, totals: JournalTotals, now_s: float) -> ServiceSample:
    judged, ledger, service = supervisor.judged, supervisor.ledger, supervisor.service
    objectives, last = service.objectives, totals.last_move(service.name)
    return ServiceSample(
        service=service.name,
        health=Health.UNKNOWN.value if judged is None else service_health(judged),
        members=list(service.members),
        primary=ledger.primary,
        objective_rto_s=objectives.rto,
        objective_rpo_s=objectives.rpo,
        objective_mtpd_s=objectives.mtpd,
        mode=service.mode.value,
        paused=ledger.paused(supervisor.wall_ns()) is not None,
        blocked=ledger.blocked is not None,
        executing=bool(ledger.open_executions),
        incident=_incident(supervisor, now_s),
        incidents=totals.incidents[service.name],
        last_rto_s=None if last is None else last.rto_s,
        last_rpo=None if last is None else last.verdict,
        last_lost=None if last is None else last.lost,
    )


def _incident(supervisor: Supervisor, now_s: float) -> OpenIncidentSample | None:
    incident = supervisor.ledger.incident
    if incident is None:
        return None
    return OpenIncidentSample(incident.level, None if incident.recovered else supervisor.outage_s(now_s))


def _engine_sample(state: ProbeState) -> ProbeSample:
    kind, _, name = state.target.partition("/")
    on_node = kind == "node"
    return ProbeSample(
        probe=state.probe,
        type=state.probe,
        about=state.target if on_node else f"service/{state.target}",
        up=_UP.get(state.health),
        duration_s=_duration_s(state),
        service="" if on_node else kind,
        member="" if on_node else name,
        flapping=state.flapping,
    )


def _declared_sample(entry: ProbeEntry, state: ProbeState | None) -> ProbeSample:
    return ProbeSample(
        probe=entry.name,
        type=entry.type,
        about=entry.about,
        up=None if state is None else _UP.get(state.health),
        duration_s=None if state is None else _duration_s(state),
        service=entry.service or "",
        member=entry.member or "",
        flapping=state is not None and state.flapping,
    )


_UP = {Health.UP: True, Health.DOWN: False}


def _duration_s(state: ProbeState) -> float | None:
    last = state.last
    return None if last is None or not last.shows_life else last.latency_s
