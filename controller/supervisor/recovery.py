"""When an outage is over, and what may be mended while one lasts. Pure."""

from __future__ import annotations

from typing import Final

from controller.supervisor.ledger import Ledger
from controller.views import MemberView, ServiceView
from model.diagnosis import Diagnosis, Stance
from model.health import Health
from model.observation import Failure

# The primary works, or would if it had a standby: to bring one back is no risk, and may be the remedy.
_MENDABLE: Final = frozenset(
    {
        "AllStandbysDown",
        "PrimarySyncBlocked",
        "ProbeCredentialsRejected",
        "ForeignSystem",
        "RedundancyLost",
        "ConfigDrift",
        "StandbyLagging",
        "DiskFilling",
        "LatencyDegraded",
        "EndpointDown",
        "PoolBelowMinimum",
    }
)


def works(view: ServiceView) -> str | None:
    """How a service that has no trouble of a level works again, for people; None: that is not seen."""
    if view.engine.primaries:
        primary = view.member(view.primary)
        return f"{primary.name} accepts writes" if primary is not None and accepts_writes(primary) else None
    up = sum(m.fresh for m in view.members)
    ways = sum(d.state.health is Health.UP for d in view.declared)
    if view.engine.probe:
        return f"{up} of {len(view.members)} members answer" if up >= view.minimum else None
    enough = ways == len(view.declared) if view.needs_all else ways > 0
    return f"{ways} of {len(view.declared)} probes are up" if view.declared and enough else None


def accepts_writes(primary: MemberView | None) -> bool:
    """Seen, not presumed (S11): it answers as primary and acknowledges the canary. Where the canary has never
    been possible, for its table is missing, the answer must do; and where the primary's own probe writes, if
    anything does."""
    if primary is None or not primary.leads:
        return False
    if not primary.engine.canary:
        return primary.facts.get("read_only") is not True
    canary = primary.canary
    if canary is None or canary.last is None:
        return False
    if canary.health is Health.UP:
        return True
    impossible = canary.last.failure in (None, Failure.CREDENTIALS)
    return canary.health is Health.UNKNOWN and canary.last_good is None and impossible


def may_mend(diagnosis: Diagnosis, ledger: Ledger) -> bool:
    """After a split nobody is brought back before a person has said which side is right: it would take the
    other side's writes away."""
    calm = diagnosis.info.stance in (Stance.NONE, Stance.MEND) or diagnosis.code in _MENDABLE
    return calm and not ledger.split
