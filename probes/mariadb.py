"""Probe type `mariadb`: does a server let us in, read, and, where asked to, write; and what is it?

Each attempt opens a fresh connection: a hung server keeps old ones open (SIGSTOP). With `hold`, one more
idles beside them, whose end tells of a crash within milliseconds. MariaDB ends idle connections without a
word also when it is stopped (seen on 10.11), so that end alone does not tell a stop from a crash: the
attempts after it do.
"""

from __future__ import annotations

import ssl
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from config.durations import PositiveSeconds, Seconds, format_duration
from config.secrets import SecretRef
from model.errors import BcmError
from model.observation import Failure, Layer
from probes.addresses import Addresses
from probes.base import Probe, ProbeOptions, ProbePorts, Reading
from probes.mariadb_facts import read_facts, read_semi_sync
from probes.mariadb_write import CanaryRow, quoted_table
from probes.mysql_errors import MyError, reading_of, reading_of_end
from probes.mysql_session import MySession
from probes.tls_settings import TlsOptions, tls_context
from probes.trace import note

Table = Annotated[str, Field(pattern=r"^([A-Za-z0-9_$-]{1,64}\.[A-Za-z0-9_$-]{1,64})?$")]
# The longest that the server takes (a year): nobody ends the held connection for being idle.
_NEVER_IDLE = "SET SESSION wait_timeout = 31536000"


class MariadbOptions(TlsOptions):
    """Where the server is, who asks, and what is expected."""

    host: str = Field(description="Address or name of the server.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(3306, description="Port of the server.")
    user: str = Field(
        description="Account that looks. To see the replication it needs SLAVE MONITOR; before 10.5, "
        "REPLICATION CLIENT."
    )
    password: SecretRef | None = Field(None, repr=False, description="Where the account's password is.")
    tls: Literal["disable", "prefer", "require"] = Field(
        "prefer",
        description="`prefer`: if the server speaks it, with whatever certificate; `require`: always, and "
        "the certificate is checked unless `verify` is false.",
    )
    hold: bool = Field(True, description="Keep an idle connection open, whose end tells of a crash at once.")
    role: Literal["any", "primary", "replica"] = Field(
        "any",
        description="What it must be. A primary replicates from nobody and is not read-only; a replica has "
        "both threads running.",
    )
    max_behind: Seconds | None = Field(None, description="The furthest that a replica may be behind.")
    read_table: Table = Field("", description="DATABASE.TABLE of which one row is read, empty or not.")
    write_table: Table = Field(
        "",
        description="DATABASE.TABLE in which row 1 is written: columns id (int, primary key), n and "
        "written_us (bigint).",
    )
    write_within: PositiveSeconds = Field(
        0.5,
        description="A write that takes longer has failed, and it is said why. Below the probe's time-out.",
    )


class MariadbProbe(Probe):
    """One MariaDB server: login, a read, a write; its role and replication.

    Facts: `version`, `server_id`, `uptime_s`, `read_only`, `super_read_only`, `role` (primary: it has
    replicas; replica; standalone; none where the account may not see it), `gtid_binlog_pos`,
    `gtid_current_pos`, `gtid_slave_pos`, `gtid_binlog_state`, `gtid_domain_id`, `log_bin`,
    `log_replica_updates`, `threads_connected`, `threads_running`, `max_connections`,
    `replicas_connected`, `semi_sync_enabled`, `semi_sync_active`, `semi_sync_clients`,
    `semi_sync_wait_point`, `semi_sync_timeout_ms`, `semi_sync_wait_no_replica`, `semi_sync_replica_enabled`,
    `semi_sync_replica`; with `write_table` also `canary_n`, the number that was written. Of a replica also
    `io_running`, `sql_running`, `seconds_behind` and `sources`, a list of {name, host, port, io_running,
    sql_running, seconds_behind, delay_s, using_gtid, gtid_io_pos, user, io_error, sql_error}. With TLS:
    `certificate_ends_s`, seconds since 1970. What a version does not have is null.
    """

    type: ClassVar[str] = "mariadb"
    layer: ClassVar[Layer] = Layer.APPLICATION
    Options = MariadbOptions
    concurrent: ClassVar[int] = 4  # the writes of attempts that overlap go one after the other

    def __init__(self, target: str, options: ProbeOptions, ports: ProbePorts) -> None:
        super().__init__(target, options, ports)
        assert isinstance(options, MariadbOptions)  # noqa: S101  # narrows the type
        self._options = options
        self._addresses = Addresses(options.host, options.port, ports.clock)
        self._tls = mysql_tls(options, target)
        self._canary = (
            CanaryRow(quoted_table(options.write_table), options.write_within, ports.clock, self._open)
            if options.write_table
            else None
        )

    async def check(self) -> Reading:
        try:
            session = await self._open()
        except MyError as error:
            return reading_of(error)
        except BcmError as error:
            return Reading.unknown(Failure.LOCAL, error.what)
        try:
            return await self._look(session)
        finally:
            session.close()

    async def hold(self) -> Reading | None:
        if not self.keeps_connection:
            return None
        try:
            session = await self._open()
        except (MyError, BcmError):
            return None  # the attempts tell what is wrong
        try:
            await session.query(_NEVER_IDLE)
            return reading_of_end(await session.wait_end())
        except MyError:
            return None
        finally:
            session.close()

    async def _look(self, session: MySession) -> Reading:
        facts: dict[str, Any] = dict(session.certificate_facts)
        try:
            facts |= await read_facts(session)
            if self._options.read_table:
                await session.query(f"SELECT 1 FROM {quoted_table(self._options.read_table)} LIMIT 1")
                note("%s was read", self._options.read_table)
            blocked = None if self._canary is None else await self._write(session, self._canary, facts)
        except MyError as error:
            blocked = reading_of(error)
        except BcmError as error:
            blocked = Reading.unknown(Failure.LOCAL, error.what)
        if blocked is not None:
            return blocked.adding(facts)
        return self._judged(facts)

    async def _write(self, session: MySession, canary: CanaryRow, facts: dict[str, Any]) -> Reading | None:
        """The state of semi-sync is that after the write, which it shows to have been waited for."""
        blocked = await canary.write(session)
        if blocked is None:
            facts |= {"canary_n": canary.number, **await read_semi_sync(session)}
        return blocked

    def _judged(self, facts: dict[str, Any]) -> Reading:
        role = facts["role"]
        # A lag that can't be told makes no replica a bad one by itself.
        if role is None and (self._options.role != "any" or self._options.max_behind is not None):
            text = "the account may not see the replication: grant it SLAVE MONITOR"
            return Reading.unknown(Failure.CREDENTIALS, text, **facts)
        fault = self._wrong_role(facts) or (role == "replica" and self._too_far_behind(facts)) or ""
        if fault:
            note("judged: %s", fault)
            return Reading.failed(Failure.BAD_ANSWER, fault, **facts)
        detail = "the account may not see the replication" if role is None else role
        note("judged: good, %s", detail)
        return Reading.ok(detail, **facts)

    def _wrong_role(self, facts: dict[str, Any]) -> str:
        role = facts["role"]
        if self._options.role == "primary":
            if role == "replica":
                return "it is a replica, and should be the primary"
            return "it is read-only, and should be the primary" if facts["read_only"] else ""
        if self._options.role == "replica":
            return _broken(facts) if role == "replica" else f"it is {role}, and should be a replica"
        return ""

    def _too_far_behind(self, facts: dict[str, Any]) -> str:
        most_s = self._options.max_behind
        if most_s is None:
            return ""
        behind = facts["seconds_behind"]
        if behind is None:
            return _broken(facts) or "how far it is behind is not known"
        if behind > most_s:
            return f"it is {behind} s behind; {format_duration(most_s)} are allowed"
        return ""

    async def _open(self) -> MySession:
        """Raises MyError, and SecretError where the password can't be read."""
        reference = self._options.password
        password = "" if reference is None else self.ports.secrets.get(reference)
        try:
            addresses = await self._addresses.get()
        except OSError as exc:
            raise MyError(exc.strerror or str(exc), cause=exc) from None
        note("resolved %s: %s", self._options.host, ", ".join(address.host for address in addresses))
        return await MySession.open(
            addresses,
            self._options.user,
            password,
            tls=self._tls,
            server_name=self._options.server_name or self._options.host,
            tls_required=self._options.tls == "require",
        )


def _broken(facts: dict[str, Any]) -> str:
    """What does not run of a replica, and its last error."""
    for source in facts["sources"]:
        name = f" of source {source['name']!r}" if source["name"] else ""
        if not source["io_running"]:
            return f"the replication's IO thread{name} does not run: {source['io_error'] or 'no error'}"
        if not source["sql_running"]:
            return f"the replication's SQL thread{name} does not run: {source['sql_error'] or 'no error'}"
    return ""


def mysql_tls(options: MariadbOptions, target: str) -> ssl.SSLContext | None:
    if options.tls == "disable":
        return None
    if options.tls == "prefer":
        options = options.model_copy(update={"verify": False})
    return tls_context(options, target)
