"""Observers (观测点): the controllers that look at the same services, each from its own place."""

from __future__ import annotations

from pydantic import Field

from config.base import EstateModel, KeyedName, Name


class Observer(EstateModel):
    """A controller that observes. Its name is the `daemon.name` that it runs under."""

    name: KeyedName = Field("", exclude=True)
    site: Name = Field(description="One of `sites`: where it stands.")
    description: str = Field("", description="For people.")
