"""vip.move: an address goes to the node of one member, away from those of all others."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, cast

from pydantic import Field

from model.errors import BcmError
from model.execution import Precheck, Reconciled, StepResult
from runbooks.actions.base import Action, StepContext
from runbooks.actions.vip.address import NodeAddress
from runbooks.actions.vip.prechecks import prechecks_of
from runbooks.actions.vip.target import AddressOptions, address_on


class MoveOptions(AddressOptions):
    member: str = Field(min_length=1, description="The member whose node takes the address.")
    away: tuple[str, ...] | None = Field(
        None, description="Members whose nodes let go of it first; all others, if not given."
    )
    was: tuple[str, ...] = Field(
        (),
        description="`nodes` of a `vip.find` before it: what an undo goes back to, also where the process "
        "that moved it died before it could record that.",
    )


class Move(Action):
    """Whoever has it and can be reached lets go of it first. A node that can't be reached is put up with, if
    nobody on the link of the new one answers for the address: whoever does has it still, and the step fails.

    Output: `node`, `address`; `was_on`, nodes that had it; `not_reached`, nodes that nobody could look at.
    Undo: back to where it was.
    """

    name: ClassVar[str] = "vip.move"
    Options = MoveOptions
    outputs: ClassVar[tuple[str, ...] | None] = ("node", "address", "was_on", "not_reached")

    @property
    def given(self) -> MoveOptions:
        return cast("MoveOptions", self.options)

    def describe(self, ctx: StepContext) -> list[str]:
        lines: list[str] = []
        for node in self._others(ctx):
            try:
                vip = address_on(ctx, self.given, node)
                lines += vip.described(vip.remove_command)
            except BcmError as error:
                lines.append(f"{node}: {error.what}")
        return [*lines, *self._target(ctx).taking]

    def where(self, ctx: StepContext) -> str:
        return f"nodes {', '.join([*self._others(ctx), self._target(ctx).node])} as root"

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        return await prechecks_of([self._target(ctx), *self._reachable(ctx)[0]])

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        try:
            target = self._target(ctx)
            had = await target.present(deadline_s)
        except BcmError as error:
            return StepResult.failed(str(error))
        others, not_reached = self._reachable(ctx)
        left = await asyncio.gather(*(self._let_go(vip, deadline_s) for vip in others))
        was_on = [vip.node for vip, found in zip(others, left, strict=True) if found is True]
        not_reached += [vip.node for vip, found in zip(others, left, strict=True) if found is None]
        output: dict[str, Any] = {
            "node": target.node,
            "address": target.address,
            "was_on": [target.node] if had else was_on,
            "not_reached": not_reached,
        }
        if await target.taken_elsewhere(deadline_s) or not await target.add(deadline_s):
            silent = f"; not reached: {', '.join(not_reached)}" if not_reached else ""
            return StepResult.failed(
                f"{target.ip} is taken: another host on the link of {target.node} answers for it{silent}",
                **output,
            )
        return StepResult.ok(f"{target.node} has {target.address}", **output)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        """That it was told to the neighbours can't be seen afterwards; telling them twice does no harm."""
        target = self._target(ctx)
        has = await target.present(deadline_s)
        return Reconciled.not_done(f"{target.node} {'has it, told or not' if has else 'has it not'}")

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        was_on = ctx.output(ctx.step).get("was_on") or list(self.given.was)
        target = self._target(ctx)
        if was_on == [target.node]:
            return StepResult.ok(f"{target.node} had it before")
        if not was_on:
            return StepResult.failed("where it was before is not recorded; nothing is changed")
        await target.remove(deadline_s)
        before = address_on(ctx, self.given, str(was_on[0]))
        if await before.taken_elsewhere(deadline_s) or not await before.add(deadline_s):
            return StepResult.failed(f"{before.ip} is taken by another host")
        return StepResult.ok(f"{before.node} has {before.address} again")

    def _target(self, ctx: StepContext) -> NodeAddress:
        return address_on(ctx, self.given, self._node(ctx, self.given.member))

    def _node(self, ctx: StepContext, member: str) -> str:
        found = ctx.service.members.get(member)
        if found is None:
            raise BcmError(f"{member!r} is no member of {ctx.service.name}")
        return found.node

    def _others(self, ctx: StepContext) -> list[str]:
        members = ctx.service.members if self.given.away is None else self.given.away
        own = self._node(ctx, self.given.member)
        return [n for n in dict.fromkeys(self._node(ctx, m) for m in members) if n != own]

    def _reachable(self, ctx: StepContext) -> tuple[list[NodeAddress], list[str]]:
        """(those with access, the names of those without)"""
        found, without = [], []
        for node in self._others(ctx):
            try:
                found.append(address_on(ctx, self.given, node))
            except BcmError:
                without.append(node)
        return found, without

    async def _let_go(self, vip: NodeAddress, deadline_s: float) -> bool | None:
        """Did it have the address? None: it can't be reached. A third of the time is for the new node."""
        now_s = vip.clock.monotonic_s()
        end_s = now_s + (deadline_s - now_s) * 2 / 3
        try:
            if not await vip.present(end_s):
                return False
            await vip.remove(end_s)
        except BcmError:
            return None
        return True
