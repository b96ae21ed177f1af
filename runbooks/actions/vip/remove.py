"""vip.remove: a node lets go of an address."""

from __future__ import annotations

from typing import ClassVar, cast

from model.errors import BcmError
from model.execution import Precheck, Reconciled, StepResult
from runbooks.actions.base import Action, StepContext
from runbooks.actions.vip.prechecks import prechecks_of
from runbooks.actions.vip.target import NodeAddressOptions, address_of


class Remove(Action):
    """Output: `node`, `address`; `changed`: the node had it. Undo: it takes it again, if nobody else has."""

    name: ClassVar[str] = "vip.remove"
    Options = NodeAddressOptions
    outputs: ClassVar[tuple[str, ...] | None] = ("node", "address", "changed")

    @property
    def given(self) -> NodeAddressOptions:
        return cast("NodeAddressOptions", self.options)

    def describe(self, ctx: StepContext) -> list[str]:
        vip = address_of(ctx, self.given)
        return vip.described(vip.remove_command)

    def where(self, ctx: StepContext) -> str:
        return f"node {address_of(ctx, self.given).node} as root"

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        return await prechecks_of([address_of(ctx, self.given)])

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        try:
            vip = address_of(ctx, self.given)
            had = await vip.present(deadline_s)
        except BcmError as error:
            return StepResult.failed(str(error))
        await vip.remove(deadline_s)
        return StepResult.ok(
            f"{vip.node} has {vip.address} no more", node=vip.node, address=vip.address, changed=had
        )

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        vip = address_of(ctx, self.given)
        if await vip.present(deadline_s):
            return Reconciled.not_done(f"{vip.node} has {vip.address}")
        return Reconciled.done(
            f"{vip.node} has {vip.address} no more", node=vip.node, address=vip.address, changed=True
        )

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        vip = address_of(ctx, self.given)
        if ctx.output(ctx.step).get("changed") is False:
            return StepResult.ok(f"{vip.node} did not have it")
        if await vip.taken_elsewhere(deadline_s) or not await vip.add(deadline_s):
            return StepResult.failed(f"{vip.ip} is taken by another host")
        return StepResult.ok(f"{vip.node} has {vip.address} again")
