"""Which name, of which zone: as an action's options say, or the service's endpoint."""

from __future__ import annotations

from config.endpoints import DnsEndpoint, endpoint_of
from model.errors import RunbookError
from runbooks.actions.base import StepContext


def dns_endpoint(ctx: StepContext, given: DnsEndpoint | None) -> DnsEndpoint:
    """Raises RunbookError where nothing says which name."""
    own = endpoint_of(ctx.service)
    found = given or (own if isinstance(own, DnsEndpoint) else None)
    if found is None:
        raise RunbookError(
            f"{ctx.service.name} has no endpoint of type dns",
            hint="give `endpoint`, or declare it in the estate",
        )
    return found
