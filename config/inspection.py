"""Inspection (巡检): every check at once, at set times."""

from __future__ import annotations

from pydantic import Field

from config.base import EstateModel, Flag
from config.durations import PositiveSeconds


class Inspection(EstateModel):
    """When the daemon inspects by itself. The result is journaled; `bcm-failover inspect` does it now."""

    enabled: Flag = Field(True, description="Inspect by itself.")
    every: PositiveSeconds = Field(86400.0, description="Time between two inspections.")
