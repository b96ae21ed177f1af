"""Which address, on which interface of which node: as the options say, or the service's endpoint."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from config.endpoints import VipEndpoint, endpoint_of
from model.errors import RunbookError
from runbooks.actions.base import ActionOptions, StepContext
from runbooks.actions.nodes import NodeOptions, node_name
from runbooks.actions.vip.address import NodeAddress

_ADDRESS = r"^([0-9a-fA-F:.]+/\d{1,3})?$"
_INTERFACE = r"^([A-Za-z0-9_.-]{1,15})?$"


class AddressOptions(ActionOptions):
    """The address and its interface."""

    address: str = Field("", pattern=_ADDRESS, description="With its prefix; the endpoint's, if empty.")
    interface: str = Field("", pattern=_INTERFACE, description="Interface that takes it; the endpoint's.")

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if bool(self.address) != bool(self.interface):
            raise ValueError("`address` and `interface` go together; without both the endpoint is meant")
        return self


class NodeAddressOptions(AddressOptions, NodeOptions):
    """The address on one node."""


def address_on(ctx: StepContext, options: AddressOptions, node: str) -> NodeAddress:
    """Raises RunbookError where nothing says which address, NodeAccessError where the node has no access."""
    address, interface = options.address, options.interface
    if not address:
        endpoint = endpoint_of(ctx.service)
        if not isinstance(endpoint, VipEndpoint):
            raise RunbookError(
                f"{ctx.service.name} has no endpoint of type vip",
                hint="give `address` and `interface`, or declare the endpoint in the estate",
            )
        address, interface = endpoint.address, endpoint.interface_of(node)
    return NodeAddress(ctx.ports.node(node), ctx.ports.clock, node, interface, address)


def address_of(ctx: StepContext, options: NodeAddressOptions) -> NodeAddress:
    """Raises RunbookError and NodeAccessError."""
    return address_on(ctx, options, node_name(ctx, options))
