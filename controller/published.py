"""What the HTTP port shows: health of the daemon, and where each service's traffic may go."""

from __future__ import annotations

from collections.abc import Mapping

from controller.api.public import HealthReport, Routing
from controller.supervisor.supervisor import Supervisor
from model.health import Health


def routing(supervisor: Supervisor | None) -> Routing | None:
    """From a fresh judgement. While a switch is under way, or two members call themselves primary, there is
    no primary: the checks fail closed."""
    if supervisor is None:
        return None
    judged = supervisor.judge_now()
    view, profile = judged.view, supervisor.service.detection
    primary = view.member(view.primary)
    claims = [m.name for m in view.members if m.fresh and m.facts.get("in_recovery") is False]
    clear = (
        primary is not None
        and primary.fresh
        and claims == [primary.name]
        and not primary.facts.get("default_read_only")
        and not supervisor.ledger.open_executions
    )
    replicas = tuple(
        m.name
        for m in view.standbys
        if m.fresh and m.facts.get("in_recovery") is True and m.facts.get("walreceiver")
    )
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
    problem: str | None,
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
