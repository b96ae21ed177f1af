"""Of the engine `redis`: what a service of Redis servers needs to be watched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.base import EstateModel, Flag, Name, Port
from config.members import ReplicatedMember
from config.secrets import SecretRef
from config.services import WatchedService


class RedisSettings(EstateModel):
    """Of the engine `redis`."""

    user: str = Field("", description="ACL user that looks; the default user, if empty.")
    password: SecretRef | None = Field(None, description="Where that user's password is.")
    tls: Flag = Field(False, description="Speak TLS.")
    write_key: Annotated[str, Field(max_length=200)] = Field(
        "",
        description="Key that is written on the primary and read back; nobody else may use it. Without it "
        "only reads are checked.",
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.user and self.password is None:
            raise ValueError("a `user` has a `password`")
        return self


class RedisMember(ReplicatedMember):
    """One server."""

    port: Port = Field(6379, description="Port of the server.")


class RedisService(WatchedService):
    """One service of Redis servers: a primary and its replicas. Not a cluster of shards."""

    engine: Literal["redis"] = Field(description="What the service is made of.")
    redis: RedisSettings = Field(RedisSettings(), description="Settings of the engine.")
    members: Mapping[Name, RedisMember] = Field(
        min_length=1, description="The servers: one primary and its replicas."
    )
