"""Probes that a user declares: checks beside those that a service's engine brings along."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from config.base import EstateModel, Flag, KeyedName, Name
from config.durations import PositiveSeconds
from model.health import Profile

# A suspected target is asked this often: confirmation costs seconds, not several intervals.
_BURST_SHARE = 5
_BURST_MOST_S = 1.0

Count = Annotated[int, Field(ge=1, le=100, strict=True)]


class ProbeEntry(EstateModel):
    """A check of one target: of a service, a node, a site, or of this host's own way out."""

    name: KeyedName = Field("", exclude=True)
    type: Name = Field(description="One of `bcm-failover probe list`.")
    service: Name | None = Field(None, description="The service that it tells about.")
    member: Name | None = Field(None, description="The member of that service.")
    node: Name | None = Field(None, description="The node that it tells about, and on which commands run.")
    site: Name | None = Field(None, description="The site that it tells about.")
    reference: Flag = Field(
        False, description="It answers if this host's own network works (S6), like `reference_targets`."
    )
    options: Mapping[str, Any] = Field({}, description="Of the type: `bcm-failover probe list TYPE`.")
    # Most checks beside the engine's own cost more than a ping and need not be known within a second.
    interval: PositiveSeconds = Field(10.0, description="How often it is made while all is well.")
    timeout: PositiveSeconds = Field(2.0, description="Without a verdict for so long it is silent.")
    fall: Count = Field(3, description="Failures in a row that make it `down`.")
    rise: Count = Field(2, description="Successes in a row that make it `up` again.")
    description: str = Field("", description="For people.")

    @model_validator(mode="after")
    def _about_one_thing(self) -> Self:
        about = [n for n in ("service", "node", "site") if getattr(self, n) is not None]
        if len(about) > 1 and about != ["service", "node"]:
            raise ValueError(f"it tells about one thing; given: {', '.join(about)}")
        if self.member is not None and self.service is None:
            raise ValueError("`member` needs the `service` whose member it is")
        return self

    @property
    def target(self) -> str:
        """What the scheduler and observations call it."""
        return f"probe/{self.name}"

    @property
    def about(self) -> str:
        """`service/orders`, `service/orders/pg1`, `node/db1`, `site/dc1`, or `estate`."""
        if self.service is not None:
            return f"service/{self.service}" + (f"/{self.member}" if self.member else "")
        if self.node is not None:
            return f"node/{self.node}"
        return f"site/{self.site}" if self.site is not None else "estate"

    @property
    def profile(self) -> Profile:
        """Its numbers, as the scheduler takes them. Its health is folded by counts: see `fall` and `rise`."""
        burst_s = min(self.interval, max(self.interval / _BURST_SHARE, 0.05), _BURST_MOST_S)
        return Profile(
            name="declared",
            interval_s=self.interval,
            timeout_s=self.timeout,
            burst_interval_s=burst_s,
            burst_timeout_s=self.timeout,
            refusals=self.fall,
            silence_s=(self.fall - 1) * burst_s + self.timeout,
            restart_grace_s=0.0,
            rise=self.rise,
            canary_interval_s=self.interval,
        )
