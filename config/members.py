"""A member: one instance of a service on a node."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, field_validator

from config.base import Address, EstateModel, Flag, KeyedName, Name, Port


class MemberRole(StrEnum):
    PRIMARY = "primary"
    STANDBY = "standby"
    DR = "dr"
    POOL = "pool"


class Member(EstateModel):
    """One instance. What its engine needs beside this is in a class of its own."""

    name: KeyedName = Field("", exclude=True)
    node: Name = Field(description="One of `nodes`.")
    role: MemberRole = Field(description="Where it stands in the service.")
    host: Address = Field("", description="Address of the server; the node's, if empty.")
    port: Port | None = Field(None, description="Port of the server.")
    excluded: Flag = Field(False, description="Never a candidate, though it counts as a copy.")
    preference: Annotated[int, Field(strict=True)] = Field(
        100, description="Lower is preferred among candidates of one site role."
    )

    @property
    def address(self) -> str:
        """For people: HOST:PORT, or the host alone."""
        return self.host if self.port is None else f"{self.host}:{self.port}"


Control = Annotated[str, Field(pattern=r"^(systemd:[A-Za-z0-9@_.:\\-]+|pidfile:/[^\x00-\x1f]+)?$")]


class ReplicatedMember(Member):
    """One server of a service in which one is primary and the others follow it."""

    role: MemberRole = Field(
        description="primary (exactly one: where the service is at home), standby, or dr (at a dr site)."
    )

    @field_validator("role")
    @classmethod
    def _no_pool(cls, role: MemberRole) -> MemberRole:
        if role is MemberRole.POOL:
            raise ValueError("pool is a role of engine http; here it is primary, standby or dr")
        return role


class StoppableMember(ReplicatedMember):
    """One server whose process can be ended on its node."""

    control: Control = Field(
        "",
        description="How the server is stopped on its node, to fence it: systemd:UNIT or pidfile:PATH. "
        "Without it only a server that answers, or that is gone, can be fenced.",
    )
    os_user: str = Field(
        "",
        description="Account that may stop it on the node, for pidfile; the account of the node access, "
        "if empty.",
    )
