"""What is known of one service: a fold over its observations into the view that the pure core judges.

Holds no opinion: health is made by `detect`, the view is judged by `diagnose` and `decide`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from config.schema import (
    Estate,
    GenericService,
    HttpService,
    Member,
    PostgresqlMember,
    PostgresqlService,
    RedisService,
    Service,
)
from controller.candidates import unsettled
from controller.engines import POSTGRESQL, Engine, engine_of
from controller.hearing import Hearing, answered
from controller.news import is_news
from controller.supervisor.elsewhere import Elsewhere
from controller.supervisor.impostors import Impostors
from controller.supervisor.replicas import Replicas
from controller.supervisor.settings_history import SettingsHistory
from controller.supervisor.states import States
from controller.views import PG, DeclaredView, MemberView, ServiceView
from model.health import ProbeState
from model.observation import Observation, Outcome
from model.quorum import SyncSetting, without

# Raw observations that an incident freezes: from five minutes before its T0.
KEPT_S = 300.0
# Acknowledged canaries whose times are kept: enough to tell the age of a replica's data for minutes.
KEPT_CANARIES = 4096


@dataclass(slots=True)
class Knowledge:
    """Mutable on purpose: one per service, touched from the loop only."""

    estate: Estate
    service: Service
    settings: SettingsHistory = field(default_factory=SettingsHistory)
    high_water: dict[str, tuple[int, int]] = field(default_factory=dict)
    last_acked_canary: int | None = None
    synchronous_commit: str | None = None
    observer_sane: bool | None = None
    observer_why: str = ""
    hearing: Hearing = field(default_factory=Hearing)
    kept_s: float = KEPT_S
    _states: States = field(init=False)
    _kept: deque[Observation] = field(default_factory=deque)
    _acked: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=KEPT_CANARIES))
    _replicas: Replicas = field(init=False)
    impostors: Impostors = field(default_factory=Impostors)
    elsewhere: Elsewhere = field(init=False)
    _expected: str | None = None
    _forgotten_s: dict[tuple[str, str], float] = field(default_factory=dict)
    _targets: dict[str, Member] = field(init=False)
    _views: dict[str, MemberView] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._states = States(self.service.detection)
        self.elsewhere = Elsewhere(self.estate, self.service)
        self._replicas = Replicas(self.engine.position)
        self._targets = {f"{self.service.name}/{m.name}": m for m in self.service.members.values()}

    # --- seeing

    def observe(self, seen: Observation, primary: str | None) -> bool:
        """One more observation of a member, of its node or of the canary, by whichever observer. Is it news,
        so that it is to be judged at once?"""
        if self.elsewhere.is_own(seen.observer):
            return self._observe(seen, primary)
        if not self.elsewhere.declares(seen.observer):
            return False  # it counts for nothing
        self.keep(seen)
        return self.elsewhere.observe(seen)

    def _observe(self, seen: Observation, primary: str | None) -> bool:
        key = (seen.target, seen.probe)
        if seen.started_s < self._forgotten_s.get(key, seen.started_s):
            return False
        before = self._states.get(seen.target, seen.probe)
        fold = self.engine.fold_of(seen.probe)
        state = fold(before or ProbeState(seen.target, seen.probe), seen, self.service.detection)
        self._states.put(state)
        self.keep(seen)
        settings, impostors = self.settings.texts, self.impostors.members
        member = self.member_of(seen.target)
        if (member is None or member.name != primary) and answered(seen):
            self.hearing.heard(seen.started_s, self.service.detection.interval_s)
        if member is not None and seen.outcome is Outcome.SUCCEEDED:
            if seen.probe == self.engine.canary:
                self._canary_acknowledged(seen)
            elif seen.probe == self.engine.probe:
                self._member_read(member.name, seen, primary)
        return (
            is_news(before, state) or self.settings.texts != settings or self.impostors.members != impostors
        )

    def keep(self, seen: Observation) -> None:
        """For an incident that freezes it."""
        self._kept.append(seen)
        while self._kept and seen.ended_s - self._kept[0].ended_s > self.kept_s:
            self._kept.popleft()

    def forget(self, member: str, probe: str, at_s: float) -> None:
        """What began before `at_s` says nothing any more: the probe was ended, or the member is another thing
        than it was, as one that was promoted since."""
        key = (f"{self.service.name}/{member}", probe)
        self._states.drop(*key)
        self._forgotten_s[key] = at_s
        if probe == self.engine.probe:
            self._replicas.forget(member)

    def recall_crash(self, member: str, at_s: float) -> None:
        """The end of its connections was seen before this process was there. Any sign of life clears it."""
        target = f"{self.service.name}/{member}"
        why = "its end was seen before this controller began"
        self.recall(ProbeState(target, self.engine.probe, closed_s=at_s, why=why))

    def recall(self, state: ProbeState) -> None:
        """What is known of one probe of one target is this, whatever was folded before."""
        self._states.put(state)

    def expect(self, text: str | None, at_s: float) -> None:
        """A setting that may come into force at any moment counts as if it were, until it is known to be or
        not to be (P2). None: nothing may any more; a canary settles what is."""
        self._expected = text
        self._count_expected(at_s)

    def _count_expected(self, at_s: float) -> None:
        if self._expected is not None and self._expected not in self.settings.texts:
            self.settings = self.settings.read(self._expected, int(at_s * 1e9))

    @property
    def engine(self) -> Engine:
        return engine_of(self.service.engine, self.service.managed_by)

    def member_of(self, target: str) -> Member | None:
        return self._targets.get(target)

    def kept(self) -> list[Observation]:
        """The raw observations of the last minutes, oldest first."""
        return list(self._kept)

    def answered_s(self, member: str) -> float | None:
        """When its newest answer to its own probe came in."""
        state = self.state(member, self.engine.probe)
        return None if state is None or state.last_good is None else state.last_good.ended_s

    def canary_age_s(self, canary_n: int | None, now_s: float) -> float | None:
        """How old at most the data of a member is that shows canary `canary_n`, or that marker of an engine
        without one: the time since that was acknowledged. None: a number of which this process does not know
        when."""
        if canary_n is None:
            return None
        at_s = next((at for n, at in reversed(self._acked) if n <= canary_n), None)
        return None if at_s is None else max(0.0, now_s - at_s)

    def states(self) -> list[ProbeState]:
        """Of every probe that concerns the service, as last seen: see `detect.age` for what is stale."""
        return list(self._states.all())

    def state(self, member: str, probe: str) -> ProbeState | None:
        return self._states.get(f"{self.service.name}/{member}", probe)

    # --- the view

    def view(
        self,
        primary: str | None,
        now_s: float,
        *,
        broken_dependencies: Iterable[str] = (),
        moving: bool = False,
        system_identifier: str | None = None,
        recorded_timeline: int | None = None,
        endpoint: Mapping[str, ProbeState] | None = None,
        balancers: Mapping[str, ProbeState] | None = None,
        retired: Iterable[str] = (),
        declared: Iterable[DeclaredView] = (),
    ) -> ServiceView:
        """moving: an execution that changes who is primary is open. system_identifier, recorded_timeline,
        retired: as journaled. declared: the estate's probes that tell about the service."""
        return ServiceView(
            name=self.service.name,
            profile=self.service.detection,
            rpo_s=self.service.objectives.rpo,
            primary=primary,
            members=[self._member_view(t, m, primary, now_s) for t, m in self._targets.items()],
            settings=self.counted_settings(primary),
            observer_sane=self.observer_sane,
            observer_why=self.observer_why,
            hearing=replace(self.hearing),
            broken_dependencies=tuple(broken_dependencies),
            moving=moving,
            system_identifier=system_identifier,
            recorded_timeline=recorded_timeline,
            high_water=dict(self.high_water),
            disk_free_percent=self.estate.warnings.disk_free_percent,
            endpoint=endpoint or {},
            balancers=balancers or {},
            observer=self.estate.daemon.name,
            observer_site=self.elsewhere.own_site,
            elsewhere=self.elsewhere.views(now_s),
            engine=self.engine,
            retired=tuple(retired),
            declared=tuple(declared),
            **_of_engine(self.service),
        )

    def counted_settings(self, primary: str | None) -> tuple[SyncSetting, ...]:
        """Without the primary's own name, which can never be its own standby (P1)."""
        member = self.service.members.get(primary) if primary else None
        own_name = member.application_name if isinstance(member, PostgresqlMember) else None
        return _counted(self.settings.texts, own_name)

    def _member_view(self, target: str, member: Member, primary: str | None, now_s: float) -> MemberView:
        """The one of the turn before, if nothing in it has changed."""
        probes = self._states.aged(target, now_s)
        node_probes = self._states.aged(f"node/{member.node}", now_s)
        received = member.name != primary and self._replicas.receives(
            member.name,
            self.state(primary, self.engine.probe) if primary else None,
            now_s,
            self.service.detection.interval_s,
        )
        elsewhere = member.name in self.impostors.elsewhere
        before = self._views.get(member.name)
        if (
            before is not None
            and before.probes is probes
            and before.node_probes is node_probes
            and before.received_after_suspicion is received
            and before.streams_elsewhere is elsewhere
        ):
            return before
        node = self.estate.nodes[member.node]
        view = self._views[member.name] = MemberView(
            name=member.name,
            application_name=member.application_name if isinstance(member, PostgresqlMember) else member.name,
            role=member.role.value,
            node=member.node,
            site=node.site,
            preference=member.preference,
            excluded=member.excluded,
            probes=probes,
            node_probes=node_probes,
            received_after_suspicion=received,
            streams_elsewhere=elsewhere,
            site_role=self.estate.sites[node.site].role.value,
            mendable=bool(self.engine.runbooks) and not (self.engine.through_node and node.access == "none"),
            startable=node.access != "none" and getattr(member, "control", "").startswith("systemd:"),
            engine=self.engine,
        )
        return view

    # --- folding

    def _canary_acknowledged(self, seen: Observation) -> None:
        number = seen.facts.get("canary_n")
        if isinstance(number, int):
            self.last_acked_canary = number
            self._acked.append((number, seen.ended_s))
        text = seen.facts.get("sync_names")
        if isinstance(text, str):
            self.settings = self.settings.acknowledged(text, int(seen.ended_s * 1e9))
            self._count_expected(seen.ended_s)
        commit = seen.facts.get("synchronous_commit")
        self.synchronous_commit = commit if isinstance(commit, str) else self.synchronous_commit

    def _member_read(self, member: str, seen: Observation, primary: str | None) -> None:
        if self.engine is POSTGRESQL:
            self._pg_member_read(member, seen, primary)
        if member == primary:
            self._replicas.forget(member)
            if not self.engine.canary:
                self._marker_read(seen)
        else:
            self._replicas.read(member, seen)

    def _marker_read(self, seen: Observation) -> None:
        """Whoever has what the primary showed has all that was acknowledged when it was asked for it."""
        marker = self.engine.marker(seen.facts)
        if marker is not None:
            self._acked.append((marker, seen.started_s))
        number = seen.facts.get("canary_n")
        if isinstance(number, int):
            self.last_acked_canary = number

    def _pg_member_read(self, member: str, seen: Observation, primary: str | None) -> None:
        if member == primary:
            text = seen.facts.get("sync_names")
            if isinstance(text, str) and seen.facts.get("in_recovery") is False:
                self.settings = self.settings.read(text, int(seen.ended_s * 1e9))
            others = [
                m
                for m in self.service.members.values()
                if m.name != member and isinstance(m, PostgresqlMember)
            ]
            self.impostors.primary_read(seen, others, self._last_good())
        self._raise_high_water(member, seen)

    def _last_good(self) -> dict[str, Observation]:
        states = {m: self.state(m, PG) for m in self.service.members}
        return {m: s.last_good for m, s in states.items() if s is not None and s.last_good is not None}

    def _raise_high_water(self, member: str, seen: Observation) -> None:
        if unsettled(seen.facts):
            return
        timeline, position = seen.facts.get("timeline"), seen.facts.get("position")
        if isinstance(timeline, int) and isinstance(position, int):
            self.high_water[member] = max(self.high_water.get(member, (0, 0)), (timeline, position))


@lru_cache(maxsize=4096)
def _counted(texts: tuple[str, ...], own_name: str | None) -> tuple[SyncSetting, ...]:
    settings = SettingsHistory(pending=texts).settings
    return settings if own_name is None else tuple(without(s, own_name) for s in settings)


def _of_engine(service: Service) -> dict[str, Any]:
    """The fields of a view that only services of one engine have."""
    if isinstance(service, PostgresqlService):
        return {
            "intended_setting": service.postgresql.synchronous_standby_names,
            "on_admin_stop": service.postgresql.on_admin_stop,
            "manager": service.manager,
        }
    if isinstance(service, RedisService):
        return {"manager": service.manager}
    if isinstance(service, HttpService):
        return {"minimum": service.http.minimum}
    if isinstance(service, GenericService):
        return {"needs_all": service.generic.needs == "all"}
    return {}
