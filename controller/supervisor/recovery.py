"""When an outage is over, and what may be mended while one lasts. Pure."""

from __future__ import annotations

from typing import Final

from controller.supervisor.ledger import Ledger
from controller.views import MemberView
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
    }
)


def accepts_writes(primary: MemberView | None) -> bool:
    """Seen, not presumed (S11): it answers as primary and acknowledges the canary. Where the canary has never
    been possible, for its table is missing, the answer must do."""
    if primary is None or not primary.fresh or primary.facts.get("in_recovery") is not False:
        return False
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
