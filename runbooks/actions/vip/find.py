"""vip.find: which nodes of the service's members have an address now?"""

from __future__ import annotations

import asyncio
from typing import ClassVar, cast

from model.errors import BcmError
from model.execution import StepResult
from runbooks.actions.base import Action, StepContext
from runbooks.actions.vip.address import NodeAddress
from runbooks.actions.vip.target import AddressOptions, address_on


class Find(Action):
    """Fails where more than one has it. A node that can't be reached is named, and put up with.

    Output: `nodes` that have it; `not_reached`.
    """

    name: ClassVar[str] = "vip.find"
    Options = AddressOptions
    changing: ClassVar[bool] = False
    outputs: ClassVar[tuple[str, ...] | None] = ("nodes", "not_reached")

    @property
    def given(self) -> AddressOptions:
        return cast("AddressOptions", self.options)

    def describe(self, ctx: StepContext) -> list[str]:
        found, _without = self._addresses(ctx)
        return [
            line for vip in found for line in vip.described(["ip", "address", "show", "dev", vip.interface])
        ]

    def where(self, ctx: StepContext) -> str:
        return f"nodes {', '.join(vip.node for vip in self._addresses(ctx)[0])} as root"

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        found, not_reached = self._addresses(ctx)
        seen = await asyncio.gather(*(_looked(vip, deadline_s) for vip in found))
        nodes = [vip.node for vip, has in zip(found, seen, strict=True) if has]
        not_reached += [vip.node for vip, has in zip(found, seen, strict=True) if has is None]
        output = {"nodes": nodes, "not_reached": not_reached}
        if len(nodes) > 1:
            return StepResult.failed(f"more than one node has it: {', '.join(nodes)}", **output)
        return StepResult.ok(f"{nodes[0]} has it" if nodes else "no node that was reached has it", **output)

    def _addresses(self, ctx: StepContext) -> tuple[list[NodeAddress], list[str]]:
        """(those with access, the names of those without)"""
        found: list[NodeAddress] = []
        without: list[str] = []
        for node in dict.fromkeys(member.node for member in ctx.service.members.values()):
            try:
                found.append(address_on(ctx, self.given, node))
            except BcmError:
                without.append(node)
        return found, without


async def _looked(vip: NodeAddress, deadline_s: float) -> bool | None:
    try:
        return await vip.present(deadline_s)
    except BcmError:
        return None
