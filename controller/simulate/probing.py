"""Probes as events of the world: the pace and the verdicts of the real scheduler, without a task for each.

When an attempt begins, bursts, overlaps and relaxes is the real `probes.scheduler_watch`; what the attempt
sees is asked of the simulated servers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from controller.simulate.loop import VirtualLoop
from controller.simulate.network import Host
from controller.simulate.postgres import NAMES, READ_ONLY, Backend, Postgres
from controller.simulate.statements import canary_read
from controller.simulate.timeline import Entry, Rhythm
from controller.views import CANARY, PG
from model.health import Profile
from model.observation import Failure, Observation, Outcome
from probes.awareness import Awareness
from probes.base import Probe, Reading
from probes.postgresql_facts import standby_position
from probes.scheduler_timing import Pace, own_lag_spoils
from probes.scheduler_watch import Attempt, Watch

if TYPE_CHECKING:
    from controller.simulate.world import World

_FORK_S: Final = 0.002
_PLANNED: Final = Rhythm()
_OF_SQLSTATE: Final = {
    "57P03": Reading.failed(Failure.STARTING, "57P03: the database system is starting up"),
    "53300": Reading.failed(Failure.SATURATED, "53300: sorry, too many clients already"),
    "28P01": Reading.unknown(Failure.CREDENTIALS, "28P01: password authentication failed"),
    "25006": Reading.failed(Failure.READ_ONLY, "25006: read-only transaction"),
    "53100": Reading.failed(Failure.DISK_FULL, "53100: no space left on device"),
}
_REFUSED: Final = Reading.failed(Failure.REFUSED, "connection refused")
_CLOSED: Final = Reading.failed(Failure.CLOSED, "the server closed the connection without a word")
_STOPPING: Final = Reading.failed(
    Failure.STOPPING, "57P01: terminating connection due to administrator command"
)
_SYNC: Final = Reading.failed(Failure.SYNC_BLOCKED, "the write waits for a synchronous standby")
_IO: Final = Reading.failed(Failure.IO_BLOCKED, "the write waits for the disk")

Answer = Callable[[Reading], None]


class _Kind:
    """Of a watch, all that it asks of its probe."""

    def __init__(self, type_: str) -> None:
        self.type = type_


class Prober:
    """One probe of one target, by one observer."""

    concurrent = 4
    holds = False

    def __init__(
        self, probing: Probing, target: str, type_: str, profile: Profile, interval_s: float
    ) -> None:
        self.probing = probing
        now_s = probing.now_s()
        pace = Pace(f"{target}/{type_}", profile, interval_s, self.concurrent)
        self.watch = Watch(target, cast("Probe", _Kind(type_)), pace, last_start_s=now_s)
        self._start: Entry | None = None
        self._plans = 0
        self._paused = False
        self._expiries: dict[int, Entry] = {}
        self._holding = False
        self._held_s = float("-inf")
        self.plan(now_s)

    # --- what a kind of probe does

    def begin(self, answer: Answer) -> None:
        """Look, and give the reading when it has come back, if it ever does."""
        raise NotImplementedError

    def hold(self, ended: Callable[[Reading], None], lost: Callable[[], None]) -> None:
        """Hold a connection. lost: it could not be opened."""

    def dropped(self) -> None:
        """An attempt was let go of."""

    # --- as the scheduler does

    def plan(self, now_s: float) -> None:
        if self._paused:
            return
        watch = self.watch
        due_s = watch.next_start_s(now_s, self.probing.awareness.score)
        if due_s == watch.due_s and self._start is not None:
            return
        if self._start is not None:
            self._start.cancel()
            self._start = None
        watch.due_s = due_s
        if due_s is not None:
            self._plans += 1
            self._start = self.probing.at(due_s, partial(self._started, self._plans), _PLANNED)

    def _started(self, plan: int) -> None:
        """Of a plan that was given up while the process stood still nothing comes."""
        if plan != self._plans or self._start is None or self.watch.removed:
            return
        self._start = None
        self.watch.due_s = None
        self._begin(self.probing.now_s())

    def _begin(self, now_s: float) -> None:
        watch = self.watch
        timeout_s = watch.pace.timeout_s(watch.bursting(now_s), self.probing.awareness.score)
        attempt = Attempt(now_s, timeout_s, self.probing.late_s)
        watch.waiting.append(attempt)
        watch.last_start_s = now_s
        expire = partial(self._expire, attempt)
        self._expiries[id(attempt)] = self.probing.at(attempt.deadline_s, expire, _PLANNED)
        self.begin(partial(self._answered, attempt))
        self.plan(now_s)

    def _answered(self, attempt: Attempt, reading: Reading) -> None:
        """Called in the observer's process."""
        watch, now_s = self.watch, self.probing.now_s()
        if watch.removed:
            return
        if attempt in watch.waiting:
            lag_s = self.probing.late_s - attempt.lag_mark_s
            if lag_s > attempt.timeout_s:
                reading = _late_ourselves(lag_s)
            self._conclude(attempt, reading, now_s)
        elif attempt in watch.overdue:
            watch.overdue.remove(attempt)
            self._take_back_expiry(attempt)
            if reading.shows_life and attempt.started_s > watch.newest_life_s:
                watch.newest_life_s = attempt.started_s
                self.probing.awareness.saw(watch.target, reading)
                self.probing.deliver(self, reading, attempt.started_s, now_s, late=True)

    def _expire(self, attempt: Attempt) -> None:
        watch, now_s = self.watch, self.probing.now_s()
        if watch.removed or attempt not in watch.waiting:
            return
        lag_s = self.probing.late_s - attempt.lag_mark_s
        if own_lag_spoils(lag_s, attempt.timeout_s):
            self.dropped()
            self._conclude(attempt, _late_ourselves(lag_s), now_s)
            return
        if len(watch.overdue) < watch.most_overdue:
            watch.overdue.append(attempt)
            give_up = partial(self._give_up, attempt)
        else:
            self.dropped()
            give_up = None
        silent = Reading.failed(Failure.SILENT, f"no answer within {attempt.timeout_s:g} s")
        self._conclude(attempt, silent, now_s)
        if give_up is not None:
            self._expiries[id(attempt)] = self.probing.at(now_s + watch.pace.overdue_s, give_up)

    def _give_up(self, attempt: Attempt) -> None:
        self._expiries.pop(id(attempt), None)
        if attempt in self.watch.overdue:
            self.watch.overdue.remove(attempt)
            self.dropped()

    def _conclude(self, attempt: Attempt, reading: Reading, now_s: float) -> None:
        watch = self.watch
        watch.waiting.remove(attempt)
        self._take_back_expiry(attempt)
        watch.learn(reading, attempt.started_s, now_s)
        self.probing.awareness.saw(watch.target, reading)
        self.probing.deliver(self, reading, attempt.started_s, now_s)
        if watch.removed:
            return
        if reading.outcome is Outcome.SUCCEEDED:
            self._hold(now_s)
        self.plan(now_s)

    def _take_back_expiry(self, attempt: Attempt) -> None:
        expiry = self._expiries.pop(id(attempt), None)
        if expiry is not None:
            expiry.cancel()

    def _hold(self, now_s: float) -> None:
        if self.holds and not self._holding and now_s - self._held_s >= self.watch.pace.interval_s:
            self._held_s = now_s
            self._holding = True
            self.hold(self._hold_ended, self._hold_lost)

    def _hold_lost(self) -> None:
        self._holding = False

    def _hold_ended(self, reading: Reading) -> None:
        self._holding = False
        now_s = self.probing.now_s()
        if not self.watch.removed:
            self.probing.deliver(self, reading, now_s, now_s)
            self.look_now(now_s)

    def look_now(self, now_s: float) -> None:
        watch = self.watch
        watch.suspect(now_s)
        if not watch.removed and len(watch.waiting) < watch.pace.concurrent:
            self._begin(now_s)

    # --- a quiet stretch

    @property
    def at_rest(self) -> bool:
        """Nothing of it is under way, and the next attempt is one of its calm series."""
        return self.calm and not self.watch.waiting

    @property
    def calm(self) -> bool:
        """It does what it always does."""
        watch = self.watch
        return watch.burst_since_s is None and not watch.overdue and (self._holding or not self.holds)

    def facts_now(self) -> dict[str, Any]:
        """What an attempt that succeeds now would read."""
        return {}

    def pause(self) -> None:
        """Begin nothing."""
        self._paused = True
        if self._start is not None:
            self._start.cancel()
            self._start = self.watch.due_s = None

    def go_on(self, from_s: float) -> int:
        """After a pause that began at `from_s`, of the monotonic clock: how many attempts that left out."""
        self._paused = False
        now_s, slots = self.probing.now_s(), self.watch.pace.slots
        self.plan(now_s)
        return slots.number_after(now_s) - slots.number_after(from_s)

    def remove(self) -> None:
        self.watch.removed = True
        if self._start is not None:
            self._start.cancel()


class Probing:
    """All probes of one observer, on one host, in one process."""

    def __init__(
        self, world: World, loop: VirtualLoop, host: Host, name: str, seen: Callable[[Observation], None]
    ) -> None:
        self.world = world
        self.loop = loop
        self.host = host
        self.name = name
        self.awareness = Awareness()
        self.late_s = 0.0
        self._seen = seen
        self._probers: dict[tuple[str, str], Prober] = {}

    def now_s(self) -> float:
        """Monotonic, of the process."""
        return self.loop.time()

    def at(self, at_s: float, do: Callable[[], None], rhythm: Rhythm | None = None) -> Entry:
        """In the process, at a moment of its monotonic clock."""
        return self.world.timeline.at(at_s - self.loop.offset_s, lambda: self.loop.hear(do), rhythm)

    def ask(self, server_host: str, arrive: Callable[[], None]) -> None:
        self.world.network.send(self.host.name, server_host, arrive)

    def tell(self, server_host: str, hear: Callable[[], None]) -> None:
        """Back from there to the process."""
        self.world.network.send(server_host, self.host.name, lambda: self.loop.hear(hear))

    def add(self, prober: Prober) -> None:
        self._probers[prober.watch.target, prober.watch.type] = prober

    def all(self) -> list[Prober]:
        return list(self._probers.values())

    def of(self, target: str, type_: str) -> Prober | None:
        return self._probers.get((target, type_))

    def watches(self, target: str, type_: str) -> bool:
        return (target, type_) in self._probers

    def suspect(self, target: str) -> None:
        """Look at once, and in a burst."""
        for (watched, _type), prober in list(self._probers.items()):
            if watched == target:
                prober.look_now(self.now_s())

    def remove(self, target: str, type_: str) -> None:
        prober = self._probers.pop((target, type_), None)
        if prober is not None:
            prober.remove()

    def deliver(
        self, prober: Prober, reading: Reading, started_s: float, ended_s: float, *, late: bool = False
    ) -> None:
        self._seen(
            Observation(
                target=prober.watch.target,
                probe=prober.watch.type,
                observer=self.name,
                outcome=reading.outcome,
                started_s=started_s,
                ended_s=ended_s,
                wall_s=0.0,
                failure=reading.failure,
                detail=reading.detail,
                facts=reading.facts,
                late=late,
            )
        )


class PostgresProber(Prober):
    """Type `postgresql`."""

    holds = True

    def __init__(self, probing: Probing, target: str, profile: Profile, server: Postgres) -> None:
        self.server = server
        self._node_seen_s = float("-inf")
        self._disk: dict[str, int] = {}
        super().__init__(probing, target, PG, profile, profile.interval_s)

    def begin(self, answer: Answer) -> None:
        server, probing = self.server, self.probing
        self._look_at_disk()

        def arrived() -> None:
            if not server.running:
                reply(_REFUSED)
            elif not server.postmaster_stopped:
                server.do(lambda: server.later(_FORK_S, read))

        def read() -> None:
            admitted = server.admit(
                "bcm-failover:probe", "bcm_monitor", probing.host.name, _nobody, probing.loop
            )
            if isinstance(admitted, Backend):
                server.client_gone(admitted.pid)
                reply(Reading.ok("", **member_facts(server)))
            else:
                reply(_OF_SQLSTATE[admitted])

        def reply(reading: Reading) -> None:
            probing.tell(server.host.name, lambda: answer(reading.adding(self._disk)))

        probing.ask(server.host.name, arrived)

    def _look_at_disk(self) -> None:
        """Through node access, beside the attempt: a failed one knows it too (P16)."""
        probing, server = self.probing, self.server
        if not probing.world.node_access or not probing.world.network.open(
            probing.host.name, server.host.name
        ):
            return
        if not server.host.paused:
            size = probing.world.disk_bytes
            self._disk = {
                "data_free_bytes": server.free_bytes,
                "data_size_bytes": size,
                "wal_free_bytes": server.free_bytes,
                "wal_size_bytes": size,
            }

    def facts_now(self) -> dict[str, Any]:
        return member_facts(self.server) | self._disk

    def hold(self, ended: Callable[[Reading], None], lost: Callable[[], None]) -> None:
        hold_session(self.probing, self.server, ended, lost)


def hold_session(
    probing: Probing, server: Postgres, ended: Callable[[Reading], None], lost: Callable[[], None]
) -> None:
    def heard(how: str) -> None:
        probing.loop.hear(lambda: ended(_CLOSED if how == "crash" else _STOPPING))

    def admit() -> None:
        admitted = server.admit("bcm-failover:hold", "bcm_monitor", probing.host.name, heard, probing.loop)
        if not isinstance(admitted, Backend):
            probing.tell(server.host.name, lost)

    def arrived() -> None:
        if not server.running:
            probing.tell(server.host.name, lost)
        elif not server.postmaster_stopped:
            server.do(lambda: server.later(_FORK_S, admit))

    probing.ask(server.host.name, arrived)


class CanaryProber(Prober):
    """Type `postgresql-canary`: one write at a time is under way."""

    concurrent = 1
    holds = True

    def __init__(
        self, probing: Probing, target: str, profile: Profile, server: Postgres, patience_s: float
    ) -> None:
        self.server = server
        self._patience_s = patience_s
        self._acknowledged = 0
        self._pid: int | None = None
        self._write = 0
        self._under_way = False
        self._waiting: Answer | None = None
        self._patience: Entry | None = None
        super().__init__(probing, target, CANARY, profile, profile.canary_interval_s)

    def begin(self, answer: Answer) -> None:
        self._waiting = answer
        if not self._under_way:
            self._send()
        self._forget_patience()
        due_s = self.probing.now_s() + self._patience_s
        self._patience = self.probing.at(due_s, partial(self._judge, answer), _PLANNED)

    def _forget_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    @property
    def at_rest(self) -> bool:
        return super().at_rest and not self._under_way and self._pid in self.server.backends

    def go_on(self, from_s: float) -> int:
        left_out = super().go_on(from_s)
        self._acknowledged += left_out
        return left_out

    def facts_now(self) -> dict[str, Any]:
        return canary_facts(self.server, self._acknowledged)

    @property
    def acknowledged(self) -> int:
        """The number of the last canary that was."""
        return self._acknowledged

    def dropped(self) -> None:
        """The socket is shut: the write goes on at the server, and nobody waits for it."""
        self._under_way = False
        self._write += 1
        self._pid = None

    def _send(self) -> None:
        server, probing = self.server, self.probing
        self._under_way = True
        self._write += 1
        this = self._write

        def arrived() -> None:
            if not server.running:
                reply(_REFUSED)
            elif not server.postmaster_stopped or self._pid in server.backends:
                server.do(lambda: server.later(0.0003 if self._pid else _FORK_S, admitted))

        def admitted() -> None:
            backend = server.backends.get(self._pid or 0)
            if backend is None:
                found = server.admit(
                    "bcm-failover:canary", "bcm_monitor", probing.host.name, self._session_over, probing.loop
                )
                if not isinstance(found, Backend):
                    reply(_OF_SQLSTATE[found])
                    return
                backend = found
                self._pid = backend.pid
            number = max(canary_read(server), self._acknowledged) + 1
            facts = canary_facts(server, number)
            server.commit("canary", number, partial(committed, facts), backend, "canary")

        def committed(facts: dict[str, Any], sqlstate: str | None) -> None:
            reply(Reading.ok("", **facts) if sqlstate is None else _OF_SQLSTATE[sqlstate])

        def reply(reading: Reading) -> None:
            probing.tell(server.host.name, partial(self._replied, this, reading))

        probing.ask(server.host.name, arrived)

    def _replied(self, this: int, reading: Reading) -> None:
        if this != self._write or not self._under_way:
            return
        self._under_way = False
        self._forget_patience()
        if reading.outcome is Outcome.SUCCEEDED:
            self._acknowledged = max(self._acknowledged, int(reading.facts["canary_n"]))
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting(reading)

    def _session_over(self, how: str) -> None:
        self.probing.loop.hear(partial(self._heard_end, how))

    def _heard_end(self, how: str) -> None:
        self._pid = None
        if self._under_way:
            self._replied(self._write, _CLOSED if how == "crash" else _STOPPING)

    def _judge(self, answer: Answer) -> None:
        """A second connection looks what the write waits for (P15)."""
        if self._waiting is not answer or not self._under_way:
            return
        server, probing, pid = self.server, self.probing, self._pid

        def arrived() -> None:
            if server.running and not server.postmaster_stopped:
                server.do(lambda: server.later(_FORK_S, look))

        def look() -> None:
            admitted = server.admit(
                "bcm-failover:judge", "bcm_monitor", probing.host.name, _nobody, probing.loop
            )
            if not isinstance(admitted, Backend):
                probing.tell(server.host.name, partial(said, _OF_SQLSTATE[admitted]))
                return
            server.client_gone(admitted.pid)
            event = server.wait_of(pid) if pid is not None else ""
            if event:
                probing.tell(server.host.name, partial(said, _SYNC if event == "SyncRep" else _IO))

        def said(reading: Reading) -> None:
            if self._waiting is answer:
                self._waiting = None
                answer(reading)

        probing.ask(server.host.name, arrived)

    def hold(self, ended: Callable[[Reading], None], lost: Callable[[], None]) -> None:
        hold_session(self.probing, self.server, ended, lost)


class PingProber(Prober):
    """Type `icmp`, of a node; and `tcp`, of a reference target, where a host that is up listens."""

    def __init__(self, probing: Probing, target: str, type_: str, profile: Profile, host: Host) -> None:
        self._host = host
        super().__init__(probing, target, type_, profile, profile.interval_s)

    def begin(self, answer: Answer) -> None:
        host, probing = self._host, self.probing
        if (probing.host.name, host.name) in probing.world.network.cut or not host.up:
            return  # nobody sends a ping again
        probing.ask(host.name, lambda: probing.tell(host.name, lambda: answer(Reading.ok(""))))


def member_facts(server: Postgres) -> dict[str, Any]:
    """As `probes.postgresql_facts` reads them."""
    standby, recovery = server.standby, server.in_recovery
    facts: dict[str, Any] = {
        "in_recovery": recovery,
        "system_identifier": server.branch.system,
        "timeline": server.branch.number,
        "current_lsn": None if recovery else server.flush_lsn,
        "flush_lsn": None if recovery else server.flush_lsn,
        "receive_lsn": standby.reported_lsn if recovery else None,
        "replay_lsn": standby.replay_lsn if recovery else None,
        "replay_paused": standby.paused if recovery else None,
        "apply_delay_ms": int(server.live.get("recovery_min_apply_delay", "0")),
        "replay_idle": standby.idle if recovery else None,
        "walreceiver": standby.receiver,
        "walreceiver_status": standby.status or None,
        "sender_host": standby.sender_host,
        "sync_names": server.live.get(NAMES, ""),
        "default_read_only": server.live.get(READ_ONLY) == "on",
        "postmaster_start_us": int(server.started_s * 1e6),
        "canary_n": canary_read(server),
        "server_version_num": 150000,
        "max_wal_senders": 10,
        "wal_log_hints": True,
        "data_checksums": True,
        "other_manager": server.other_manager,
    }
    facts["position"] = standby_position(facts) if recovery else server.flush_lsn
    if not recovery:
        facts["standbys"] = [
            {
                "application_name": s.application_name,
                "state": "streaming",
                "sync_state": "quorum",
                "flush_lsn": s.acked_lsn,
                "replay_lsn": s.acked_lsn,
                "client_addr": None,
                "pid": i,
            }
            for i, s in enumerate(server.senders)
        ]
    return facts


def canary_facts(server: Postgres, number: int) -> dict[str, Any]:
    return {
        "canary_n": number,
        "sync_names": server.live.get(NAMES, ""),
        "synchronous_commit": "on",
        "fsync": True,
        "in_recovery": server.in_recovery,
        "current_lsn": server.flush_lsn,
        "timeline": server.branch.number,
    }


def _nobody(_how: str) -> None:
    pass


def _late_ourselves(lag_s: float) -> Reading:
    return Reading.unknown(Failure.LOCAL, f"this process was late by {lag_s * 1000:.0f} ms")
