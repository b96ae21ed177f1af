"""Of the engine `http`: a pool of web servers that are all alike, and how many of them are enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from config.base import EstateModel, Flag, Name, Port
from config.endpoints import PoolEndpoint
from config.members import Member, MemberRole
from config.services import Service, ServiceMode
from model.health import Profile

Count = Annotated[int, Field(ge=1, le=100, strict=True)]
Status = Annotated[int, Field(ge=100, le=599, strict=True)]

# A web server that is under suspicion is asked no more often than this: it may be suffering from load.
_BURST_LEAST_S = 0.25


class HttpSettings(EstateModel):
    """Of the engine `http`: what is asked of each member, and what is right."""

    # MBCO: the least with which the business goes on.
    minimum: Count = Field(description="So many members must be up; with fewer the service counts as out.")
    scheme: Literal["http", "https"] = Field("http", description="How members are spoken to.")
    path: str = Field("/", pattern=r"^/[^\s]*$", description="Path that tells whether a member works.")
    host_header: str = Field("", description="The Host that is asked for; the member's address, if empty.")
    status: tuple[Status, ...] = Field((), description="The statuses that are right; any 2xx, if none.")
    body: str = Field("", description="A text that must be in the answer.")
    verify: Flag = Field(True, description="Check the certificate, with scheme https.")
    fall: Count = Field(3, description="Failures in a row that make a member `down`.")
    rise: Count = Field(2, description="Successes in a row that make it `up` again.")


class HttpMember(Member):
    """One web server of the pool."""

    role: MemberRole = Field(MemberRole.POOL, description="pool: one of many that are alike.")
    port: Port = Field(80, description="Port of the server.")

    @field_validator("role")
    @classmethod
    def _only_pool(cls, role: MemberRole) -> MemberRole:
        if role is not MemberRole.POOL:
            raise ValueError("is pool for engine http: no member is above another")
        return role


class HttpService(Service):
    """One pool of web servers."""

    engine: Literal["http"] = Field(description="What the service is made of.")
    endpoint: PoolEndpoint | None = Field(
        None, description="How clients reach the pool: type haproxy. Needed for mode act."
    )
    http: HttpSettings = Field(description="Settings of the engine.")
    members: Mapping[Name, HttpMember] = Field(min_length=1, description="The servers of the pool.")

    @model_validator(mode="after")
    def _somebody_to_tell(self) -> Self:
        if self.mode is ServiceMode.ACT and self.endpoint is None:
            raise ValueError(
                "mode act needs an `endpoint`: a member is taken out of use by its load balancer"
            )
        return self

    @property
    def detection(self) -> Profile:
        profile = super().detection
        return replace(profile, burst_interval_s=max(profile.burst_interval_s, _BURST_LEAST_S))
