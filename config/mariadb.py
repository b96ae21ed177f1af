"""Of the engine `mariadb`: what a service of MariaDB servers needs to be watched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from config.base import EstateModel, Name, Port
from config.credentials import Credential
from config.members import ReplicatedMember
from config.services import WatchedService

TableName = Annotated[str, Field(pattern=r"^([A-Za-z0-9_$-]{1,64}\.[A-Za-z0-9_$-]{1,64})?$")]


class MariadbSettings(EstateModel):
    """Of the engine `mariadb`."""

    monitor: Credential = Field(
        description="Account that looks; it needs SLAVE MONITOR (before 10.5: REPLICATION CLIENT)."
    )
    tls: Literal["disable", "prefer", "require"] = Field(
        "prefer", description="As the probe type `mariadb` has it."
    )
    write_table: TableName = Field(
        "",
        description="DATABASE.TABLE in which row 1 is written on the primary, with columns id (int, primary "
        "key), n and written_us (bigint); without it only reads are checked.",
    )


class MariadbMember(ReplicatedMember):
    """One server."""

    port: Port = Field(3306, description="Port of the server.")


class MariadbService(WatchedService):
    """One service of MariaDB servers that replicate by GTID."""

    engine: Literal["mariadb"] = Field(description="What the service is made of.")
    mariadb: MariadbSettings = Field(description="Settings of the engine.")
    members: Mapping[Name, MariadbMember] = Field(
        min_length=1, description="The servers: one primary and its replicas."
    )
