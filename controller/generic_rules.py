"""Rules of diagnosis for a generic service: it is known by its declared probes alone. Pure."""

from __future__ import annotations

from typing import Final

from controller.findings import Finding, against, supports
from controller.views import DeclaredView, ServiceView
from model.diagnosis import Evidence
from model.health import Health
from model.observation import ALIVE_FAILURES, Failure, Layer

# The deepest layer that fails is the cause: what stands on it can't work.
_CODES: Final = (
    (Layer.NETWORK, "ServiceUnreachable"),
    (Layer.SERVER, "ServiceHostFailed"),
    (Layer.APPLICATION, "ServiceDown"),
)
_ANSWERED: Final = ALIVE_FAILURES | {Failure.REFUSED, Failure.RESET}


def service_not_observed(view: ServiceView, _now: float) -> Finding | None:
    if any(d.state.last is not None for d in view.declared):
        return None
    return Finding("NotObservedYet", None, True, ())


def service_isolated(view: ServiceView, now_s: float) -> Finding | None:
    """As for members: nothing answers, not even by a refusal, and nothing shows that our network works."""
    if view.observer_sane is True or any(_answers(d) for d in view.declared):
        return None
    if view.observer_sane is None and not any(d.state.health is Health.DOWN for d in view.declared):
        return None
    why = view.observer_why or "no reference targets are configured: own network not judged"
    return Finding("ObserverIsolated", None, True, (supports(why), *_told(view.declared, now_s)))


def service_unknown(view: ServiceView, now_s: float) -> Finding | None:
    if any(d.state.health is not Health.UNKNOWN or _turned_away(d) for d in view.declared):
        return None
    return Finding("EverythingUnknown", None, True, _told(view.declared, now_s))


def service_out(view: ServiceView, now_s: float) -> Finding | None:
    down = _down(view)
    out = bool(down) if view.needs_all else len(down) == len(view.declared)
    if not out:
        return None
    states = tuple(d.state for d in down)
    evidence = (*_told(down, now_s), *_up(view, now_s))
    if view.broken_dependencies:
        below = supports(f"out: {', '.join(view.broken_dependencies)}")
        return Finding("DependencyDown", None, True, (below, *evidence), states)
    layers = [_layer(d) for d in down]
    code = next(code for layer, code in _CODES if layer in layers)
    return Finding(code, None, True, evidence, states)


def service_credentials_rejected(view: ServiceView, now_s: float) -> Finding | None:
    """It answers, and does not let the probe in: whether it works is not known."""
    turned_away = [d for d in view.declared if _turned_away(d)]
    if not turned_away:
        return None
    return Finding("ProbeCredentialsRejected", None, True, _told(turned_away, now_s))


def service_suspect(view: ServiceView, now_s: float) -> Finding | None:
    up = sum(d.state.health is Health.UP for d in view.declared)
    if up == len(view.declared) or (up and not view.needs_all):
        return None
    rest = [d for d in view.declared if d.state.health is not Health.UP]
    return Finding("ServiceSuspect", None, False, _told(rest, now_s))


def service_degraded(view: ServiceView, now_s: float) -> Finding | None:
    """It needs any of its ways, and some are left."""
    down = _down(view)
    if not down:
        return None
    return Finding("ServiceDegraded", None, True, (*_told(down, now_s), *_up(view, now_s)))


def _turned_away(declared: DeclaredView) -> bool:
    last = declared.state.last
    return last is not None and last.failure is Failure.CREDENTIALS


def _layer(declared: DeclaredView) -> Layer:
    """A connection that is refused has got there: it is no failure of the network."""
    last = declared.state.last
    if declared.layer is Layer.NETWORK and last is not None and last.failure in _ANSWERED:
        return Layer.APPLICATION
    return declared.layer


def _answers(declared: DeclaredView) -> bool:
    state = declared.state
    answered = state.last is not None and state.last.failure in _ANSWERED
    return state.health is Health.UP or (answered and state.health is not Health.UNKNOWN)


def _down(view: ServiceView) -> list[DeclaredView]:
    return [d for d in view.declared if d.state.health is Health.DOWN]


def _up(view: ServiceView, now_s: float) -> tuple[Evidence, ...]:
    up = [d for d in view.declared if d.state.health is Health.UP]
    return tuple(against(f"{d.name} is up", d.state, now_s) for d in up)


def _told(declared: list[DeclaredView] | tuple[DeclaredView, ...], now_s: float) -> tuple[Evidence, ...]:
    return tuple(supports(f"{d.name}: {d.state.why}", d.state, now_s) for d in declared)
