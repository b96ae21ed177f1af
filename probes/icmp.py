"""Probe type `icmp`: does the host's kernel answer a ping?

It tells a dead host from a dead server on it, and no more: many networks drop pings, so only `ping: true` in
the estate asks for it. A host that may not send pings itself finds out nothing: `unknown`, never `down`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from model.observation import Layer
from probes.addresses import Address, Addresses
from probes.base import Probe, ProbeOptions, ProbePorts, Reading
from probes.families import FamilyOptions, check_by_family
from probes.icmp_socket import Pinger, acquire, release
from probes.os_errors import reading_of_os_error
from probes.trace import note


class IcmpOptions(FamilyOptions):
    """Whom to ping."""

    host: str = Field(
        min_length=1, description="Name or address, IPv4 or IPv6; of a name's addresses the first is pinged."
    )


class IcmpProbe(Probe):
    """A host whose kernel answers a ping.

    Facts: `address`, which of the host's addresses answered; `families` with `family: both`, what each said.
    """

    type: ClassVar[str] = "icmp"
    layer: ClassVar[Layer] = Layer.SERVER
    Options = IcmpOptions
    concurrent: ClassVar[int] = 4

    def __init__(self, target: str, options: ProbeOptions, ports: ProbePorts) -> None:
        super().__init__(target, options, ports)
        assert isinstance(options, IcmpOptions)  # noqa: S101  # narrows the type
        self._family = options.family
        self._addresses = Addresses(options.host, 0, ports.clock)
        self._pingers: dict[int, Pinger] = {}

    async def check(self) -> Reading:
        try:
            addresses = await self._addresses.get()
        except OSError as exc:
            return reading_of_os_error(exc)
        if self._family == "any":
            return await self._ping(addresses)
        return await check_by_family(addresses, self._family, self._ping)

    async def _ping(self, addresses: Sequence[Address]) -> Reading:
        address = addresses[0]
        try:
            if address.family not in self._pingers:
                self._pingers[address.family] = acquire(address.family)
            note("pinging %s", address.host)
            await self._pingers[address.family].ping(address.sockaddr)
            note("%s answered", address.host)
        except OSError as exc:
            return reading_of_os_error(exc)
        return Reading.ok(address=address.host)

    async def aclose(self) -> None:
        while self._pingers:
            release(self._pingers.popitem()[1])
