"""Thresholds of the early warnings (预警): what is no outage yet, and will be one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from config.base import EstateModel
from config.durations import PositiveSeconds

Percent = Annotated[int, Field(ge=0, le=100, strict=True)]


class WarningThresholds(EstateModel):
    """A warning begins when its threshold is passed and ends when it has been clear for `clear_after`."""

    # Below a tenth most file systems slow down, and a person still has hours.
    disk_free_percent: Percent = Field(10, description="Less free space than this warns.")
    # A night and a weekend's morning: time enough for a person to make room.
    disk_full_within: PositiveSeconds = Field(86400.0, description="Full sooner than this, as it fills now.")
    # Three weeks: renewals that fail are tried again weekly, and people take holidays.
    certificate_within: PositiveSeconds = Field(1814400.0, description="A certificate that ends sooner.")
    # More than a second apart, logs of two hosts can't be put in order, and tokens begin to fail.
    clock_skew: PositiveSeconds = Field(1.0, description="Clocks further apart than this.")
    lag_percent_of_rpo: Percent = Field(75, description="Replication lag, in percent of the RPO.")
    # With RPO 0 a lagging copy loses nothing, and makes the failover wait.
    lag_without_rpo: PositiveSeconds = Field(10.0, description="Replication lag of a service with RPO 0.")
    latency_factor: Annotated[float, Field(gt=1)] = Field(
        4.0, description="Slower by this factor than its own history."
    )
    # Twice a daily backup's period, less what a run takes, would be too late; a day and two hours is not.
    backup_age: PositiveSeconds = Field(93600.0, description="A newest good backup older than this.")
    canary_share_percent: Percent = Field(
        50, description="A canary that takes this share of its time-out is slow."
    )
    clear_after: PositiveSeconds = Field(60.0, description="How long it must be clear before it ends.")
