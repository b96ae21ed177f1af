"""The daemon: a station with its doors (admin socket, HTTP port), signals, and the service manager."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import structlog
import uvloop

from config.loader import LoadedEstate
from config.schema import Estate
from controller import estate_file
from controller.adapters.clock import SystemClock
from controller.api.admin import AdminServer
from controller.api.public import HealthReport, PublicServer
from controller.collector import calm_collector
from controller.control import DaemonControl
from controller.journal_totals import JournalTotals
from controller.logs import configure_logging
from controller.metrics_snapshot import metrics_job
from controller.published import health_report, public_doors, routing
from controller.sdnotify import Notifier
from controller.station import VERSION, Station
from controller.store.sqlite import SqliteStore
from model import events as ev
from model.errors import BcmError, EstateError

log = structlog.get_logger(__name__)

# Without progress of the scheduler for this long the watchdog is not fed, and health is "stuck".
STUCK_S = 5.0


def run(config: Path, *, log_format: str = "console") -> int:
    """Until SIGTERM or SIGINT. Returns the exit code; raises BcmError if it can't start."""
    configure_logging(log_format)
    loaded = estate_file.load(config)
    calm_collector()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve(loaded))


async def serve(loaded: LoadedEstate) -> int:
    settings, clock = loaded.estate.daemon, SystemClock()
    store = SqliteStore.open(settings.state_dir, owner=settings.name, clock=clock)
    try:
        return await Daemon(Station(loaded, store, clock)).serve()
    finally:
        store.close()


class Daemon:
    """One process on one state directory."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._started_s = station.clock.monotonic_s()
        self._notifier = Notifier.from_environment()
        station.watchdog_s = self._notifier.watchdog_s
        self._estate_error: str | None = None
        self._stop = asyncio.Event()
        self._reloading: asyncio.Task[None] | None = None
        self._one_reload = asyncio.Lock()
        settings = station.estate.daemon
        self._admin = AdminServer(
            DaemonControl(
                station.supervisors,
                station.clock,
                about=self.about,
                reload=self.reload,
                signals=station.signals(),
                incidents=station.incidents(),
            ),
            estate=lambda: station.estate,
            read_events=station.journal.events,
            socket=settings.socket,
            group=settings.socket_group,
        )
        routes, closing = public_doors(station)
        totals = JournalTotals(station.journal)
        self._public = PublicServer(
            settings.http,
            health=self._health,
            routing=lambda service: routing(station.supervisors.get(service)),
            metrics=lambda: metrics_job(station, totals),
            more=routes,
            closing=closing,
        )

    async def serve(self) -> int:
        """Start, run until told to stop, and stop in order."""
        station = self._station
        try:
            await self._start()
            self._notifier.ready()
            feeding = asyncio.create_task(self._feed_watchdog(), name="watchdog")
            await self._stop.wait()
            feeding.cancel()
            return 0
        finally:
            self._notifier.stopping()
            await self._admin.stop()
            await self._public.stop()
            await station.stop()
            await station.journal_quietly(ev.DAEMON_STOPPED, {"reason": "asked to stop"})

    async def _start(self) -> None:
        station = self._station
        self._handle_signals()
        await self._admin.start()
        await self._public.start()
        if not station.store.held():
            log.warning("observing only", why=station.store.problem)
        digest = station.loaded.digest
        await station.journal_quietly(ev.DAEMON_STARTED, {"version": VERSION, "estate_digest": digest})
        station.journal.listen(lambda _event: self._admin.feed.wrote())
        station.start()
        log.info(
            "ready",
            version=VERSION,
            services=list(station.supervisors),
            leader=station.store.held(),
            socket=str(station.estate.daemon.socket),
            http_port=self._public.port,
        )

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._on_hup)

    def _on_hup(self) -> None:
        async def reload() -> None:
            try:
                await self.reload()
            except BcmError:
                pass  # told by status, log and journal
            except Exception:
                log.exception("the estate could not be reloaded")

        self._reloading = asyncio.create_task(reload(), name="reload")

    async def reload(self) -> dict[str, Any]:
        """Read the estate anew; with errors the old one stays, and status shows them. Raises BcmError."""
        async with self._one_reload:
            return await self._reload()

    async def _reload(self) -> dict[str, Any]:
        station = self._station
        self._notifier.reloading()
        try:
            loaded = estate_file.load(station.loaded.path)
            self._refuse_unsafe(loaded.estate)
            await station.apply(loaded)
        except BcmError as error:
            self._estate_error = str(error)
            log.error("estate not reloaded", error=str(error))  # noqa: TRY400
            problems = list(error.problems) if isinstance(error, EstateError) else [error.what]
            rejected = {"path": str(station.loaded.path), "problems": problems}
            await station.journal_quietly(ev.ESTATE_REJECTED, rejected)
            raise
        finally:
            self._notifier.ready()
        self._estate_error = None
        await station.journal_quietly(ev.ESTATE_LOADED, {"digest": loaded.digest, "path": str(loaded.path)})
        log.info("estate reloaded", digest=loaded.digest, services=list(station.supervisors))
        return {"digest": loaded.digest, "services": list(station.supervisors)}

    def _refuse_unsafe(self, estate: Estate) -> None:
        """What is bound to the process; what is under way is looked at by the station."""
        now = self._station.estate.daemon
        for field in ("state_dir", "socket", "socket_group", "http", "name"):
            if getattr(estate.daemon, field) != getattr(now, field):
                raise EstateError(f"daemon.{field} can't change while it runs", hint="restart the daemon")

    async def _feed_watchdog(self) -> None:
        """Only while the scheduler makes progress: a daemon that does not look is worse than none."""
        every_s = (self._notifier.watchdog_s or 2 * STUCK_S) / 3
        while True:
            if self._progress_age_s() < STUCK_S:
                self._notifier.watchdog()
            await self._station.clock.sleep(every_s)

    def _progress_age_s(self) -> float:
        return self._station.clock.monotonic_s() - self._station.scheduler.progress_s

    def _health(self) -> HealthReport:
        store = self._station.store
        return health_report(
            self._station.supervisors,
            leads=store.held(),
            problem=store.problem,
            progress_age_s=self._progress_age_s(),
            stuck_after_s=STUCK_S,
        )

    def about(self) -> dict[str, Any]:
        """The daemon's part of `status`."""
        station, store = self._station, self._station.store
        leads = store.held()
        return {
            "name": station.estate.daemon.name,
            "version": VERSION,
            "leader": leads,
            "why_not_leader": None if leads else store.problem,
            "epoch": store.epoch,
            "estate_digest": station.loaded.digest,
            "estate_error": self._estate_error,
            "journal_ok": leads and not store.problem,
            "uptime_s": int(station.clock.monotonic_s() - self._started_s),
            "http_port": self._public.port,
        }
