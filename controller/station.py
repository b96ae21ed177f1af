"""All that watches and acts, without the doors to the outside: shared by the daemon and break-glass."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

import structlog

from config.loader import LoadedEstate
from config.schema import Estate, ProbeEntry, Service
from controller.adapters.clock import SystemClock
from controller.adapters.haproxy import HaproxyRuntime
from controller.adapters.http import HttpConnections
from controller.adapters.local import LocalAccess
from controller.adapters.mysql import MysqlSessions
from controller.adapters.name_servers import NameServersOverTcp
from controller.adapters.nodes import NodeAccesses
from controller.adapters.output_files import OutputDirectory
from controller.adapters.redis import RedisCommands
from controller.adapters.secrets import SecretStore
from controller.adapters.sql import SqlSessions
from controller.arrivals import Batch
from controller.balancers import BalancerProbes
from controller.declared import DeclaredProbes
from controller.disaster.desk import DisasterDesk, DisasterPorts
from controller.disaster.requests import DisasterRequests
from controller.early_warnings.desk import DeskPorts, WarningDesk
from controller.early_warnings.look import look
from controller.engines import ENGINES
from controller.inbox import Inbox
from controller.incident_control import IncidentControl
from controller.inspection.desk import InspectionDesk
from controller.inspection.ground import DaemonSide, Ground
from controller.levels import told_people
from controller.notify.page import Audience
from controller.notify.pager import Pager
from controller.observer import PREFIX, ObserverHealth
from controller.observers_inbox import ObserversInbox
from controller.order import FailoverOrder
from controller.probe_runs import ProbeRuns
from controller.remedies.endpoint import misled
from controller.retention import Keeper
from controller.root_desk import RootDesk, RootPorts
from controller.roots.picture import Picture
from controller.roots.signs import signs_of
from controller.roots.topology import Topology
from controller.sightings import sighting
from controller.signals import Signals
from controller.status import service_health
from controller.store.hostclock import boot_id
from controller.store.sqlite import SqliteStore, StoreState
from controller.supervisor.budget import AutomaticFailovers, Launching
from controller.supervisor.claims import Claims
from controller.supervisor.desk import facts_in
from controller.supervisor.executor import Executor
from controller.supervisor.judgement import Judged
from controller.supervisor.open_incident import OpenIncident
from controller.supervisor.probing import ProbeFactory
from controller.supervisor.step_consent import LevelConsent
from controller.supervisor.supervisor import Supervisor, answered_s
from controller.supervisor.tap import TappedJournal
from controller.supervisor.trouble import Trouble
from controller.supervisor.world import Observing, World
from controller.views import DeclaredView
from controller.watching import Watching
from model import events as ev
from model.errors import BcmError, EstateError, HeldError, JournalError, LeadershipLostError
from model.health import Health, ProbeState
from model.observation import Observation
from probes.scheduler import Scheduler
from runbooks.actions.base import ActionPorts

log = structlog.get_logger(__name__)

VERSION = version("bcm-failover")
# How long a stop waits for an execution that is under way: a failover that is begun is better ended. What is
# still open then is resumed at the next start.
DRAIN_S = 20.0
# How often the journal's disk is looked after, and how long a record may wait for it before people are told.
KEEP_EVERY_S = 2.0
STALLED_S = 5.0


class Station:
    """`start`, `apply` for a new estate, `stop`. The store is opened by whoever makes the station.

    quiet: nothing is launched by itself; what was left open is resumed, and what a person asks for is done.
    """

    def __init__(
        self, loaded: LoadedEstate, store: SqliteStore, clock: SystemClock, *, quiet: bool = False
    ) -> None:
        self.loaded = loaded
        self.store = store
        self.clock = clock
        self.journal = TappedJournal(store)
        self.supervisors: dict[str, Supervisor] = {}
        self._on_node: dict[str, list[Supervisor]] = {}
        self._elsewhere = ObserversInbox(clock, self.supervisors, self._concerned)
        self.scheduler = Scheduler(clock, loaded.estate.daemon.name, self._observed)
        self.pager = Pager(loaded.estate.pager, self.journal, clock, self._audience)
        self.trouble = Trouble(self.pager.page)
        self.warnings = WarningDesk(
            DeskPorts(
                clock=clock,
                journal=self.journal,
                page=self.pager.page,
                look=lambda: look(clock, self.supervisors, self.declared),
                limits=lambda: self.estate.warnings,
                leads=store.held,
                another_leads=lambda: self._observing().another_leads,
            )
        )
        self.inspections = InspectionDesk(
            clock=clock,
            journal=self.journal,
            estate=lambda: self.estate,
            make=self._inspected,
            page=self.pager.page,
            leads=store.held,
        )
        self.roots = RootDesk(
            RootPorts(
                clock=clock,
                journal=self.journal,
                page=self.pager.page,
                leads=store.held,
                picture=lambda: self.picture,
                declared=self._declared_now,
                incident=self._incident_of,
                boot_id=boot_id(),
            )
        )
        self.disaster = DisasterDesk(
            DisasterPorts(
                clock=clock,
                journal=self.journal,
                supervisors=self.supervisors,
                estate=lambda: self.estate,
                page=self.pager.page,
                leads=store.held,
                boot_id=boot_id(),
            )
        )
        self.keeper = Keeper(
            self.journal,
            clock,
            state_dir=lambda: self.estate.daemon.state_dir,
            policy=lambda: self.estate.daemon.retention,
            leads=store.held,
        )
        self.watchdog_s: float | None = None
        self._quiet = quiet
        self._launching = Launching()
        self._failovers = AutomaticFailovers(self.journal)
        self._claims = Claims()
        self._loops: dict[str, asyncio.Task[None]] = {}
        self._keeper: asyncio.Task[None] | None = None
        self._beside: list[asyncio.Task[None]] = []
        self._secrets = SecretStore()
        self._here = LocalAccess("", where="this host")
        self.inbox = Inbox(loaded.estate, clock, self._alert_changed)
        self.journal.listen(lambda _event: self.trouble.over())
        self._bind(loaded)

    @property
    def estate(self) -> Estate:
        return self.loaded.estate

    def start(self) -> None:
        """Needs a running loop."""
        self.pager.start()
        self._warm_up()
        self._watch_all()
        self.inbox.start()
        self._keeper = asyncio.create_task(self._keep(), name="keeper")
        self._beside.append(asyncio.create_task(self.roots.run(), name="roots"))
        if not self._quiet:
            self._beside.append(asyncio.create_task(self.warnings.run(), name="early-warnings"))
            self._beside.append(asyncio.create_task(self.inspections.run(), name="inspections"))
            self._beside.append(asyncio.create_task(self.disaster.run(), name="declared-disasters"))
            self._beside.append(asyncio.create_task(self.keeper.run(), name="retention"))

    async def apply(self, loaded: LoadedEstate) -> None:
        """Go on with another estate; what was seen of the old one is forgotten.

        Raises EstateError if it can't be watched: then the old one is watched again. Raises HeldError while
        something is executed, and for a service that is taken away in the middle of an execution.
        """
        before = self.loaded
        async with contextlib.AsyncExitStack() as stack:
            for supervisor in self.supervisors.values():  # nobody launches anything from here on
                await stack.enter_async_context(supervisor.turn)
            self._refuse_in_the_middle(loaded.estate)
            await self._replace(loaded)
            try:
                self._watch_all()
            except Exception as error:
                log.exception("the new estate can't be watched")
                await self._replace(before)
                self._watch_all()
                raise EstateError(f"the estate can't be watched: {error}") from error
        self.pager.configure(loaded.estate.pager)

    def _refuse_in_the_middle(self, estate: Estate) -> None:
        busy = [name for name, s in self.supervisors.items() if s.busy]
        if busy:
            raise HeldError(
                f"an execution is running for {', '.join(busy)}", gate="execution", hint="reload after it"
            )
        for name, supervisor in self.supervisors.items():
            if name not in estate.services and supervisor.ledger.open_executions:
                execution = supervisor.ledger.open_executions[0]
                raise HeldError(
                    f"{name} is not in the new estate, and {execution} of it is open",
                    gate="execution",
                    hint="resume or abort it first",
                )

    async def _replace(self, loaded: LoadedEstate) -> None:
        for name in list(self.supervisors):
            await self._unsupervise(name)
        await self._watching.unwatch_hosts()
        await self._watching.unwatch_declared()
        await self._nodes.aclose()
        self._bind(loaded)
        self._warm_up()

    def _warm_up(self) -> None:
        """A runbook that can't be run is told now, and not in an outage."""
        for problem in self.executor.warm_up():
            log.error("a runbook can't be used", problem=problem)
            self.pager.page("page", "a runbook can't be used: what it is for will be held", problem)

    async def stop(self) -> None:
        """Let what runs come to its end, then end everything. The store stays open."""
        for supervisor in self.supervisors.values():
            supervisor.quiet = True
        if self._keeper is not None:
            self._keeper.cancel()
        for task in self._beside:
            task.cancel()
        if self._beside:
            await asyncio.wait(self._beside)
        running = [s.running for s in self.supervisors.values() if s.running is not None]
        if running:
            log.info("waiting for executions", count=len(running), at_most_s=DRAIN_S)
            await asyncio.wait(running, timeout=DRAIN_S)
        for name in list(self.supervisors):
            await self._unsupervise(name)
        await self.inbox.stop()
        await self.scheduler.aclose()
        await self.pager.aclose()
        await self._nodes.aclose()
        await self._here.aclose()

    def _bind(self, loaded: LoadedEstate) -> None:
        self.loaded = loaded
        estate = loaded.estate
        self.scheduler.observer = estate.daemon.name
        self._elsewhere.configure(estate)
        self._claims.order = FailoverOrder.of(estate)
        self._nodes = NodeAccesses(estate, self._secrets)
        ports = ActionPorts(
            clock=self.clock,
            journal=self.journal,
            lease=self.store,
            sql=SqlSessions(estate, self._secrets),
            secrets=self._secrets,
            node=self._nodes.access,
            answered_s=partial(answered_s, self.supervisors),
            haproxy=HaproxyRuntime(),
            name_servers=NameServersOverTcp(),
            redis=RedisCommands(estate, self._secrets),
            mysql=MysqlSessions(estate, self._secrets),
            here=self._here,
            http=HttpConnections(self.clock),
            outputs=OutputDirectory(estate.daemon.state_dir / "outputs"),
            sighting=lambda target: sighting(target, self.clock, self.supervisors, self.declared),
            tell=self.pager.page,
            consent=LevelConsent(lambda service: self.supervisors[service].case.rule),
        )
        self.executor = Executor(ports, estate)
        self._closest = min(
            (s.detection for s in estate.services.values()), key=lambda profile: profile.interval_s
        )
        self.observer = ObserverHealth(
            estate.daemon.reference_targets,
            self._closest,
            declared=estate.probes.values(),
            awareness=self.scheduler.awareness,
        )
        self.picture = Picture(Topology.of(estate))
        self.probes = ProbeFactory(estate, self.clock, self._secrets)
        self._watching = Watching(self.scheduler, self.probes, self._nodes.all())
        self.inbox.configure(estate)
        self.declared = DeclaredProbes(
            estate, self.clock, self._secrets, self._nodes.all(), self.inbox.heartbeats
        )
        self.balancers = BalancerProbes(estate, self.clock, self._secrets)

    def _watch_all(self) -> None:
        for service in self.estate.services.values():
            supervisor = Supervisor(self._world(), self.estate, service)
            supervisor.quiet = self._quiet
            self.supervisors[service.name] = supervisor
            for node in {member.node: None for member in service.members.values()}:
                self._on_node.setdefault(node, []).append(supervisor)
            self._watching.watch_service(service)
            self._loops[service.name] = asyncio.create_task(
                supervisor.run(), name=f"supervisor-{service.name}"
            )
        self._watching.watch_hosts(self._closest)
        self._watching.watch_declared(self.declared.watches())
        self._watching.watch_declared(self.balancers.watches())

    async def _unsupervise(self, name: str) -> None:
        supervisor, loop = self.supervisors.pop(name), self._loops.pop(name, None)
        for there in self._on_node.values():
            if supervisor in there:
                there.remove(supervisor)
        if loop is not None:
            loop.cancel()
            await asyncio.wait({loop})
        supervisor.close()  # a loop that never began has not done it
        await self._watching.unwatch_service(supervisor.service)

    def _world(self) -> World:
        return World(
            clock=self.clock,
            journal=self.journal,
            lease=self.store,
            executor=self.executor,
            page=self.pager.page,
            sign=self.store.sign_head,
            boot_id=boot_id(),
            version=VERSION,
            digest=self.loaded.digest,
            keep_facts=facts_in(self.estate.daemon.state_dir / "facts"),
            budget_left=self._budget_left,
            broken_dependencies=self._broken_dependencies,
            watch_primary=self._watch_primary,
            trouble=self.trouble,
            observing=self._observing,
            declared=self._declared_of,
            alerts=self.inbox.alerts.firing,
            launching=self._launching,
            root_of=self.picture.root_of,
            endpoint=self._endpoint_of,
            balancers=self.balancers.of,
            judged=self._judged,
            claims=self._claims,
            command=self.disaster.command_of,
        )

    def disasters(self) -> DisasterRequests:
        """Of the estate in force."""
        return DisasterRequests(
            self.disaster,
            self.supervisors,
            self.journal,
            self.clock,
            self.store.sign_head,
            version=VERSION,
            digest=self.loaded.digest,
        )

    def incidents(self) -> IncidentControl:
        """What people do to incidents."""
        return IncidentControl(
            self.supervisors,
            self.journal,
            self.disaster,
            requests=self.disasters,
            estate=lambda: self.estate,
            leads=self.store.held,
        )

    def _audience(self, incident: str) -> Audience | None:
        """Whom the pages of an open incident are for, at its level of now."""
        found = [s.ledger.incident for s in self.supervisors.values() if s.ledger.incident_id == incident]
        declaration = self.disaster.declarations.known.get(incident)
        opened = found[0] if found else declaration.incident if declaration is not None else None
        if opened is None:
            return None
        return Audience(opened.level, told_people(self.estate.levels, opened.level))

    async def _alert_changed(self, type_: str, data: dict[str, Any], service: str) -> None:
        if self.store.held():
            supervisor = self.supervisors.get(service)
            incident = supervisor.ledger.incident_id if supervisor is not None else None
            await self.journal.append(type_, data, service=service, incident=incident)

    @property
    def secrets(self) -> SecretStore:
        return self._secrets

    async def _keep(self) -> None:
        """What nobody else looks after: a disk under the journal that was full or does not answer."""
        while True:
            await self.clock.sleep(KEEP_EVERY_S)
            try:
                await self._look_after_journal()
            except Exception:
                log.exception("the journal could not be looked after")

    async def _look_after_journal(self) -> None:
        if self.store.stalled_s > STALLED_S:
            self.trouble.tell(
                "the journal's disk does not answer: observing only",
                f"a record has been waiting for {self.store.stalled_s:.0f} s",
            )
        elif self.store.state is StoreState.WAITING:
            # The epoch is taken with the first record that finds room: until then nobody leads.
            data = {"version": VERSION, "estate_digest": self.loaded.digest}
            with contextlib.suppress(BcmError):
                await self.journal.append(ev.DAEMON_STARTED, data)

    def _observing(self) -> Observing:
        another = self.store.state in (StoreState.OBSERVER, StoreState.LOST)
        return Observing(another, self.store.problem or "this controller does not lead")

    async def _watch_primary(self, service: Service, primary: str | None) -> None:
        await self._watching.watch_primary(service, primary)

    def _budget_left(self) -> int:
        return self._failovers.left(self.estate.daemon.failover_budget, self.clock, boot_id())

    def _broken_dependencies(self, service: Service) -> tuple[str, ...]:
        judged = {n: self.supervisors[n].judged for n in service.depends_on if n in self.supervisors}
        return tuple(
            name for name, last in judged.items() if last and service_health(last) == Health.DOWN.value
        )

    def _judged(self, judged: Judged) -> None:
        """One service's turn: what it saw belongs to the picture of the whole estate."""
        out = service_health(judged) == Health.DOWN.value
        self.picture.note(signs_of(judged.view, judged.diagnosis, out=out), judged.at_s)

    def _declared_now(self) -> Iterable[tuple[ProbeEntry, ProbeState]]:
        return self.declared.all()

    def _incident_of(self, service: str) -> OpenIncident | None:
        supervisor = self.supervisors.get(service)
        return None if supervisor is None else supervisor.ledger.incident

    def _observed(self, seen: Observation) -> None:
        """From the scheduler: to whoever it concerns."""
        kind, _, rest = seen.target.partition("/")
        self.observer.observe(seen)
        if f"{kind}/" == PREFIX:
            return
        if kind == "probe":
            self.declared.observe(seen)
            self._wake(self.balancers.observe(seen))
            self._tell_who_is_known_by(rest, seen)
            return
        sane, why = self.observer.judge(seen.ended_s)
        self.picture.observer(sane)
        for supervisor in self._concerned(kind, rest):
            supervisor.observer(sane, why, self.observer.heard_s)
            supervisor.observe(seen)

    def observed_elsewhere(self, batch: Batch) -> None:
        """From another observer: see `ObserversInbox.take`."""
        self._elsewhere.take(batch)

    def _tell_who_is_known_by(self, probe: str, seen: Observation) -> None:
        """A generic service has no other probes than the declared ones."""
        entry = self.estate.probes.get(probe)
        supervisor = None if entry is None else self.supervisors.get(entry.service or "")
        if supervisor is not None and not supervisor.knowledge.engine.probe:
            supervisor.observer(*self.observer.judge(seen.ended_s))
            supervisor.observe_declared(seen)

    def _wake(self, service: str | None) -> None:
        supervisor = self.supervisors.get(service or "")
        if supervisor is not None:
            told = self.balancers.of(supervisor.service.name)
            if misled(supervisor.service, supervisor.ledger.primary, told):
                supervisor.wake()

    def _endpoint_of(self, service: str) -> Mapping[str, ProbeState]:
        return {**self.declared.endpoint(service), **self.balancers.all_down(service)}

    def _declared_of(self, service: str) -> Sequence[DeclaredView]:
        """What a generic service is known by; the others have probes of their own."""
        if ENGINES[self.estate.services[service].engine].probe:
            return ()
        return self.declared.of_service(service)

    def _concerned(self, kind: str, rest: str) -> Iterable[Supervisor]:
        """An observation comes a few times a second from each member: nobody is searched for."""
        if kind == "node":
            return self._on_node.get(rest, ())
        supervisor = self.supervisors.get(kind)
        return () if supervisor is None else (supervisor,)

    def _inspected(self, service: str | None) -> Ground:
        """Of the estate in force."""
        side = DaemonSide(
            self.store.held(), self.store.problem or "", self.watchdog_s, self.pager.undelivered
        )
        return Ground(
            estate=self.estate,
            clock=self.clock,
            secrets=self._secrets,
            nodes=self._nodes.all(),
            sql=SqlSessions(self.estate, self._secrets),
            probes=self.probes,
            declared=self.declared,
            read_events=self.journal.events,
            state_dir=self.estate.daemon.state_dir,
            daemon=side,
            service=service,
        )

    def signals(self) -> Signals:
        """What is seen beside the members, for whoever shows it."""
        return Signals(
            clock=self.clock,
            declared=lambda: self.declared,
            runs=self.probe_runs,
            warnings=self.warnings,
            inspections=self.inspections,
            alerts=self.inbox.alerts,
            roots=self.roots,
        )

    def probe_runs(self) -> ProbeRuns:
        """Of the estate in force."""
        return ProbeRuns(self.estate, self.clock, self.probes, self.declared, self._nodes.all())

    async def journal_quietly(self, type_: str, data: dict[str, Any]) -> None:
        """For what is worth a record, and not worth a failure."""
        if self.store.held():
            with contextlib.suppress(JournalError, LeadershipLostError):
                await self.journal.append(type_, data)
