"""The daemon: wiring and lifecycle only. What it does lies in the rooms that it wires together."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog
import uvloop

from config.loader import LoadedEstate, load_estate
from config.schema import Estate, Service
from controller.adapters.clock import SystemClock
from controller.adapters.nodes import NodeAccesses
from controller.adapters.secrets import SecretStore
from controller.adapters.sql import SqlSessions
from controller.api.admin import AdminServer
from controller.api.public import HealthReport, PublicServer
from controller.control import DaemonControl
from controller.logs import configure_logging
from controller.metrics import render
from controller.notify.pager import Pager
from controller.observer import PREFIX, ObserverHealth
from controller.published import health_report, metrics_snapshot, routing
from controller.sdnotify import Notifier
from controller.store.sqlite import SqliteStore
from controller.supervisor.executor import Executor
from controller.supervisor.ledger import automatic_failovers
from controller.supervisor.probing import ProbeFactory
from controller.supervisor.supervisor import Supervisor, World
from controller.supervisor.tap import TappedJournal
from controller.watching import Watching
from model import events as ev
from model.errors import BcmError, EstateError, HeldError, JournalError
from model.observation import Observation
from probes.scheduler import Scheduler
from runbooks.actions.base import ActionPorts

log = structlog.get_logger(__name__)

VERSION = version("bcm-failover")
# How long a stop waits for an execution that is under way: a failover that is begun is better ended. What is
# still open then is resumed at the next start.
DRAIN_S = 20.0
# Without progress of the scheduler for this long the watchdog is not fed: half of a usual WatchdogSec.
STUCK_S = 5.0


def run(config: Path, *, log_format: str = "console") -> int:
    """Until SIGTERM or SIGINT. Returns the exit code; raises BcmError if it can't start."""
    configure_logging(log_format)
    loaded = load_estate(config)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Daemon(loaded).serve())


class Daemon:
    """One process on one state directory."""

    def __init__(self, loaded: LoadedEstate) -> None:
        self._loaded = loaded
        self._clock = SystemClock()
        self._started_s = self._clock.monotonic_s()
        self._notifier = Notifier.from_environment()
        self._supervisors: dict[str, Supervisor] = {}
        self._loops: dict[str, asyncio.Task[None]] = {}
        self._estate_error: str | None = None
        self._stop = asyncio.Event()
        self._scheduler = Scheduler(self._clock, loaded.estate.daemon.name, self._observed)
        self._observer = ObserverHealth(loaded.estate.daemon.reference_targets)

    @property
    def estate(self) -> Estate:
        return self._loaded.estate

    async def serve(self) -> int:
        """Start, run until told to stop, and stop in order: no new action, no half-done step unjournaled."""
        settings = self.estate.daemon
        self._store = SqliteStore.open(settings.state_dir, owner=settings.name, clock=self._clock)
        try:
            await self._start()
            self._notifier.ready()
            log.info("ready", version=VERSION, services=list(self._supervisors), leader=self._store.held())
            async with asyncio.TaskGroup() as group:
                feeding = group.create_task(self._feed_watchdog(), name="watchdog")
                await self._stop.wait()
                feeding.cancel()
            return 0
        finally:
            await self._shut_down()

    async def _start(self) -> None:
        settings, secrets = self.estate.daemon, SecretStore()
        self._journal = TappedJournal(self._store)
        self._nodes = NodeAccesses(self.estate, secrets)
        self._secrets = secrets
        self._sql = SqlSessions(self.estate, secrets)
        self._pager = Pager(self.estate.pager, self._journal, self._clock)
        self._executor = Executor(self._action_ports(), lambda: self.estate)
        self._watching = self._new_watching()
        if self._store.held():
            await self._journal.append(
                ev.DAEMON_STARTED, {"version": VERSION, "estate_digest": self._loaded.digest}
            )
        else:
            log.warning("observing only: this process does not hold the state directory", why=self._store.why)
        self._pager.start()
        for service in self.estate.services.values():
            self._supervise(service)
        self._watching.watch_hosts()
        self._admin = AdminServer(
            DaemonControl(self._supervisors, self._clock, about=self.about, reload=self.reload),
            estate=lambda: self.estate,
            read_events=self._store.events,
            socket=settings.socket,
            group=settings.socket_group,
        )
        self._journal.listen(lambda _event: self._admin.feed.wrote())
        self._public = PublicServer(
            settings.http,
            health=self._health,
            routing=lambda service: routing(self._supervisors.get(service)),
            render_metrics=lambda: render(metrics_snapshot(self)),
        )
        await self._admin.start()
        await self._public.start()
        log.info("listening", socket=str(settings.socket), http_port=self._public.port)
        self._handle_signals()

    def _health(self) -> HealthReport:
        return health_report(
            self._supervisors,
            leads=self._store.held(),
            why_not=self._store.why,
            problem=self._store.problem,
            progress_age_s=self._clock.monotonic_s() - self._scheduler.progress_s,
            stuck_after_s=STUCK_S,
        )

    def _action_ports(self) -> ActionPorts:
        return ActionPorts(
            clock=self._clock,
            journal=self._journal,
            lease=self._store,
            sql=self._sql,
            secrets=self._secrets,
            node=self._nodes.access,
        )

    def _new_watching(self) -> Watching:
        factory = ProbeFactory(self.estate, self._clock, self._secrets)
        return Watching(self._scheduler, factory, self.estate, self._nodes.all())

    # --- supervisors

    def _supervise(self, service: Service) -> None:
        supervisor = Supervisor(self._world(), self.estate, service)
        self._supervisors[service.name] = supervisor
        self._watching.watch_service(service)
        self._loops[service.name] = asyncio.create_task(supervisor.run(), name=f"supervisor-{service.name}")

    async def _unsupervise(self, name: str) -> None:
        supervisor, loop = self._supervisors.pop(name), self._loops.pop(name)
        loop.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await loop
        await self._watching.unwatch_service(supervisor.service)

    def _world(self) -> World:
        return World(
            clock=self._clock,
            journal=self._journal,
            lease=self._store,
            executor=self._executor,
            page=self._pager.page,
            sign=self._store.sign_head,
            boot_id=self._store.boot_id,
            version=VERSION,
            digest=self._loaded.digest,
            state_dir=self.estate.daemon.state_dir,
            budget_left=self._budget_left,
            broken_dependencies=self._broken_dependencies,
            watch_primary=self._watch_primary,
        )

    async def _watch_primary(self, service: Service, primary: str | None) -> None:
        await self._watching.watch_primary(service, primary)

    def _budget_left(self) -> int:
        budget = self.estate.daemon.failover_budget
        since_ns = int((self._clock.wall_s() - budget.per) * 1e9)
        opened = self._store.events(types=(ev.EXECUTION_OPENED,))
        return budget.count - automatic_failovers(opened, since_ns)

    def _broken_dependencies(self, service: Service) -> tuple[str, ...]:
        broken = []
        for name in service.depends_on:
            judged = self._supervisors[name].judged if name in self._supervisors else None
            if judged and judged.diagnosis.confirmed and judged.diagnosis.info.level is not None:
                broken.append(name)
        return tuple(broken)

    def _observed(self, seen: Observation) -> None:
        kind, _, rest = seen.target.partition("/")
        if f"{kind}/" == PREFIX:
            self._observer.observe(seen)
        elif kind == "node":
            for supervisor in self._supervisors.values():
                if any(m.node == rest for m in supervisor.service.members.values()):
                    supervisor.observe(seen)
            return
        supervisor_ = self._supervisors.get(kind)
        if supervisor_ is not None:
            supervisor_.observer(*self._observer.judge(seen.ended_s))
            supervisor_.observe(seen)

    # --- lifecycle

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._on_hup)

    def _on_hup(self) -> None:
        async def reload() -> None:
            with contextlib.suppress(BcmError):  # told by status, log and journal
                await self.reload()

        self._reloading = asyncio.create_task(reload(), name="reload")

    async def reload(self) -> dict[str, Any]:
        """Read the estate anew; with errors the old one stays, and status shows them."""
        self._notifier.reloading()
        try:
            loaded = load_estate(self._loaded.path)
            self._refuse_unsafe(loaded.estate)
        except BcmError as error:
            self._estate_error = str(error)
            log.error("estate not reloaded", error=str(error))  # noqa: TRY400
            problems = list(error.problems) if isinstance(error, EstateError) else [error.what]
            with contextlib.suppress(JournalError):
                await self._journal.append(
                    ev.ESTATE_REJECTED, {"path": str(self._loaded.path), "problems": problems}
                )
            raise
        finally:
            self._notifier.ready()
        await self._apply(loaded)
        return {"digest": loaded.digest, "services": list(self._supervisors)}

    def _refuse_unsafe(self, estate: Estate) -> None:
        busy = [name for name, s in self._supervisors.items() if s.busy]
        if busy:
            raise HeldError(
                f"an execution is running for {', '.join(busy)}", gate="execution", hint="reload after it"
            )
        fixed = ("state_dir", "socket", "http", "name")
        changed = [f for f in fixed if getattr(estate.daemon, f) != getattr(self.estate.daemon, f)]
        if changed:
            raise EstateError(f"daemon.{changed[0]} can't change while it runs", hint="restart the daemon")

    async def _apply(self, loaded: LoadedEstate) -> None:
        for name in list(self._supervisors):
            await self._unsupervise(name)
        await self._watching.unwatch_hosts()
        self._loaded, self._estate_error = loaded, None
        self._nodes = NodeAccesses(loaded.estate, self._secrets)
        self._sql = SqlSessions(loaded.estate, self._secrets)
        self._executor = Executor(self._action_ports(), lambda: self.estate)
        self._observer = ObserverHealth(loaded.estate.daemon.reference_targets)
        self._watching = self._new_watching()
        if self._store.held():
            await self._journal.append(ev.ESTATE_LOADED, {"digest": loaded.digest, "path": str(loaded.path)})
        for service in loaded.estate.services.values():
            self._supervise(service)
        self._watching.watch_hosts()
        log.info("estate reloaded", digest=loaded.digest, services=list(self._supervisors))

    async def _feed_watchdog(self) -> None:
        """Only while the scheduler makes progress: a daemon that does not look is worse than none."""
        every_s = (self._notifier.watchdog_s or 2 * STUCK_S) / 3
        while True:
            if self._clock.monotonic_s() - self._scheduler.progress_s < STUCK_S:
                self._notifier.watchdog()
            await self._clock.sleep(every_s)

    async def _shut_down(self) -> None:
        self._notifier.stopping()
        running = [s.running for s in self._supervisors.values() if s.running is not None]
        if running:
            log.info("waiting for executions", count=len(running), at_most_s=DRAIN_S)
            await asyncio.wait(running, timeout=DRAIN_S)
        steps: list[Coroutine[Any, Any, Any]] = []
        if hasattr(self, "_public"):
            steps += [self._public.stop(), self._admin.stop()]
        steps += [self._unsupervise(name) for name in list(self._supervisors)]
        steps.append(self._scheduler.aclose())
        if hasattr(self, "_pager"):
            steps.append(self._pager.aclose())
        for step in steps:
            with contextlib.suppress(Exception):
                await step
        with contextlib.suppress(JournalError):
            await self._store.append(ev.DAEMON_STOPPED, {"reason": "asked to stop"})
        self._store.close()

    def about(self) -> dict[str, Any]:
        """The daemon's part of `status`."""
        return {
            "name": self.estate.daemon.name,
            "version": VERSION,
            "leader": self._store.held(),
            "why_not_leader": None if self._store.held() else self._store.why,
            "epoch": self._store.epoch,
            "estate_digest": self._loaded.digest,
            "estate_error": self._estate_error,
            "journal_ok": self._store.problem is None,
            "journal_problem": self._store.problem,
            "uptime_s": int(self._clock.monotonic_s() - self._started_s),
            "http_port": self._public.port if hasattr(self, "_public") else None,
        }
