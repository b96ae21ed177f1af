"""What a rule says, and what is made of it. Values only; times are monotonic seconds unless they say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Key:
    """One warning: `about` is `service/orders/pg1`, `node/db1`, `site/dc1` or `estate`; `part` tells several
    of one code apart (a file system, a probe)."""

    code: str
    about: str
    part: str = ""


@dataclass(frozen=True, slots=True)
class Sign:
    """What one reading says of one key.

    passed: True: over the threshold; False: clear of it; None: in between, which changes nothing. at_s: when
    it was read; the same reading counts once. A rule that knows nothing gives no sign. readings, after_s:
    so many readings in a row, over at least so long, begin a warning. keep_s: without a reading for so long,
    nothing is known any more.
    """

    key: Key
    passed: bool | None
    at_s: float
    sentence: str = ""
    readings: int = 1
    after_s: float = 0.0
    keep_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class Raised:
    key: Key
    sentence: str


@dataclass(frozen=True, slots=True)
class Cleared:
    key: Key
    sentence: str
    why: str


Change = Raised | Cleared

# Told by the desk, with figures and hysteresis, also where a diagnosis finds the same.
CODES: Final = frozenset(
    {
        "BackupStale",
        "CanarySlow",
        "CertificateExpiring",
        "ClockSkew",
        "DiskFilling",
        "LatencyDegraded",
        "RedundancyLost",
        "StandbyLagging",
    }
)
