"""Rules of diagnosis about the way from the clients to a service that works. Pure."""

from __future__ import annotations

from controller.findings import Finding, against, supports
from controller.views import ServiceView
from model.health import Health


def endpoint_down(view: ServiceView, now_s: float) -> Finding | None:
    """The members are fine, and clients don't get there. Switching would not help: the same way leads to
    whoever is primary then. A probe that never saw it work may be wrong itself, and one that comes and goes
    says nothing."""
    primary = view.member(view.primary)
    if primary is None or not primary.leads:
        return None
    told = {name: s for name, s in view.endpoint.items() if s.last_good_s is not None and not s.flapping}
    down = {name: s for name, s in told.items() if s.health is Health.DOWN}
    if not down:
        return None
    evidence = [supports(f"{name}: {s.why}", s, now_s) for name, s in down.items()]
    evidence += [against(f"{name} answers", s, now_s) for name, s in told.items() if s.health is Health.UP]
    evidence.append(against(f"{primary.name}, the primary, answers", primary.own, now_s))
    return Finding("EndpointDown", view.primary, True, tuple(evidence), tuple(down.values()))
