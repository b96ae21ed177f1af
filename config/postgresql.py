"""Of the engine `postgresql`: its settings, its members, and how its clients reach it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from config.base import AbsolutePath, EstateModel, Name, Port
from config.credentials import Credential, SqlName
from config.durations import PositiveSeconds
from config.endpoints import DatabaseEndpoint, DsnEndpoint
from config.members import ReplicatedMember
from config.services import Service


class PostgresqlRoles(EstateModel):
    """Three roles with separate secrets (P18). `bcm-failover init --grants postgresql` prints their SQL."""

    monitor: Credential = Field(description="Reads state and writes the canary.")
    control: Credential = Field(description="Detaches, fences and promotes.")
    replication: Credential = Field(description="Standbys stream, rewind and copy with it.")


class PostgresqlSettings(EstateModel):
    """Of the engine `postgresql`."""

    database: SqlName = Field("postgres", description="Database of the locks; exists on every member.")
    canary_database: SqlName = Field("bcm_canary", description="A database of its own for the canary (P15).")
    roles: PostgresqlRoles = Field(description="The product's three database roles.")
    synchronous_standby_names: str = Field(
        "", description="The setting that is intended, as PostgreSQL writes it; empty: asynchronous."
    )
    sslmode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = Field(
        "prefer", description="As in libpq."
    )
    sslrootcert: AbsolutePath | None = Field(None, description="As in libpq; for verify-ca and verify-full.")
    when_single_copy: Literal["block", "degrade"] | None = Field(
        None,
        description="With no standby left: block writes (default with RPO 0) or acknowledge on one copy.",
    )
    on_admin_stop: Literal["hold", "failover"] = Field(
        "hold", description="After an administrator's stop of the primary that outlasts the grace."
    )
    # P6: the longest that a tentative detach may stop a healthy primary's writes.
    detach_ttl: PositiveSeconds = Field(
        3.0, description="After a failed proof the standbys are re-attached within this time (P6)."
    )
    # P11: a standby that is re-pointed streams within a fraction of a second.
    reattach_wait: PositiveSeconds = Field(
        5.0, description="How long a new primary waits for a standby before it counts as alone (P11)."
    )
    rejoin: Literal["auto", "ask"] = Field(
        "auto", description="A returning old primary is rewound and rejoined by itself, or on request."
    )


class Control(StrEnum):
    """How a member's server is started and stopped."""

    SYSTEMD = "systemd"
    PG_CTLCLUSTER = "pg_ctlcluster"
    PG_CTL = "pg_ctl"


class PostgresqlMember(ReplicatedMember):
    """One server."""

    port: Port = Field(5432, description="Port of the server.")
    application_name: str = Field(
        "",
        description="Of this member as a standby, as synchronous_standby_names spells it; the member's "
        "name, if empty. One per member, compared without case.",
    )
    data_dir: AbsolutePath = Field(description="Data directory on the node.")
    wal_dir: AbsolutePath | None = Field(
        None, description="pg_wal, if it is on a volume of its own: its free space is watched too."
    )
    bin_dir: AbsolutePath = Field(description="Directory of pg_ctl, pg_rewind and pg_basebackup on the node.")
    control: str = Field(
        pattern=r"^(systemd:[A-Za-z0-9@_.:\\-]+|pg_ctlcluster:\d+/[A-Za-z0-9_.-]+|pg_ctl)$",
        description="How the server is started and stopped: systemd:UNIT, pg_ctlcluster:VERSION/CLUSTER "
        "or pg_ctl.",
    )
    os_user: str = Field("postgres", min_length=1, description="Account that runs the server.")
    passfile: AbsolutePath | None = Field(
        None, description="Password file of the replication role on the node; ~os_user/.pgpass, if not given."
    )
    slot: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,63}$")] | None = Field(
        None,
        description="Physical replication slot that this member uses on its upstream: lower-case letters, "
        "digits, '_'.",
    )
    log_file: AbsolutePath | None = Field(None, description="Server log, for control pg_ctl.")

    @property
    def control_kind(self) -> Control:
        return Control(self.control.partition(":")[0])

    @property
    def control_target(self) -> str:
        """The unit, or VERSION/CLUSTER; '' for pg_ctl."""
        return self.control.partition(":")[2]


class PostgresqlService(Service):
    """One service of PostgreSQL."""

    engine: Literal["postgresql"] = Field(description="What the service is made of.")
    endpoint: DatabaseEndpoint = Field(
        DsnEndpoint(), description="How clients reach the service: type dsn, haproxy, vip or dns."
    )
    manager: Literal["none"] = Field(
        "none", description="Another manager that runs the service; with one found, `act` is refused (P10)."
    )
    postgresql: PostgresqlSettings = Field(description="Settings of the engine.")
    members: Mapping[Name, PostgresqlMember] = Field(
        min_length=2, description="The servers: one primary and at least one more."
    )

    @property
    def tried_in_order(self) -> tuple[str, ...]:
        """Members in the order in which clients with a DSN try them."""
        order = self.endpoint.order if isinstance(self.endpoint, DsnEndpoint) else ()
        return order or tuple(self.members)

    def member_by_application_name(self, application_name: str) -> PostgresqlMember | None:
        """Compared without case, as the server does."""
        wanted = application_name.lower()
        return next((m for m in self.members.values() if m.application_name.lower() == wanted), None)


def of_postgresql(service: Service) -> PostgresqlService:
    """For what is made for this engine alone. Raises TypeError for a service of another one."""
    if not isinstance(service, PostgresqlService):
        raise TypeError(f"{service.name} is made of {service.engine}, not of postgresql")
    return service
