"""What probes see of simulated servers and hosts: as `probes.postgresql`, its canary and `probes.icmp` do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from controller.simulate.network import Host
from controller.simulate.postgres import NAMES, READ_ONLY, Backend, Postgres
from controller.simulate.probing import PLANNED, Answer, Prober, Probing
from controller.simulate.statements import canary_read
from controller.simulate.timeline import Entry
from controller.views import CANARY, PG
from model.health import Profile
from model.observation import Failure, Outcome
from probes.base import Reading
from probes.postgresql_facts import standby_position

_FORK_S: Final = 0.002
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
        self._patience = self.probing.at(due_s, partial(self._judge, answer), PLANNED)

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
