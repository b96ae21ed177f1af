"""Alerts of the monitoring that is there already, pushed by Alertmanager: evidence, never a trigger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from config.base import EstateModel, Name
from config.durations import PositiveSeconds


class AlertRule(EstateModel):
    """Which alerts tell what of which service. The first rule whose labels all match is taken."""

    match: Mapping[Annotated[str, Field(min_length=1)], str] = Field(
        {}, description="Labels and the values that they must have; empty: every alert."
    )
    service: Name | None = Field(
        None, description="The service; without it, the one that the alert's `service_label` names."
    )
    says: Literal["down", "up", "warning", "ignore"] = Field(
        "warning",
        description="down: evidence for an outage; up: evidence against one; warning: an early warning.",
    )


class Alerts(EstateModel):
    """Of `POST /api/v1/alerts`. They confirm, contradict or warn, and never alone make anything happen."""

    service_label: str = Field(
        "service", min_length=1, description="Label that names the service, where no rule does."
    )
    rules: tuple[AlertRule, ...] = Field((), description="In order; without a match: a warning.")
    # Alertmanager repeats what still fires every four hours by default; a missed end must not stay for ever.
    forget_after: PositiveSeconds = Field(
        18000.0, description="An alert that was not repeated for so long says nothing any more."
    )
