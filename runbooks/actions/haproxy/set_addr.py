"""haproxy.set_addr: a server of HAProxy is another address and port from now on; open sessions go on."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import ClassVar, Final, cast

from pydantic import Field

from config.base import Port
from model.execution import Reconciled, StepResult
from runbooks.actions.base import Action, StepContext
from runbooks.actions.haproxy.balancer import Balancer, on_all
from runbooks.actions.haproxy.target import ServerOptions, balancers, places, server_of

_BEFORE: Final = "haproxy.set_addr:"


class SetAddrOptions(ServerOptions):
    address: IPv4Address | IPv6Address = Field(description="IP address; HAProxy resolves no name here.")
    port: Port = Field(description="The port there.")


class SetAddr(Action):
    """Undo: the address before. Output: `server`; `before` {socket: [address, port]}."""

    name: ClassVar[str] = "haproxy.set_addr"
    outputs: ClassVar[tuple[str, ...] | None] = ("server", "before")
    Options = SetAddrOptions

    @property
    def wanted(self) -> SetAddrOptions:
        return cast("SetAddrOptions", self.options)

    def describe(self, ctx: StepContext) -> list[str]:
        o, server = self.wanted, server_of(ctx, self.wanted)
        return [
            f"{b.socket}: set server {b.backend}/{server} addr {o.address} port {o.port}"
            for b in balancers(ctx, o)
        ]

    def where(self, ctx: StepContext) -> str:
        return places(balancers(ctx, self.wanted))

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        server = server_of(ctx, self.wanted)
        remembered = ctx.resources.setdefault(f"{_BEFORE}{server}", {})

        async def change(b: Balancer) -> str:
            was = await b.server(server, deadline_s)
            remembered.setdefault(b.socket, [was.address, was.port])
            return await self._set(b, server, str(self.wanted.address), self.wanted.port, deadline_s)

        told = await on_all(balancers(ctx, self.wanted), change)
        output = {"server": server, "before": dict(remembered)}
        bad = told.bad(f"{server} is moved") if told.errors else _wrong(told.values)
        if bad is not None:
            return StepResult(bad.outcome, bad.detail, output)
        return StepResult.ok(f"{server} is {self.wanted.address} port {self.wanted.port}", **output)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        server = server_of(ctx, self.wanted)
        told = await on_all(balancers(ctx, self.wanted), lambda b: b.server(server, deadline_s))
        if told.errors:
            return Reconciled.unknown(told.trouble)
        aim = (str(self.wanted.address), self.wanted.port)
        others = [f"{s.address} port {s.port}" for s in told.values.values() if (s.address, s.port) != aim]
        if others:
            return Reconciled.not_done(f"{server} is {others[0]}")
        return Reconciled.done(f"{server} is {aim[0]} port {aim[1]}", server=server, before={})

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        server = server_of(ctx, self.wanted)
        before = ctx.output(ctx.step).get("before") or ctx.resources.get(f"{_BEFORE}{server}") or {}
        aim = (str(self.wanted.address), self.wanted.port)

        async def back(b: Balancer) -> str:
            if b.socket in before:
                address, port = before[b.socket]
                return await self._set(b, server, str(address), int(port), deadline_s)
            now = await b.server(server, deadline_s)
            moved = (now.address, now.port) == aim
            return "the address that it had before is not recorded" if moved else ""

        told = await on_all(balancers(ctx, self.wanted), back)
        if told.errors:
            return told.bad(f"{server} is as it was")
        return _wrong(told.values) or StepResult.ok(f"{server} is as it was")

    @staticmethod
    async def _set(b: Balancer, server: str, address: str, port: int, deadline_s: float) -> str:
        """What is missing after it, '' if nothing."""
        await b.set_address(server, address, port, deadline_s)
        now = await b.server(server, deadline_s)
        return "" if (now.address, now.port) == (address, port) else f"it is {now.address} port {now.port}"


def _wrong(values: Mapping[str, str]) -> StepResult | None:
    found = {socket: text for socket, text in values.items() if text}
    text = "; ".join(f"{socket}: {what}" for socket, what in found.items())
    return StepResult.failed(text) if text else None
