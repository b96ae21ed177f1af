"""What the HTTP port shows and takes: health, where each service's traffic may go, pushes, targets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from controller.api import discovery
from controller.api.blackbox import ProbeEndpoint
from controller.api.public import HealthReport, Routing
from controller.api.pushes import Pushes
from controller.station import Station
from controller.supervisor.supervisor import Supervisor
from model.health import Health

# What makes the journaled primary no place for writes, though it answers as one.
_CLOSED = frozenset(
    {"SplitBrain", "SwitchedOutside", "PrimaryWentBack", "PrimaryReadOnly", "OtherManagerPresent"}
)


def public_doors(station: Station) -> tuple[list[web.RouteDef], Callable[[], Awaitable[None]]]:
    """What the HTTP port takes and shows beside health, metrics and routing, and how that is ended. It is of
    the estate in force."""
    pushes = Pushes(
        token=lambda: station.estate.daemon.push_token,
        secret=station.secrets.get,
        alerts=station.inbox.desk.take,
        beat=station.inbox.heartbeats.push,
    )
    probes = ProbeEndpoint(lambda: station.estate, station.clock, station.secrets)
    routes = [*pushes.routes(), *discovery.routes(lambda: station.estate), *probes.routes()]
    return routes, probes.aclose


def routing(supervisor: Supervisor | None) -> Routing | None:
    """From a fresh judgement. While a switch is under way, or two members call themselves primary, there is
    no primary: the checks fail closed. While a member is brought back the primary stays open."""
    if supervisor is None:
        return None
    judged = supervisor.judge_now()
    view, profile = judged.view, supervisor.service.detection
    primary = view.member(view.primary)
    claims = [m.name for m in view.members if m.leads]
    clear = (
        primary is not None
        and primary.fresh
        and claims == [primary.name]
        and not primary.facts.get("default_read_only")
        and not primary.facts.get("read_only")
        and judged.diagnosis.code not in _CLOSED
        and not supervisor.ledger.moving
        and not supervisor.runs.moving
    )
    replicas = tuple(m.name for m in view.standbys if m.follows and m.receives)
    ages_s = {
        m.name: None if m.pg.last_good_s is None else judged.at_s - m.pg.last_good_s for m in view.members
    }
    return Routing(
        primary=primary.name if clear and primary is not None else None,
        replicas=replicas,
        ages_s=ages_s,
        stale_after_s=profile.stale_s,
    )


def health_report(
    supervisors: Mapping[str, Supervisor],
    *,
    leads: bool,
    problem: str,
    progress_age_s: float | None,
    stuck_after_s: float,
) -> HealthReport:
    """degraded: it observes and pages, and would not act."""
    reasons = []
    if not leads:
        reasons.append(f"observing only: {problem or 'does not lead'}")
    unjudged = [name for name, s in supervisors.items() if s.judged is None]
    unknown = [
        name
        for name, s in supervisors.items()
        if s.judged is not None and all(m.pg.health is Health.UNKNOWN for m in s.judged.view.members)
    ]
    reasons += [f"{name}: no member can be judged" for name in unknown]
    if unjudged:
        return HealthReport("starting", (*reasons, *unjudged), progress_age_s, stuck_after_s)
    return HealthReport("degraded" if reasons else "ok", tuple(reasons), progress_age_s, stuck_after_s)
