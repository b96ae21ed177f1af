"""Rules of diagnosis for a pool of web servers that are all alike: how many are up, against how many must be.
Pure. What is not known counts as possible: unknown is never down (S6).
"""

from __future__ import annotations

from collections.abc import Sequence

from controller.findings import Finding, against, bad_for_s, supports
from controller.views import MemberView, ServiceView
from model.diagnosis import Stance
from model.health import Health
from model.observation import ALIVE_FAILURES, Failure

# Somebody is there and says no: the host lives, its server or the way to it does not work.
_REFUSED = frozenset({Failure.REFUSED, Failure.RESET, Failure.CLOSED})


def pool_not_observed(view: ServiceView, _now: float) -> Finding | None:
    if any(m.own.last is not None for m in view.members):
        return None
    return Finding("NotObservedYet", None, True, ())


def pool_out(view: ServiceView, now_s: float) -> Finding | None:
    """Fewer members than the business needs can be up."""
    down = sorted(_down(view), key=lambda m: m.own.first_bad_s or 0.0)
    if len(view.members) - len(down) >= view.minimum:
        return None
    long = [m for m in down if bad_for_s(m.own, now_s) >= _needed_s(view, m)]
    confirmed = len(view.members) - len(long) < view.minimum
    # The one with whose loss too few were left: it is out since then.
    breaking = down[len(view.members) - view.minimum]
    up = [m for m in view.members if m.fresh]
    evidence = [supports(f"{len(up)} of {len(view.members)} members are up, {view.minimum} are needed")]
    evidence += [supports(f"{m.name}: {m.own.why}", m.own, now_s) for m in down]
    if view.broken_dependencies and not all(_failure(m) in _REFUSED for m in down):
        evidence.insert(0, supports(f"out: {', '.join(view.broken_dependencies)}"))
        return Finding("DependencyDown", None, confirmed, tuple(evidence), (breaking.own,))
    if up or len(down) < len(view.members):
        evidence += [against(f"{m.name} is up", m.own, now_s) for m in up]
        return Finding("PoolBelowMinimum", None, confirmed, tuple(evidence), (breaking.own,))
    return _all_down(down, Finding("PoolDown", None, confirmed, tuple(evidence), (breaking.own,)), now_s)


def _all_down(down: Sequence[MemberView], found: Finding, now_s: float) -> Finding:
    """Who answers with errors or refuses has a host that lives; who is silent, perhaps not."""
    if any(_failure(m) in ALIVE_FAILURES or _failure(m) in _REFUSED for m in down):
        return found
    hosts = [s for m in down for s in m.node_probes.values()]
    alive = [s for s in hosts if s.health is Health.UP]
    gone = [m for m in down if _host_is_gone(m)]
    evidence = [*found.evidence, *(against(f"a host answers ({s.target})", s, now_s) for s in alive)]
    evidence += [supports(f"{s.target}: {s.why}", s, now_s) for s in hosts if s.health is Health.DOWN]
    code, stance = "PoolHung", None
    if len(gone) == len(down):
        one_site = len({m.site for m in down}) == 1 and len({m.node for m in down}) > 1
        code, stance = ("SiteDown", Stance.REFUSE) if one_site else ("PoolNodesDown", None)
    return Finding(code, None, found.confirmed, tuple(evidence), found.states, stance)


def _host_is_gone(member: MemberView) -> bool:
    if any(s.health is Health.UP for s in member.node_probes.values()):
        return False
    unreachable = _failure(member) is Failure.UNREACHABLE
    return unreachable or any(s.health is Health.DOWN for s in member.node_probes.values())


def pool_credentials_rejected(view: ServiceView, now_s: float) -> Finding | None:
    for member in view.members:
        if _failure(member) is Failure.CREDENTIALS:
            evidence = (supports(f"{member.name}: {member.own.why}", member.own, now_s),)
            return Finding("ProbeCredentialsRejected", member.name, True, evidence)
    return None


def pool_suspect(view: ServiceView, now_s: float) -> Finding | None:
    """Too few are seen to be up, and it is not settled whether they are down."""
    if sum(m.fresh for m in view.members) >= view.minimum:
        return None
    evidence = [supports(f"{m.name}: {m.own.why}", m.own, now_s) for m in view.members if not m.fresh]
    return Finding("ServiceSuspect", None, False, tuple(evidence))


def pool_members_down(view: ServiceView, now_s: float) -> Finding | None:
    """It works; one more, or none, may be lost before it does not."""
    down = _down(view)
    if not down:
        return None
    evidence = [supports(f"{m.name}: {m.own.why}", m.own, now_s) for m in down]
    spare = len(view.members) - len(down) - view.minimum
    code = "PoolMemberDown" if spare > 0 else "PoolDegraded"
    evidence.append(against(f"{view.minimum} are needed, {len(view.members) - len(down)} are left"))
    return Finding(code, down[0].name, True, tuple(evidence), (down[0].own,))


def _down(view: ServiceView) -> list[MemberView]:
    return [m for m in view.members if m.own.health is Health.DOWN]


def _needed_s(view: ServiceView, member: MemberView) -> float:
    """A server that is started anew refuses for a moment; any other failure must outlast a stall."""
    return view.profile.restart_grace_s if _failure(member) in _REFUSED else view.profile.silence_s


def _failure(member: MemberView) -> Failure | None:
    return member.own.last.failure if member.own.last is not None else None
