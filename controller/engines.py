"""The table of engines: what differs between kinds of service, for the core and for whoever watches them.

What is the same for all is written once; what differs is looked up here by `service.engine`, and nowhere else
is an engine asked for by its name. The rules of each are put together in `controller.diagnose`. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from controller.detect import fold
from controller.detect_count import fold_count
from model.gtid import parse_gtids
from model.health import ProbeState, Profile
from model.observation import Failure, Observation
from model.quorum import Proof

Facts = Mapping[str, object]
Fold = Callable[[ProbeState, Observation, Profile], ProbeState]


class ClaimedRole(StrEnum):
    """What a member says that it is."""

    PRIMARY = "primary"
    STANDBY = "standby"


@dataclass(frozen=True, slots=True)
class Engine:
    """One kind of service.

    probe: type of its members' own probe; '' where they have none. fold: how observations of it become a
    health. primaries: one member is primary and the others follow it. runbooks: those that are shipped for
    it, by kind; without them every decision holds. through_node: a member is brought back through its node,
    and not by a session alone. timelines: members tell in which order primaries came. claimed_role: from a
    member's facts, None where it does not say. receives: does a standby hear its primary? None where it does
    not say. position: how far it has received; grows, and means nothing else. proof: what can be said of the
    data of its members where nothing can be moved. canary: type of the probe that writes on the primary and
    nowhere else, '' where there is none. marker: a number that grows with what the primary acknowledges and
    that a standby shows once it has that, from the facts of either. own_warnings: codes that only the
    diagnosis finds here, though for other engines the early warnings do.
    """

    name: str
    probe: str
    fold: Fold
    primaries: bool
    runbooks: Mapping[str, str] = field(default_factory=dict)
    through_node: bool = True
    timelines: bool = False
    claimed_role: Callable[[Facts], ClaimedRole | None] = lambda _facts: None
    receives: Callable[[Facts], bool | None] = lambda _facts: None
    position: Callable[[Facts], int | None] = lambda _facts: None
    proof: Proof | None = None
    canary: str = ""
    marker: Callable[[Facts], int | None] = lambda _facts: None
    own_warnings: frozenset[str] = frozenset()

    @property
    def moves(self) -> bool:
        """The primary's role can be moved to another member."""
        return any(kind in self.runbooks for kind in ("failover", "switchover"))

    def fold_of(self, probe: str) -> Fold:
        """Of observations by one of its own probes, or by another, such as one of the node."""
        return self.fold if probe in (self.probe, self.canary) else fold


def shipped(engine: str, *kinds: str) -> dict[str, str]:
    """Of `runbooks/library`, by kind."""
    return {kind: f"{engine}-{kind}" for kind in kinds}


def _silent_end(state: ProbeState, seen: Observation, profile: Profile) -> ProbeState:
    """MariaDB and Redis end idle connections without a word when an administrator stops them too: such an
    end makes us look at once, and tells no crash from a restart. So refusals must outlast the grace."""
    if seen.failure is Failure.CLOSED:
        seen = replace(seen, failure=Failure.RESET)
    return fold(state, seen, profile)


def _counted(state: ProbeState, seen: Observation, profile: Profile) -> ProbeState:
    """An answer that is wrong is as bad as none for whoever sends a web server requests."""
    return fold_count(state, seen, profile.refusals, profile.rise)


def _text(facts: Facts, key: str) -> str:
    value = facts.get(key)
    return value if isinstance(value, str) else ""


def _integer(facts: Facts, key: str) -> int | None:
    value = facts.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _boolean(facts: Facts, key: str) -> bool | None:
    value = facts.get(key)
    return value if isinstance(value, bool) else None


# --- postgresql


def _pg_role(facts: Facts) -> ClaimedRole | None:
    recovering = _boolean(facts, "in_recovery")
    if recovering is None:
        return None
    return ClaimedRole.STANDBY if recovering else ClaimedRole.PRIMARY


# --- mariadb


def _mariadb_role(facts: Facts) -> ClaimedRole | None:
    """Whoever replicates from nobody and takes writes is a primary, with replicas or without."""
    match facts.get("role"):
        case "replica":
            return ClaimedRole.STANDBY
        case "primary":
            return ClaimedRole.PRIMARY
        case "standalone" if facts.get("read_only") is False:
            return ClaimedRole.PRIMARY
        case _:
            return None


def _mariadb_position(facts: Facts) -> int | None:
    """Of all domains together; it only has to grow."""
    sources: Any = facts.get("sources")
    received = [_text(s, "gtid_io_pos") for s in sources or () if isinstance(s, Mapping)]
    texts = [t for t in (*received, _text(facts, "gtid_current_pos")) if t]
    return max((sum(n for _s, n in parse_gtids(t).values()) for t in texts), default=None)


# --- redis


def _redis_role(facts: Facts) -> ClaimedRole | None:
    match facts.get("role"):
        case "master":
            return ClaimedRole.PRIMARY
        case "replica":
            return ClaimedRole.STANDBY
        case _:
            return None


# Their servers tell the lag in seconds; the early warning of it is made from bytes and canaries.
_IN_SECONDS: Final = frozenset({"StandbyLagging"})
_NO_DATA: Final = Proof(True, "its members keep no data that could be lost", 0, (), None)
_NOT_KNOWN: Final = Proof(False, "what data it keeps is not known", 0, (), None)

POSTGRESQL: Final = Engine(
    "postgresql", "postgresql", fold, primaries=True, timelines=True,
    runbooks=shipped("postgresql", "failover", "switchover", "rejoin", "failback"),
    claimed_role=_pg_role,
    receives=lambda facts: _boolean(facts, "walreceiver"),
    position=lambda facts: _integer(facts, "position"),
    canary="postgresql-canary",
    marker=lambda facts: _integer(facts, "canary_n"),
)  # fmt: skip
MARIADB: Final = Engine(
    "mariadb", "mariadb", _silent_end, primaries=True,
    runbooks=shipped("mariadb", "failover", "switchover", "rejoin", "failback"),
    through_node=False,
    claimed_role=_mariadb_role,
    receives=lambda facts: _boolean(facts, "io_running"),
    position=_mariadb_position,
    marker=_mariadb_position,
    own_warnings=_IN_SECONDS,
)  # fmt: skip
REDIS: Final = Engine(
    "redis", "redis", _silent_end, primaries=True,
    runbooks=shipped("redis", "failover", "switchover", "rejoin", "failback"),
    through_node=False,
    claimed_role=_redis_role,
    receives=lambda facts: _boolean(facts, "link_up"),
    position=lambda facts: _integer(facts, "replication_offset"),
    marker=lambda facts: _integer(facts, "replication_offset"),
    own_warnings=_IN_SECONDS,
)  # fmt: skip
HTTP: Final = Engine(
    "http", "http", _counted, primaries=False, proof=_NO_DATA, through_node=False,
    runbooks={"drain": "http-pool-drain", "restore": "http-pool-restore"},
)  # fmt: skip
# Sentinel fails over and brings back by itself; it can be asked to move the primary (S14).
REDIS_BY_SENTINEL: Final = replace(REDIS, runbooks={"switchover": "sentinel-switchover"})
GENERIC: Final = Engine("generic", "", fold, primaries=False, proof=_NOT_KNOWN)

ENGINES: Final[Mapping[str, Engine]] = {e.name: e for e in (POSTGRESQL, MARIADB, REDIS, HTTP, GENERIC)}
_MANAGED: Final[Mapping[tuple[str, str], Engine]] = {("redis", "sentinel"): REDIS_BY_SENTINEL}


def engine_of(name: str, manager: str = "none") -> Engine:
    """The row of an engine, or of one that another manager runs, to which is only delegated. Raises KeyError
    for an engine that there is none of."""
    return _MANAGED.get((name, manager), ENGINES[name])
