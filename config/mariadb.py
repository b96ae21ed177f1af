"""Of the engine `mariadb`: what a service of MariaDB servers needs to be watched, moved and mended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from config.base import EstateModel, Flag, Name, Port
from config.credentials import Credential
from config.durations import PositiveSeconds
from config.members import StoppableMember
from config.services import Service, with_grace
from model.health import Profile

TableName = Annotated[str, Field(pattern=r"^([A-Za-z0-9_$-]{1,64}\.[A-Za-z0-9_$-]{1,64})?$")]


class MariadbSettings(EstateModel):
    """Of the engine `mariadb`."""

    monitor: Credential = Field(
        description="Account that looks; it needs SLAVE MONITOR (before 10.5: REPLICATION CLIENT)."
    )
    control: Credential | None = Field(
        None, description="Account that changes roles and settings; without it everything is done by hand."
    )
    replication: Credential | None = Field(
        None, description="Account with which a member replicates from another (REPLICATION SLAVE)."
    )
    semi_sync: Flag = Field(
        True,
        description="A commit waits for a replica (rpl_semi_sync, AFTER_SYNC): a new primary is told to. "
        "Without it nothing is proven after a crash.",
    )
    # A day: whoever has to be waited for longer is known to people, and no lost primary is left alone so
    # long.
    semi_sync_timeout: PositiveSeconds = Field(
        86400.0,
        description="rpl_semi_sync_master_timeout that a new primary is given: so long a commit waits for a "
        "replica. From 1h on a primary whose replicas have left it counts as fenced.",
    )
    when_single_copy: Literal["block", "degrade"] = Field(
        "block",
        description="A new primary that nobody follows: block (its writes wait for a replica) or degrade (it "
        "goes on with a single copy, until a replica is back).",
    )
    # A server that is shut down says nothing to its clients: from outside it looks like one that has crashed.
    restart_grace: PositiveSeconds | None = Field(
        None,
        description="So long a refusal may be a restart and no crash; as the profile says, if not given.",
    )
    rejoin: Literal["auto", "ask"] = Field(
        "auto",
        description="An old primary that returns is made a replica by itself, or on request. One that has "
        "transactions which nobody else has is left for people either way.",
    )
    tls: Literal["disable", "prefer", "require"] = Field(
        "prefer", description="As the probe type `mariadb` has it."
    )
    write_table: TableName = Field(
        "",
        description="DATABASE.TABLE in which row 1 is written on the primary, with columns id (int, primary "
        "key), n and written_us (bigint); without it only reads are checked.",
    )


class MariadbMember(StoppableMember):
    """One server."""

    port: Port = Field(3306, description="Port of the server.")


class MariadbService(Service):
    """One service of MariaDB servers that replicate by GTID."""

    engine: Literal["mariadb"] = Field(description="What the service is made of.")
    mariadb: MariadbSettings = Field(description="Settings of the engine.")
    members: Mapping[Name, MariadbMember] = Field(
        min_length=1, description="The servers: one primary and its replicas."
    )

    @property
    def detection(self) -> Profile:
        return with_grace(super().detection, self.mariadb.restart_grace)
