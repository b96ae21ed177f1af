"""Of the engine `redis`: what a service of Redis servers needs to be watched, moved and mended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.base import EstateModel, Flag, Name, Port
from config.durations import PositiveSeconds
from config.endpoints import MovedEndpoint
from config.members import StoppableMember
from config.secrets import SecretRef
from config.services import Service, with_grace
from model.health import Profile

HostPort = Annotated[str, Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):\d{1,5}$")]
Replicas = Annotated[int, Field(ge=0, le=100, strict=True)]


class RedisAccount(EstateModel):
    """An ACL user and where its password is."""

    user: str = Field("", description="ACL user; the default user, if empty.")
    password: SecretRef | None = Field(None, description="Where that user's password is.")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.user and self.password is None:
            raise ValueError("a `user` has a `password`")
        return self


class SentinelSettings(EstateModel):
    """The Redis Sentinels that run the service: this product then only asks them (S14)."""

    master: str = Field(
        pattern=r"^[A-Za-z0-9._-]{1,64}$", description="Name of the service to the Sentinels."
    )
    addresses: tuple[HostPort, ...] = Field(min_length=1, description="HOST:PORT of each Sentinel.")
    account: RedisAccount = Field(RedisAccount(), description="Account at the Sentinels.")


class RedisSettings(EstateModel):
    """Of the engine `redis`."""

    user: str = Field("", description="ACL user that looks; the default user, if empty.")
    password: SecretRef | None = Field(None, description="Where that user's password is.")
    tls: Flag = Field(False, description="Speak TLS.")
    control: RedisAccount | None = Field(
        None, description="Account that changes roles and settings; the one that looks, if not given."
    )
    min_replicas: Replicas = Field(
        0,
        description="min-replicas-to-write that a primary is to have: with fewer replicas in touch it takes "
        "no writes. 0: none is asked for.",
    )
    # Redis' own default: a replica acknowledges every second.
    min_replicas_max_lag: Annotated[int, Field(ge=1, le=3600, strict=True)] = Field(
        10, description="min-replicas-max-lag, in seconds: who was heard within it is in touch."
    )
    # A server that is shut down says nothing to its clients: from outside it looks like one that has crashed.
    restart_grace: PositiveSeconds | None = Field(
        None,
        description="So long a refusal may be a restart and no crash; as the profile says, if not given.",
    )
    rejoin: Literal["auto", "ask"] = Field(
        "auto",
        description="An old primary that returns is made a replica by itself, or on request: what only it "
        "has is lost then.",
    )
    sentinel: SentinelSettings | None = Field(None, description="For `manager: sentinel`.")
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


class RedisMember(StoppableMember):
    """One server."""

    port: Port = Field(6379, description="Port of the server.")


class RedisService(Service):
    """One service of Redis servers: a primary and its replicas. Not a cluster of shards."""

    engine: Literal["redis"] = Field(description="What the service is made of.")
    manager: Literal["none", "sentinel"] = Field(
        "none",
        description="sentinel: Redis Sentinel fails the service over; this product asks it for switches, and "
        "does none itself. Another manager that is found stops every act (S14).",
    )
    endpoint: MovedEndpoint | None = Field(
        None,
        description="How clients are led to the primary: type haproxy, vip or dns; if none, they find it.",
    )
    redis: RedisSettings = Field(RedisSettings(), description="Settings of the engine.")
    members: Mapping[Name, RedisMember] = Field(
        min_length=1, description="The servers: one primary and its replicas."
    )

    @model_validator(mode="after")
    def _sentinel_is_known(self) -> Self:
        if (self.manager == "sentinel") != (self.redis.sentinel is not None):
            raise ValueError("`manager: sentinel` and `redis: {sentinel: …}` go together")
        return self

    @property
    def detection(self) -> Profile:
        return with_grace(super().detection, self.redis.restart_grace)
