"""A PostgreSQL server, as far as failover goes: processes, log, commits, settings, sessions.

What it does is what was seen on real servers (POSTGRESQL P1 to P17). Streaming between servers is in
`replication`, the statements that it understands in `statements`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from controller.simulate.network import Host
from controller.simulate.replication import Standby, Stream, confirmed_lsn
from controller.simulate.wal import FULL_BYTES, Branch, Write

if TYPE_CHECKING:
    from controller.simulate.world import World

RECORD: Final = 96  # bytes of log that a commit makes
NAMES: Final = "synchronous_standby_names"
CONNINFO: Final = "primary_conninfo"
READ_ONLY: Final = "default_transaction_read_only"
DELAY: Final = "recovery_min_apply_delay"
ROOMY_BYTES: Final = 40 << 30
DISK_BYTES: Final = 100 << 30
# A reload reaches the processes within a millisecond or two.
RELOAD_S: Final = 0.0015
START_S: Final = 0.12
# A write and its fsync on a disk that is well.
DISK_S: Final = 0.0004
RECOVERY_S: Final = 0.33
SHUTDOWN_S: Final = 0.05
MANAGER_S: Final = 0.1
# What may be on its way to a standby that keeps up.
_NEAR: Final = 4 * RECORD

# done(sqlstate): None: acknowledged; "": the connection ended, and nobody knows.
Done = Callable[[str | None], None]


class Process(StrEnum):
    DOWN = "down"
    STARTING = "starting"
    STOPPING = "stopping"
    UP = "up"


@dataclass(eq=False, slots=True)
class Backend:
    """A session on the server's side. tell: what its client hears when the server ends it (`crash`, `admin`),
    at once and not over the network. waiting: the commit that it waits for."""

    pid: int
    application: str
    user: str
    client_host: str
    tell: Callable[[str], None]
    owner: object = None
    locked: bool = False
    waiting: Done | None = None


@dataclass(eq=False, slots=True)
class Commit:
    write: Write
    done: Done
    backend: Backend | None


class Postgres:
    """One member. Its data outlive its processes; `life` counts its starts."""

    def __init__(self, world: World, name: str, application_name: str, host: Host, branch: Branch) -> None:
        self.world = world
        self.name = name
        self.service = ""
        self.application_name = application_name
        self.host = host
        # --- on disk
        self.branch = branch
        self.flush_lsn = 0
        self.standby_signal = False
        self.conf: dict[str, str] = {}
        self.empty = False
        self.clean = True
        self.checkpointed: Branch = branch
        self.kept_copy: tuple[Branch, int] | None = None
        self._free_bytes = ROOMY_BYTES
        self.roomy_s = 0.0  # when there was room again
        self.stopped_s = -1.0  # when an administrator last asked it to stop
        # --- processes
        self.process = Process.DOWN
        self.life = 0
        self.started_s = 0.0
        self.went_on_s = 0.0  # when it last woke from standing still
        self.stopped_by_signal = False
        self.signals = 0  # how often it was stopped by one
        self.destroyed: tuple[Branch, int] | None = None  # what was on the disk that was replaced
        self.postmaster_stopped = False
        self.parked: list[Callable[[], None]] = []
        self.backends: dict[int, Backend] = {}
        self.live: dict[str, str] = {}
        self.in_recovery = False
        self.full_connections = False
        self.refuses_monitor = False
        self.other_manager: str | None = None
        self.disk_s = DISK_S
        # --- as a primary, and as an upstream
        self.senders: list[Stream] = []
        self.waiting: list[Commit] = []
        self.last_acknowledged = 0
        # --- as a standby
        self.standby = Standby(self)
        # --- its service manager
        self.restarts_in_place = False
        self.masked = False
        self.start_fails = False

    # --- running

    @property
    def free_bytes(self) -> int:
        """On its volume."""
        return self._free_bytes

    @free_bytes.setter
    def free_bytes(self, left: int) -> None:
        if self._free_bytes <= FULL_BYTES < left:
            self.roomy_s = self.world.timeline.now_s
        self._free_bytes = left

    @property
    def running(self) -> bool:
        return self.process is not Process.DOWN

    @property
    def frozen(self) -> bool:
        return self.stopped_by_signal or self.host.paused

    @property
    def writable(self) -> bool:
        """Could it acknowledge a client's write, if somebody confirms it?"""
        return (
            self.process is Process.UP
            and self.host.up
            and not self.frozen
            and not self.in_recovery
            and self.live.get(READ_ONLY) != "on"
            and self.free_bytes > FULL_BYTES
        )

    def do(self, work: Callable[[], None]) -> None:
        """By a process of this server: now, or when it goes on. Nothing if it is gone."""
        if not self.running or not self.host.up:
            return
        if self.frozen:
            self.parked.append(self._of_this_life(work))
        else:
            work()

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        """By a process of this server, after some time of its own."""
        guarded = self._of_this_life(work)
        self.world.timeline.after(seconds, lambda: self.do(guarded))

    def _of_this_life(self, work: Callable[[], None]) -> Callable[[], None]:
        life = self.life

        def guarded() -> None:
            if self.life == life and self.running:
                work()

        return guarded

    def go_on(self) -> None:
        """It was frozen, and is not any more."""
        if self.frozen:
            return
        self.went_on_s = self.world.timeline.now_s
        parked, self.parked = self.parked, []
        for work in parked:
            work()

    def start(self) -> None:
        """As a standby if its data say so, else as a primary."""
        if self.running or not self.host.up or self.empty or self.start_fails:
            return
        self.life += 1
        self.process = Process.STARTING
        self.stopped_by_signal = self.postmaster_stopped = False
        self.parked.clear()
        self.live = dict(self.conf)
        self.in_recovery = self.standby_signal
        crashed = not self.clean
        self.clean = False
        self.later(START_S + (RECOVERY_S if crashed else 0.0), self._started)

    def _started(self) -> None:
        if self.free_bytes <= FULL_BYTES and not self.in_recovery:
            self.crash()  # its own recovery needs room: it panics
            return
        self.process = Process.UP
        self.started_s = self.world.timeline.now_s
        self.world.audit.came_up(self)
        for other in self.world.servers(self.service):
            other.standby.upstream_restarted(self)
        if self.in_recovery:
            self.standby.started()

    def crash(self, *, silent: bool = False) -> None:
        """All of its processes are gone. silent: with its host, which tells nobody."""
        if not self.running:
            return
        self._end_processes("" if silent else "crash")
        self.clean = False
        if self.restarts_in_place and not self.masked and self.host.up:
            self.world.timeline.after(MANAGER_S, self._restarted_by_manager)

    def _restarted_by_manager(self) -> None:
        if not self.masked:
            self.start()

    def stop(self, mode: str = "fast") -> None:
        """Asked to stop; it ends its sessions with a word. A server that stands still does not hear it."""
        if self.process is Process.DOWN or self.frozen:
            return
        if self.process is Process.STARTING or mode == "immediate":
            self._end_processes("crash" if mode == "immediate" else "admin")
            self.clean = mode != "immediate" and self.clean
            return
        if self.process is Process.STOPPING:
            return
        self.process = Process.STOPPING
        self.stopped_s = self.world.timeline.now_s
        for backend in list(self.backends.values()):
            self._end_backend(backend, "admin")
        self.waiting.clear()
        if not self.in_recovery:
            self._log_checkpoint()
        # A standby that can't be reached keeps its sender, and the sender the shutdown.
        self.later(SHUTDOWN_S, self._shut_down)

    def _shut_down(self) -> None:
        behind = [s for s in self.senders if s.acked_lsn < self.flush_lsn]
        if behind and not self.in_recovery:
            self.later(SHUTDOWN_S, self._shut_down)
            return
        self._end_processes("admin")
        self.clean = True

    def _log_checkpoint(self) -> None:
        self.flush_lsn += RECORD
        for stream in self.senders:
            stream.ship()

    def _end_processes(self, how: str) -> None:
        """how: `crash`, `admin`, or '' if nobody hears of it."""
        self.process = Process.DOWN
        self.life += 1
        backends, self.backends = list(self.backends.values()), {}
        self.waiting.clear()
        self.parked.clear()
        for backend in backends:
            self._say_ended(backend, how)
        self.standby.server_ended(silent=how == "")
        senders, self.senders = self.senders, []
        for stream in senders:
            stream.upstream_ended(silent=how == "")

    # --- sessions

    def admit(
        self,
        application: str,
        user: str,
        client_host: str,
        tell: Callable[[str], None],
        owner: object = None,
    ) -> Backend | str:
        """A backend, or the SQLSTATE of the refusal. The postmaster lives and is not stopped."""
        if self.process is Process.STARTING or self.process is Process.STOPPING:
            return "57P03"
        if self.full_connections and not application.startswith("bcm-failover:lock"):
            return "53300"
        if self.refuses_monitor and user == "bcm_monitor":
            return "28P01"
        pid = self.world.next_pid()
        backend = Backend(pid, application, user, client_host, tell, owner)
        self.backends[pid] = backend
        return backend

    def terminate(self, pid: int) -> bool:
        backend = self.backends.get(pid)
        if backend is None:
            return False
        self._end_backend(backend, "admin")
        return True

    def client_gone(self, pid: int) -> None:
        """Its client has closed: a backend that waits for a standby notices only afterwards."""
        backend = self.backends.get(pid)
        if backend is not None and backend.waiting is None:
            del self.backends[pid]

    def drop_silently(self, backend: Backend) -> None:
        """Its connection is closed by something between it and its client; the server is well."""
        self.backends.pop(backend.pid, None)
        self._say_ended(backend, "crash")

    def _end_backend(self, backend: Backend, how: str) -> None:
        self.backends.pop(backend.pid, None)
        self.waiting = [c for c in self.waiting if c.backend is not backend]
        self._say_ended(backend, how)

    def _say_ended(self, backend: Backend, how: str) -> None:
        if how:
            self.world.network.send(self.host.name, backend.client_host, lambda: backend.tell(how))

    # --- writing

    def commit(self, kind: str, number: int, done: Done, backend: Backend | None, client: str = "") -> None:
        """done: called on this server; the answer's way back is the caller's."""
        if self.in_recovery or self.live.get(READ_ONLY) == "on":
            done("25006")
        elif self.free_bytes <= FULL_BYTES:
            if kind == "client":
                self.crash()  # a full pg_wal makes the server panic (P16)
            else:
                done("53100")
        else:
            if backend is not None:
                backend.waiting = done
            sent_s = self.world.timeline.now_s
            self.later(self.disk_s, lambda: self._written(kind, number, done, backend, client, sent_s))

    def _written(
        self, kind: str, number: int, done: Done, backend: Backend | None, client: str, sent_s: float
    ) -> None:
        if self.in_recovery or (backend is not None and backend.pid not in self.backends):
            return
        self.flush_lsn += RECORD
        write = Write(self.branch, self.flush_lsn, kind, number, client, sent_s)
        if kind == "canary":
            positions, numbers = self.branch.canaries
            positions.append(write.lsn)
            numbers.append(number)
        for stream in self.senders:
            stream.ship()
        self.waiting.append(Commit(write, done, backend))
        self.release()

    def release(self) -> None:
        """Acknowledge what enough standbys have confirmed."""
        if not self.waiting or self.in_recovery:
            return
        names = self.live.get(NAMES, "")
        confirmed = self.flush_lsn if not names else confirmed_lsn(names, self.senders)
        while self.waiting and self.waiting[0].write.lsn <= confirmed:
            commit = self.waiting.pop(0)
            if commit.backend is not None:
                commit.backend.waiting = None
            self.last_acknowledged = commit.write.lsn
            self.world.audit.acknowledged(self, commit.write)
            commit.done(None)

    def wait_of(self, pid: int) -> str:
        """What the backend waits for: SyncRep, IO or ''."""
        backend = self.backends.get(pid)
        if backend is None or backend.waiting is None:
            return ""
        return "SyncRep" if any(c.backend is backend for c in self.waiting) else "IO"

    # --- a quiet stretch

    @property
    def calm(self) -> bool:
        """It runs well, and does what it always does."""
        standby = self.standby
        return (
            self.process is Process.UP
            and self.host.up
            and not (self.frozen or self.postmaster_stopped or self.full_connections or self.refuses_monitor)
            and self.disk_s == DISK_S
            and self.free_bytes > FULL_BYTES
            and self.live == self.conf
            and all(self.flush_lsn - s.acked_lsn <= _NEAR for s in self.senders)
            and (not self.in_recovery or (standby.stream is not None and not standby.stuck))
        )

    @property
    def at_rest(self) -> bool:
        """Besides, nothing is under way in it, and who streams from it has all that it has."""
        standby = self.standby
        return (
            self.calm
            and not (self.waiting or self.parked)
            and all(s.acked_lsn == self.flush_lsn for s in self.senders)
            and (not self.in_recovery or standby.replay_lsn == standby.reported_lsn == self.flush_lsn)
        )

    def grown(self, commits: int) -> None:
        """So many commits later, all of them confirmed by everybody."""
        self.flush_lsn += commits * RECORD
        for stream in self.senders:
            stream.shipped_lsn = stream.acked_lsn = self.flush_lsn
        if self.in_recovery:
            self.standby.reported_lsn = self.standby.replay_lsn = self.flush_lsn
        else:
            self.last_acknowledged = self.flush_lsn

    # --- settings

    def reload(self) -> None:
        self.later(RELOAD_S, self._reloaded)

    def _reloaded(self) -> None:
        before = self.live
        self.live = dict(self.conf)
        if self.in_recovery:
            self.standby.reloaded()
        elif before.get(NAMES) != self.live.get(NAMES):
            self.release()

    # --- promotion

    def promoted(self) -> None:
        """It leaves recovery: the end of `Standby.promote`."""
        self.branch = self.branch.fork(self.flush_lsn)
        self.in_recovery = False
        self.standby_signal = False
        self.flush_lsn += RECORD
        self.live = dict(self.conf)
        self.world.audit.promoted(self)
        for stream in list(self.senders):
            stream.ship()
