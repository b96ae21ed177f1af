"""What the daemon's metrics tell, as plain values: taken on the loop, rendered off it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ProbeSample:
    """The last reading of one probe.

    probe: its name where it is declared, else its type. about: `service/orders/pg1`, `node/db1`, `site/dc1`
    or `estate`; service and member: the same as labels of their own, "" where it is about something else.
    up: None while it could not be found out. duration_s: of the last attempt, if that was answered.
    """

    probe: str
    type: str
    about: str
    up: bool | None
    duration_s: float | None = None
    service: str = ""
    member: str = ""
    flapping: bool = False


@dataclass(frozen=True, slots=True)
class OpenIncidentSample:
    """level: III, II or I. outage_s: since the last good observation, for as long as it is out."""

    level: str
    outage_s: float | None


@dataclass(frozen=True, slots=True)
class ServiceSample:
    """health: one of `model.health.Health`, or another word of the status. primary: None while not known.

    incident: the open one, if there is one. last_rto_s: from the last good observation to verified recovery,
    of the last failover or switchover; last_rpo: its verdict, and last_lost how many acknowledged writes at
    least were lost, where that is known. incidents: opened since the journal began.
    """

    service: str
    health: str
    members: Sequence[str]
    primary: str | None
    objective_rto_s: float
    objective_rpo_s: float = 0.0
    objective_mtpd_s: float = 0.0
    mode: str = ""
    paused: bool = False
    blocked: bool = False
    executing: bool = False
    incident: OpenIncidentSample | None = None
    incidents: int = 0
    last_rto_s: float | None = None
    last_rpo: str | None = None
    last_lost: int | None = None


@dataclass(frozen=True, slots=True)
class WarningSample:
    """An early warning that lasts. source: who says so."""

    name: str
    about: str
    service: str
    source: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that is told. wall_s: seconds since 1970 at which the daemon took it; None for what it can't say.

    executions: closed executions by their state, since the journal began. observer_score: 0 (well) to
    `probes.awareness.MOST`. scheduler_late_s: what the scheduler has been late by in all, and
    scheduler_progress_s when it last finished a round, in seconds since 1970. alerts_firing: by service and
    what they say. heartbeats: name → when it was last pushed, in seconds since 1970.
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
    observer_score: int | None = None
    observer_fit: bool | None = None
    scheduler_late_s: float | None = None
    scheduler_progress_s: float | None = None
    alerts_received: int | None = None
    alerts_firing: Mapping[tuple[str, str], int] = field(default_factory=dict)
    warnings: Sequence[WarningSample] = ()
    heartbeats: Mapping[str, float] = field(default_factory=dict)
