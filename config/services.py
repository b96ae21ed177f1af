"""A service: what the business depends on, with its objectives and its members, whatever it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Literal

from pydantic import Field, field_validator

from config.approvals import ServiceApproval
from config.base import EstateModel, KeyedName, Name
from config.durations import PositiveSeconds, Seconds
from config.members import Member
from model.decision import NO_RUNBOOKS
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


class Service(EstateModel):
    """One service. What an engine needs beside this is in the class of its own: see `config.engines`."""

    name: KeyedName = Field("", exclude=True)
    engine: str = Field(description="What the service is made of.")
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
    description: str = Field("", description="For people.")
    members: Mapping[Name, Member] = Field(description="Its instances, by name.")

    @property
    def detection(self) -> Profile:
        return PROFILES[self.profile]

    @property
    def managed_by(self) -> str:
        """Another manager that runs it, to which this product only delegates (S14); `none` otherwise."""
        return str(getattr(self, "manager", "none"))


def with_grace(profile: Profile, grace_s: float | None) -> Profile:
    """The profile, with another time in which a refusal may be a restart; None: its own."""
    return profile if grace_s is None else replace(profile, restart_grace_s=grace_s)


class WatchedService(Service):
    """Of an engine without runbooks: it is watched and judged, and a person acts."""

    @field_validator("mode")
    @classmethod
    def _not_act(cls, mode: ServiceMode) -> ServiceMode:
        if mode is ServiceMode.ACT:
            raise ValueError(f"can't be act: {NO_RUNBOOKS}; observe or ask")
        return mode
