"""What the rules look at: everything that is known at one moment, as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from model.health import ProbeState


@dataclass(frozen=True, slots=True)
class Watched:
    """One probe of one target. about: as of a warning; name: for people (`pg1`, `web`); timeout_s: of its
    attempts in calm; interval_s: between them."""

    about: str
    name: str
    state: ProbeState
    timeout_s: float
    interval_s: float

    @property
    def facts(self) -> Mapping[str, Any]:
        """Of the newest reading that has any: also a failed one may tell of disks and backups."""
        for seen in (self.state.last, self.state.last_good):
            if seen is not None and seen.facts:
                return seen.facts
        return {}

    @property
    def read_s(self) -> float:
        """When `facts` were read."""
        for seen in (self.state.last, self.state.last_good):
            if seen is not None and seen.facts:
                return seen.ended_s
        return 0.0

    @property
    def keep_s(self) -> float:
        """Three missed readings, and an hour at least: silence ends no warning soon."""
        return max(3600.0, 3 * self.interval_s)


@dataclass(frozen=True, slots=True)
class Copy:
    """One standby, as it was last read at `read_s`. behind_bytes: of its position against the primary's."""

    member: str
    read_s: float
    canary_n: int | None
    behind_bytes: int | None


@dataclass(frozen=True, slots=True)
class ServiceScene:
    """missing: what is missing to the number of copies; None: it can't be told now. acked: number of the
    newest acknowledged canary and when. canary: its probe."""

    name: str
    primary: str | None
    rpo_s: float
    standbys: int
    missing: tuple[str, ...] | None
    copies: tuple[Copy, ...] = ()
    acked: tuple[int, float] | None = None
    canary: Watched | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    now_s: float
    wall_s: float
    watched: Iterable[Watched] = ()
    services: Iterable[ServiceScene] = field(default_factory=tuple)
