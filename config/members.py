"""A member: one instance of a service on a node."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from config.base import AbsolutePath, Address, EstateModel, Flag, KeyedName, Name, Port


class MemberRole(StrEnum):
    PRIMARY = "primary"
    STANDBY = "standby"
    DR = "dr"


class Control(StrEnum):
    """How a member's server is started and stopped."""

    SYSTEMD = "systemd"
    PG_CTLCLUSTER = "pg_ctlcluster"
    PG_CTL = "pg_ctl"


class Member(EstateModel):
    """One server."""

    name: KeyedName = Field("", exclude=True)
    node: Name = Field(description="One of `nodes`.")
    role: MemberRole = Field(
        description="primary (exactly one: where the service is at home), standby, or dr (at a dr site)."
    )
    host: Address = Field("", description="Address of the server; the node's, if empty.")
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
    excluded: Flag = Field(False, description="Never a candidate, though it counts as a copy.")
    preference: Annotated[int, Field(strict=True)] = Field(
        100, description="Lower is preferred among candidates of one site role."
    )

    @property
    def control_kind(self) -> Control:
        return Control(self.control.partition(":")[0])

    @property
    def control_target(self) -> str:
        """The unit, or VERSION/CLUSTER; '' for pg_ctl."""
        return self.control.partition(":")[2]
