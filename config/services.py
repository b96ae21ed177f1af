"""A service: what the business depends on, with its objectives, its engine's settings and its members."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from config.approvals import ServiceApproval
from config.base import AbsolutePath, EstateModel, KeyedName, Name
from config.durations import PositiveSeconds, Seconds
from config.members import Member
from config.secrets import SecretRef
from model.health import PROFILES, Profile


class ServiceMode(StrEnum):
    OBSERVE = "observe"
    ASK = "ask"
    ACT = "act"


class Importance(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    CRITICAL = "critical"


class Objectives(EstateModel):
    """What the business has set."""

    rto: PositiveSeconds = Field(60.0, description="Recovery time objective: outage to verified recovery.")
    rpo: Seconds = Field(
        0.0,
        description="Recovery point objective: data that may be lost. 0s: nothing is promoted without proof.",
    )
    mtpd: PositiveSeconds = Field(
        14400.0, description="Maximum tolerable period of disruption; not shorter than the RTO."
    )


class DsnEndpoint(EstateModel):
    """Clients reach the service through a multi-host DSN with target_session_attrs=read-write."""

    type: Literal["dsn"] = Field("dsn", description="The kind of endpoint.")
    order: tuple[Name, ...] = Field(
        (), description="Members in the order in which clients try them; all of them, if empty."
    )


# The server's limit is 63 bytes; a control character would end a comment in the SQL that is printed.
SqlName = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,63}$")]


class Credential(EstateModel):
    """A database role and where its password is."""

    user: SqlName = Field(description="Name of the database role.")
    password: SecretRef | None = Field(None, description="Without it: peer, certificate or trust.")


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


class Service(EstateModel):
    """One service."""

    name: KeyedName = Field("", exclude=True)
    engine: Literal["postgresql"] = Field(description="What the service is made of.")
    # S7: a new service is watched before it is trusted.
    mode: ServiceMode = Field(
        ServiceMode.OBSERVE,
        description="observe (says what it would do), ask (prepares, a person approves) or act.",
    )
    approval: ServiceApproval = Field(
        ServiceApproval(), description="What an approval needs, beside what the level asks."
    )
    importance: Importance = Field(
        Importance.NORMAL, description="To the business: low, normal, high, critical."
    )
    objectives: Objectives = Field(Objectives(), description="RTO, RPO, MTPD.")
    profile: Literal["fast", "balanced", "careful"] = Field(
        "balanced",
        description="How soon silence counts as an outage, against the stalls that are ridden out.",
    )
    # An hour: what took the primary away the first time is found and mended by then, or known to people.
    no_return: Seconds = Field(
        3600.0,
        description="So long after a failover its old primary takes over again only when a person agrees. "
        "0s: at once.",
    )
    depends_on: tuple[Name, ...] = Field((), description="Services that this one needs.")
    endpoint: DsnEndpoint = Field(DsnEndpoint(), description="How clients reach the service.")
    manager: Literal["none"] = Field(
        "none", description="Another manager that runs the service; with one found, `act` is refused (P10)."
    )
    description: str = Field("", description="For people.")
    postgresql: PostgresqlSettings = Field(description="Settings of the engine.")
    members: Mapping[Name, Member] = Field(
        min_length=2, description="The servers: one primary and at least one more."
    )

    @property
    def detection(self) -> Profile:
        return PROFILES[self.profile]

    def member_by_application_name(self, application_name: str) -> Member | None:
        """Compared without case, as the server does."""
        wanted = application_name.lower()
        return next((m for m in self.members.values() if m.application_name.lower() == wanted), None)
