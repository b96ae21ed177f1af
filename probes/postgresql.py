"""Probe type `postgresql`: is this member alive, what is it, and how far is it?

Each attempt opens a fresh connection and reads the facts of `postgresql_facts`: a hung server keeps old
connections open (SIGSTOP), so only a fresh one counts. Beside it one idle connection is held, whose end tells
of a crash within milliseconds, and of how it ended (POSTGRESQL P13).
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from model.errors import BcmError
from model.observation import Failure, Layer
from probes.base import Probe, ProbeOptions, ProbePorts, Reading
from probes.disk_space import DiskSpace
from probes.pg_errors import PgError
from probes.pg_options import PgDoor, PgOptions
from probes.pg_readings import reading_of, reading_of_end
from probes.pg_session import PgSession
from probes.postgresql_facts import read_facts, read_slow_facts

SLOW_FACTS_EVERY = 20  # attempts; they change with restarts and installations, and cost a second round trip
DISK_EVERY_S = 5.0
DISK_SUSPECT_S = 1.0  # while the server fails: a full volume may be why
FALLBACK_DATABASE = "postgres"
_NO_DATABASE = "3D000"
# The canary's table is not there, or not for us: the member is read without it.
_NO_CANARY = frozenset({"42P01", "42501", "3F000", "42703"})
_PROMOTED_MEANWHILE = "55000"  # "recovery is not in progress": it was when the statement began


class PostgresqlOptions(PgOptions):
    """With node access: data_dir, wal_dir (pg_wal, if on a volume of its own), os_user who can read them."""

    data_dir: str | None = Field(None, description="Data directory on the node: its free space is watched.")
    wal_dir: str | None = Field(None, description="pg_wal, if it is on a volume of its own.")
    os_user: str | None = Field(None, description="Account on the node that can read them.")


class PostgresqlProbe(Probe):
    """One member: what it says of itself, and the room on its disks.

    Facts: `in_recovery`: it is a standby; `timeline`; `position`, what it has on disk of the log, in bytes
    since its beginning; `current_lsn` and `flush_lsn` of a primary, `receive_lsn` and `replay_lsn` of a
    standby, likewise; `replay_paused`, `apply_delay_ms`, `replay_idle`; `walreceiver`, `walreceiver_status`,
    `sender_host`, `sender_port`: from whom it streams; `standbys`, who streams from it; `sync_names`, its
    synchronous_standby_names; `default_read_only`; `canary_n`, the number in its canary row, null if it can't
    be read; `postmaster_start_us`, to tell restarts apart; `system_identifier`, `server_version_num`,
    `max_wal_senders`, `wal_log_hints`, `data_checksums`; `other_manager` that runs this cluster, null if none
    is seen; with node access `data_free_bytes`, `data_size_bytes`, `wal_free_bytes` and `wal_size_bytes`. How
    they are read: `probes/postgresql_facts.py`, `probes/disk_space.py`.
    """

    type: ClassVar[str] = "postgresql"
    layer: ClassVar[Layer] = Layer.APPLICATION
    Options = PostgresqlOptions
    concurrent: ClassVar[int] = 4

    def __init__(self, target: str, options: ProbeOptions, ports: ProbePorts) -> None:
        super().__init__(target, options, ports)
        assert isinstance(options, PostgresqlOptions)  # noqa: S101  # narrows the type
        self._door = PgDoor(options, ports)
        self._sessions: set[PgSession] = set()
        self._attempts = 0
        self._database: str | None = None
        self._canary_readable = True
        self._slow: dict[str, Any] = {}
        self._incarnation: tuple[str, int] | None = None
        self._timeline = 0
        self._disk = _disk_space(options, ports)

    async def check(self) -> Reading:
        reading = await self._check()
        if self._disk is None:
            return reading
        self._disk.refresh(DISK_EVERY_S if reading.failure is None else DISK_SUSPECT_S)
        return reading.adding(self._disk.facts)

    async def hold(self) -> Reading | None:
        session = self._new_session()
        try:
            await self._door.open(session)
            return reading_of_end(await session.wait_end())
        except (PgError, BcmError):
            return None  # the attempts tell what is wrong
        finally:
            self._let_go(session)

    def abandon(self) -> None:
        for session in list(self._sessions):
            session.abort()

    async def aclose(self) -> None:
        self.abandon()
        if self._disk is not None:
            await self._disk.aclose()

    async def _check(self) -> Reading:
        look_again = self._attempts % SLOW_FACTS_EVERY == 0
        if look_again:  # it may have been created meanwhile
            self._database, self._canary_readable = None, True
        self._attempts += 1
        session = self._new_session()
        try:
            await self._door.open(session)
            facts = await self._facts(session)
            if self._restarted(facts) or look_again or not self._slow:
                self._slow = await read_slow_facts(session)
        except BcmError as error:
            return Reading.unknown(Failure.LOCAL, error.what)
        except PgError as error:
            if error.sqlstate == _NO_DATABASE and self._database is None:
                return await self._check_without_canary()
            return reading_of(error)
        finally:
            self._let_go(session)
        facts["timeline"] = self._latest_timeline(facts)
        return Reading.ok(self._note(facts), **facts, **self._slow)

    async def _check_without_canary(self) -> Reading:
        """Before its database is there, the member is read all the same."""
        self._database, self._canary_readable = FALLBACK_DATABASE, False
        return await self._check()

    async def _facts(self, session: PgSession) -> dict[str, Any]:
        """Raises PgError. The statement is tried again where its error says what was wrong with it."""
        try:
            return await read_facts(session, canary=self._canary_readable)
        except PgError as error:
            if error.sqlstate in _NO_CANARY and self._canary_readable:
                self._canary_readable = False
            elif error.sqlstate != _PROMOTED_MEANWHILE:
                raise
        return await read_facts(session, canary=self._canary_readable)

    def _restarted(self, facts: dict[str, Any]) -> bool:
        """Is this another server, or the same one started again?"""
        incarnation = (facts["system_identifier"], facts["postmaster_start_us"])
        if incarnation == self._incarnation:
            return False
        self._incarnation = incarnation
        self._timeline = 0
        return True

    def _latest_timeline(self, facts: dict[str, Any]) -> int:
        """The highest that this server has shown since it was started: a receiver that is taken away takes
        its timeline along, and the control file follows only with the next restart point."""
        self._timeline = max(self._timeline, facts["timeline"])
        return self._timeline

    def _note(self, facts: dict[str, Any]) -> str:
        if facts["canary_n"] is None:
            return "the canary can't be read: see `bcm-failover init --grants postgresql`"
        return ""

    def _new_session(self) -> PgSession:
        session = self._door.session(self._database)
        self._sessions.add(session)
        return session

    def _let_go(self, session: PgSession) -> None:
        self._sessions.discard(session)
        session.abort()


def _disk_space(options: PostgresqlOptions, ports: ProbePorts) -> DiskSpace | None:
    if ports.node is None or options.data_dir is None:
        return None
    # pg_wal may be a link to another volume.
    wal_dir = options.wal_dir or f"{options.data_dir.rstrip('/')}/pg_wal"
    paths = {"data": options.data_dir, "wal": wal_dir}
    return DiskSpace(ports.node, ports.clock, paths, options.os_user)
