"""The input of judgement: what is known of one service at one moment. Values only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from controller.engines import POSTGRESQL, ClaimedRole, Engine
from controller.hearing import Hearing
from model.health import Health, ProbeState, Profile
from model.observation import Layer
from model.quorum import SyncSetting

PG = "postgresql"
CANARY = "postgresql-canary"


@dataclass(frozen=True, slots=True)
class MemberView:
    """One member: what the estate says of it and what the probes say (`probes`: by type).

    site_role: of its site; '' reads as the member's own role. mendable: its node can be reached by node
    access, so that this product can bring it back by itself. startable: its server is a unit there. own: of
    the probe of its engine (`pg` in what is of PostgreSQL alone); facts: of that one's last good reading,
    empty if there was none; claimed_role: what they say that it is, None where they don't. They are looked at
    hundreds of times in a judgement.
    """

    name: str
    application_name: str
    role: str
    node: str
    site: str
    preference: int
    excluded: bool
    probes: Mapping[str, ProbeState]
    node_probes: Mapping[str, ProbeState] = field(default_factory=dict)
    # Advance of what the member received, seen between two readings that both began after the suspicion of
    # the primary: a replica that still receives is an observer of a living primary (P14).
    received_after_suspicion: bool = False
    # It receives, and the primary does not send to it.
    streams_elsewhere: bool = False
    site_role: str = ""
    mendable: bool = True
    startable: bool = False
    engine: Engine = POSTGRESQL
    own: ProbeState = field(init=False, repr=False, compare=False)
    pg: ProbeState = field(init=False, repr=False, compare=False)
    facts: Mapping[str, object] = field(init=False, repr=False, compare=False)
    claimed_role: ClaimedRole | None = field(init=False, repr=False, compare=False)
    _room: Mapping[str, tuple[int, int] | None] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        probe = self.engine.probe
        own = self.probes.get(probe) or ProbeState(self.name, probe)
        facts = own.last_good.facts if own.last_good else {}
        object.__setattr__(self, "own", own)
        object.__setattr__(self, "pg", own)
        object.__setattr__(self, "facts", facts)
        object.__setattr__(self, "claimed_role", self.engine.claimed_role(facts))
        object.__setattr__(self, "_room", {what: self._read_room(what) for what in ("wal", "data")})

    @property
    def canary(self) -> ProbeState | None:
        return self.probes.get(CANARY)

    @property
    def fresh(self) -> bool:
        return self.own.health is Health.UP

    @property
    def leads(self) -> bool:
        """It answers, and as primary."""
        return self.fresh and self.claimed_role is ClaimedRole.PRIMARY

    @property
    def follows(self) -> bool:
        """It answers, and as a standby, whether it hears its primary or not."""
        return self.fresh and self.claimed_role is ClaimedRole.STANDBY

    @property
    def receives(self) -> bool:
        """It says that it hears its primary."""
        return self.engine.receives(self.facts) is True

    @property
    def at_dr(self) -> bool:
        return (self.site_role or self.role) == "dr"

    @property
    def vetoes(self) -> bool:
        """It is an observer that still hears the primary (P14). A receiver that has ended hears nothing more,
        whatever came in before."""
        return self.received_after_suspicion and self.engine.receives(self.facts) is not False

    def free_bytes(self, what: str) -> tuple[int, int] | None:
        """Free and whole size of the file system of `data` or `wal`, in bytes. A failed attempt knows it too:
        it is read through the node, not through the server (P16)."""
        return self._room[what]

    def _read_room(self, what: str) -> tuple[int, int] | None:
        newest = self.pg.last.facts if self.pg.last else {}
        free_key, size_key = f"{what}_free_bytes", f"{what}_size_bytes"
        for facts in (newest, self.facts):
            free, size = facts.get(free_key), facts.get(size_key)
            if isinstance(free, int) and isinstance(size, int):
                return free, size
        return None

    def fact_int(self, key: str) -> int | None:
        value = self.facts.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None


@dataclass(frozen=True, slots=True)
class ObserverView:
    """What another observer sees of the service, on our clock, aged as our own is.

    sane: what it said of its own network and of itself last; None: nothing lately. members: by name, the
    state of the engine's probe; hosts: by member, those of its node, by probe.
    """

    name: str
    site: str
    sane: bool | None
    why: str
    members: Mapping[str, ProbeState]
    hosts: Mapping[str, Mapping[str, ProbeState]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeclaredView:
    """One of the estate's `probes` that tells about the service. layer: of its type."""

    name: str
    layer: Layer
    state: ProbeState


@dataclass(frozen=True, slots=True)
class ServiceView:
    """One service. `primary` is the member that the journal says is primary, None before it was found.

    observer_sane None: nothing is known of the observer's own network. hearing: what else
    answers; None: not told. settings: the synchronous settings of
    which every one must be satisfied (P2), without the primary's own name. broken_dependencies: services
    below that are out. moving: an execution that changes who is primary is open, so that two primaries are no
    news. system_identifier: of the service's data, None while not known. recorded_timeline: of the primary,
    as it was journaled, for as long as it has not been read. high_water: member → furthest (timeline,
    position in bytes) that it ever showed (P3). disk_free_percent: less free space than this is a warning.
    endpoint: declared probes that look at the service as its clients do, by name. balancers: control socket
    of a load balancer of its endpoint → what that tells.
    standbys: every member but the primary. identity: the system identifier, the recorded one, else the
    primary's last. timeline: the primary's, as it was last seen. observer, observer_site: who looks, and from
    where; None while nobody has said. elsewhere: the other observers that are declared, whether they say
    anything or not.
    retired: members that were primary before and have not been brought back. minimum: so many members of a
    pool must be up. declared: the probes by which a generic service is known; needs_all: it needs every one
    of them, not any.
    """

    name: str
    profile: Profile
    rpo_s: float
    primary: str | None
    members: Sequence[MemberView]
    settings: tuple[SyncSetting, ...] = ()
    intended_setting: str | None = None
    observer_sane: bool | None = True
    observer_why: str = ""
    hearing: Hearing | None = None
    on_admin_stop: str = "hold"
    manager: str = "none"
    broken_dependencies: tuple[str, ...] = ()
    moving: bool = False
    system_identifier: str | None = None
    recorded_timeline: int | None = None
    high_water: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    disk_free_percent: int = 10
    endpoint: Mapping[str, ProbeState] = field(default_factory=dict)
    balancers: Mapping[str, ProbeState] = field(default_factory=dict)
    engine: Engine = POSTGRESQL
    retired: tuple[str, ...] = ()
    minimum: int = 1
    declared: tuple[DeclaredView, ...] = ()
    needs_all: bool = True
    observer: str = "this observer"
    observer_site: str | None = None
    elsewhere: Sequence[ObserverView] = ()
    standbys: Sequence[MemberView] = field(init=False, repr=False, compare=False)
    identity: str | None = field(init=False, repr=False, compare=False)
    timeline: int | None = field(init=False, repr=False, compare=False)
    _by_name: Mapping[str | None, MemberView] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_name = {m.name: m for m in self.members}
        primary = by_name.get(self.primary or "")
        object.__setattr__(self, "_by_name", by_name)
        object.__setattr__(self, "standbys", [m for m in self.members if m is not primary])
        object.__setattr__(self, "identity", self._identity(primary))
        object.__setattr__(self, "timeline", primary.fact_int("timeline") if primary else None)

    def member(self, name: str | None) -> MemberView | None:
        return self._by_name.get(name)

    def _identity(self, primary: MemberView | None) -> str | None:
        if self.system_identifier is not None:
            return self.system_identifier
        value = primary.facts.get("system_identifier") if primary else None
        return value if isinstance(value, str) else None
