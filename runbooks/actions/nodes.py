"""Which node an action means: by its name, or by a member that stands there."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from model.errors import RunbookError
from model.ports import NodeAccess
from runbooks.actions.base import ActionOptions, StepContext


class NodeOptions(ActionOptions):
    """One of the two."""

    node: str = Field("", description="Name of the node.")
    member: str = Field("", description="Name of a member of the service, for the node on which it stands.")

    @model_validator(mode="after")
    def _one_node(self) -> Self:
        if bool(self.node) == bool(self.member):
            raise ValueError("give `node` or `member`, and not both")
        return self


def node_name(ctx: StepContext, options: NodeOptions) -> str:
    """Raises RunbookError for one that the estate does not declare."""
    if options.node:
        if options.node not in ctx.estate.nodes:
            raise RunbookError(
                f"there is no node {options.node!r}", hint=f"there are: {', '.join(ctx.estate.nodes)}"
            )
        return options.node
    member = ctx.service.members.get(options.member)
    if member is None:
        raise RunbookError(
            f"{ctx.service.name} has no member {options.member!r}",
            hint=f"there are: {', '.join(ctx.service.members)}",
        )
    return member.node


def access_to(ctx: StepContext, options: NodeOptions) -> NodeAccess:
    """Raises RunbookError and NodeAccessError."""
    return ctx.ports.node(node_name(ctx, options))
