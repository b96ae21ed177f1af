"""Rules of diagnosis about the way from the clients to a service that works. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from controller.findings import Finding, against, supports
from controller.views import MemberView, ServiceView
from model.health import Health


def endpoint_down(view: ServiceView, now_s: float) -> Finding | None:
    """The primary is fine, and clients don't get there. Switching would not help: the same way leads to
    whoever is primary then."""
    primary = view.member(view.primary)
    if primary is None or not primary.leads:
        return None
    return _down(view, [primary], f"{primary.name}, the primary, answers", now_s)


def way_to_pool_down(view: ServiceView, now_s: float) -> Finding | None:
    """As many members are up as must be, and clients don't get to them: what spreads the load is out."""
    up = [m for m in view.members if m.fresh]
    if len(up) < view.minimum:
        return None
    return _down(view, up, f"{len(up)} of {len(view.members)} members are up", now_s)


def _down(view: ServiceView, fine: Sequence[MemberView], text: str, now_s: float) -> Finding | None:
    """A probe that never saw it work may be wrong itself, and one that comes and goes says nothing."""
    told = {name: s for name, s in view.endpoint.items() if s.last_good_s is not None and not s.flapping}
    down = {name: s for name, s in told.items() if s.health is Health.DOWN}
    if not down:
        return None
    evidence = [supports(f"{name}: {s.why}", s, now_s) for name, s in down.items()]
    evidence += [against(f"{name} answers", s, now_s) for name, s in told.items() if s.health is Health.UP]
    evidence.append(against(text, fine[0].own, now_s))
    return Finding("EndpointDown", view.primary, True, tuple(evidence), tuple(down.values()))
