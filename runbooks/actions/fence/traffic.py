"""fence.traffic: HAProxy leads nobody to a server any more, and the sessions that it had are ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from config.base import Flag
from model.errors import BalancerError
from runbooks.actions.haproxy.balancer import Balancer
from runbooks.actions.haproxy.server_state import MAINT, READY
from runbooks.actions.haproxy.target import ServerOptions
from runbooks.actions.haproxy.to_state import ToState


class TrafficOptions(ServerOptions):
    only_way: Flag = Field(
        False,
        description="Clients can reach the member through these balancers and in no other way (a firewall or "
        "the server's own rules see to it). Only then does the step count as a fence.",
    )


class Traffic(ToState):
    """Every balancer must tell that the server is in maintenance without a session, and that its
    configuration starts it `disabled`: else a restart of HAProxy would end the fence. One that does not
    answer, or is gone, may lead clients there still.

    Undo: the state before.
    """

    name: ClassVar[str] = "fence.traffic"
    Options = TrafficOptions
    fences: ClassVar[bool] = True
    state: ClassVar[str] = MAINT
    back: ClassVar[str] = READY

    @classmethod
    def fencing(cls, written: Mapping[str, Any]) -> bool:
        return written.get("only_way") is True

    @property
    def cuts(self) -> bool:
        return True

    async def _change(self, b: Balancer, server: str, deadline_s: float) -> tuple[str, str]:
        if not (await b.server(server, deadline_s)).starts_disabled:
            raise BalancerError(
                f"the configuration of {server} lacks `disabled`: a restart would end the fence",
                where=f"HAProxy at {b.socket}",
            )
        return await super()._change(b, server, deadline_s)
