"""Probe type `icmp`: does the host's kernel answer a ping?

It tells a dead host from a dead server on it, and no more: many networks drop pings, so only `ping: true` in
the estate asks for it. A host that may not send pings itself finds out nothing: `unknown`, never `down`.
"""

from __future__ import annotations

from typing import ClassVar

from model.observation import Layer
from probes.addresses import Addresses
from probes.base import Probe, ProbeOptions, ProbePorts, Reading
from probes.icmp_socket import Pinger, acquire, release
from probes.os_errors import reading_of_os_error


class IcmpOptions(ProbeOptions):
    """`host`: name or address, IPv4 or IPv6; of a name's addresses the first is pinged."""

    host: str


class IcmpProbe(Probe):
    """One host. Fact `address`: which of its addresses answered."""

    type: ClassVar[str] = "icmp"
    layer: ClassVar[Layer] = Layer.SERVER
    Options = IcmpOptions
    concurrent: ClassVar[int] = 4

    def __init__(self, target: str, options: ProbeOptions, ports: ProbePorts) -> None:
        super().__init__(target, options, ports)
        assert isinstance(options, IcmpOptions)  # noqa: S101  # narrows the type
        self._addresses = Addresses(options.host, 0, ports.clock)
        self._pingers: dict[int, Pinger] = {}

    async def check(self) -> Reading:
        try:
            address = (await self._addresses.get())[0]
            if address.family not in self._pingers:
                self._pingers[address.family] = acquire(address.family)
            await self._pingers[address.family].ping(address.sockaddr)
        except OSError as exc:
            return reading_of_os_error(exc)
        return Reading.ok(address=address.host)

    async def aclose(self) -> None:
        while self._pingers:
            release(self._pingers.popitem()[1])
