"""Of the engine `generic`: a service of whatever kind, known by the probes that are declared for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from config.base import EstateModel, Name
from config.members import Member, MemberRole
from config.services import WatchedService


class GenericSettings(EstateModel):
    """Of the engine `generic`."""

    needs: Literal["all", "any"] = Field(
        "all",
        description="It works while all of its declared probes are up, or while any of them is: several "
        "ways to the same thing.",
    )


class GenericMember(Member):
    """Where an instance runs: for people, and to tell an outage of its node or site."""

    role: MemberRole = Field(MemberRole.POOL, description="For people.")


class GenericService(WatchedService):
    """One service that only its declared probes know: `probes: {NAME: {service: …}}`."""

    engine: Literal["generic"] = Field(description="What the service is made of.")
    generic: GenericSettings = Field(GenericSettings(), description="Settings of the engine.")
    members: Mapping[Name, GenericMember] = Field({}, description="Where its instances run, by name.")
