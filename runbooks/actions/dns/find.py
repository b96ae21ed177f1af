"""dns.find: which addresses does a name have now, at the server that takes updates?"""

from __future__ import annotations

from typing import ClassVar, cast

from pydantic import Field

from config.endpoints import DnsEndpoint
from model.errors import NameServerError
from model.execution import StepResult
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.dns.target import dns_endpoint
from runbooks.actions.dns.zone import ZoneName


class FindOptions(ActionOptions):
    endpoint: DnsEndpoint | None = Field(None, description="As in the estate; the service's own, if none.")


class Find(Action):
    """Output: `addresses`, `ttl_s`."""

    name: ClassVar[str] = "dns.find"
    Options = FindOptions
    changing: ClassVar[bool] = False
    outputs: ClassVar[tuple[str, ...] | None] = ("addresses", "ttl_s")

    @property
    def given(self) -> FindOptions:
        return cast("FindOptions", self.options)

    def describe(self, ctx: StepContext) -> list[str]:
        at = dns_endpoint(ctx, self.given.endpoint)
        return [f"{at.primary}: ask for {at.name}"]

    def where(self, ctx: StepContext) -> str:
        return f"name server {dns_endpoint(ctx, self.given.endpoint).primary}"

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        at = dns_endpoint(ctx, self.given.endpoint)
        name = ZoneName(ctx.ports.name_servers, ctx.ports.clock, at.zone, at.name, None)
        try:
            found = await name.addresses(at.primary, deadline_s)
        except NameServerError as error:
            return StepResult.failed(str(error))
        if found.extra:
            return StepResult.failed(found.extra)
        said = ", ".join(found.addresses) or "nothing"
        return StepResult.ok(f"{at.name} is {said}", addresses=list(found.addresses), ttl_s=found.ttl_s)
