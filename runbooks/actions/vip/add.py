"""vip.add: a node takes an address, if nobody on the link has it, and tells its neighbours."""

from __future__ import annotations

from typing import ClassVar, cast

from model.errors import BcmError
from model.execution import Precheck, Reconciled, StepResult
from runbooks.actions.base import Action, StepContext
from runbooks.actions.vip.prechecks import prechecks_of
from runbooks.actions.vip.target import NodeAddressOptions, address_of


class Add(Action):
    """A duplicate is looked for first; with one nothing is changed, and the step fails.

    Output: `node`, `address`; `changed`: the node did not have it before. Undo: it lets go of it again.
    """

    name: ClassVar[str] = "vip.add"
    Options = NodeAddressOptions
    outputs: ClassVar[tuple[str, ...] | None] = ("node", "address", "changed")

    @property
    def given(self) -> NodeAddressOptions:
        return cast("NodeAddressOptions", self.options)

    def describe(self, ctx: StepContext) -> list[str]:
        return address_of(ctx, self.given).taking

    def where(self, ctx: StepContext) -> str:
        return f"node {address_of(ctx, self.given).node} as root"

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        return await prechecks_of([address_of(ctx, self.given)])

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        try:
            vip = address_of(ctx, self.given)
            had = await vip.present(deadline_s)
            if await vip.taken_elsewhere(deadline_s):
                return StepResult.failed(
                    f"{vip.ip} is taken: another host on the link of {vip.node} answers for it"
                )
        except BcmError as error:
            return StepResult.failed(str(error))
        output = {"node": vip.node, "address": vip.address, "changed": not had}
        if not await vip.add(deadline_s):
            return StepResult.failed(f"{vip.ip} is taken: the kernel of {vip.node} found it elsewhere")
        return StepResult.ok(f"{vip.node} has {vip.address}", **output)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        """That it was told to the neighbours can't be seen afterwards; telling them twice does no harm."""
        vip = address_of(ctx, self.given)
        has = await vip.present(deadline_s)
        return Reconciled.not_done(f"{vip.node} {'has it, told or not' if has else 'has it not'}")

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        vip = address_of(ctx, self.given)
        if ctx.output(ctx.step).get("changed") is False:
            return StepResult.ok(f"{vip.node} had it before")
        await vip.remove(deadline_s)
        return StepResult.ok(f"{vip.node} has {vip.address} no more")
