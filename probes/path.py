"""Probe type `path`: how far do packets to a host get?

For the moment of suspicion: it tells a dead host from a dead line on the way, and names the last router that
answered. Routers need not answer, so a gap in the middle means nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from config.durations import PositiveSeconds
from model.observation import Failure, Layer
from probes.addresses import Address, Addresses
from probes.base import Probe, ProbeOptions, ProbePorts, Reading
from probes.families import FamilyOptions, check_by_family
from probes.os_errors import reading_of_os_error
from probes.path_hops import Hop, Method, trace
from probes.trace import note

_UDP_PORT = 33434  # where traceroute begins, and so what firewalls know; nobody should listen there


class PathOptions(FamilyOptions):
    """Where to, and with what packets."""

    host: str = Field(min_length=1, description="Name or address of the host.")
    method: Method = Field(
        "udp",
        description="udp: datagrams to a port where nobody listens. tcp: connections that are begun, for ways"
        " on which only a service's own port is let through. icmp: pings, where this user may send them.",
    )
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        None, description="Port; needed for tcp, 33434 for udp if left out."
    )
    most_hops: int = Field(16, ge=1, le=64, description="How many routers there may be on the way.")
    wait: PositiveSeconds = Field(
        0.8,
        le=30,
        description="How long answers are waited for, where the target does not answer; below the probe's"
        " timeout, or what was found out is lost.",
    )

    @model_validator(mode="after")
    def _a_port_where_one_is_needed(self) -> PathOptions:
        if self.method == "tcp" and self.port is None:
            raise ValueError("`method: tcp` needs a `port`: that of the service behind the way")
        if self.method == "icmp" and self.port is not None:
            raise ValueError("`method: icmp` has no `port`")
        return self


class PathProbe(Probe):
    """How far packets get on their way to a host.

    Facts: `reached`; `hops`, of each router that answered, and of the target, `ttl` (how many hops away),
    `address`, `rtt_ms` and, where it refused to pass the packet on, `error`; `last_hop`, the address of the
    last of them; `address`, where the packets went to; `families` with `family: both`.
    """

    type: ClassVar[str] = "path"
    layer: ClassVar[Layer] = Layer.NETWORK
    Options = PathOptions

    def __init__(self, target: str, options: ProbeOptions, ports: ProbePorts) -> None:
        super().__init__(target, options, ports)
        assert isinstance(options, PathOptions)  # noqa: S101  # narrows the type
        self._options = options
        port = 0 if options.method == "icmp" else options.port or _UDP_PORT
        self._addresses = Addresses(options.host, port, ports.clock)

    async def check(self) -> Reading:
        try:
            addresses = await self._addresses.get()
        except OSError as exc:
            return reading_of_os_error(exc)
        return await check_by_family(addresses, self._options.family, self._check)

    async def _check(self, addresses: Sequence[Address]) -> Reading:
        options, address = self._options, addresses[0]
        note("sending %s to %s, to live for 1 to %d hops", options.method, address.host, options.most_hops)
        try:
            hops = await trace(address, options.method, options.most_hops, options.wait)
        except OSError as exc:
            return reading_of_os_error(exc)
        return judged(hops, address.host)


def judged(hops: Sequence[Hop], host: str) -> Reading:
    seen = [hop for hop in hops if hop.address]
    last = seen[-1] if seen else None
    facts: dict[str, Any] = {
        "address": host,
        "reached": last is not None and last.reached,
        "hops": [_shown(hop) for hop in seen],
        "last_hop": last.address if last else None,
    }
    if last is not None and last.reached:
        return Reading.ok(f"reached over {last.ttl} hops" if last.ttl > 1 else "reached", **facts)
    if last is not None:
        said = f", which says {last.error}" if last.error else ""
        text = f"packets to {host} get as far as {last.address}, {last.ttl} hops away{said}"
        return Reading.failed(Failure.UNREACHABLE, text, **facts)
    if hops:  # this host itself gave them up: its neighbour does not answer for the next hop's address
        text = f"packets to {host} do not leave: the next hop does not answer ({hops[0].error})"
        return Reading.failed(Failure.UNREACHABLE, text, **facts)
    return Reading.unknown(None, f"nobody on the way to {host} answered: nothing is known of it", **facts)


def _shown(hop: Hop) -> dict[str, Any]:
    shown = {"ttl": hop.ttl, "address": hop.address, "rtt_ms": hop.rtt_ms}
    return shown | ({"error": hop.error} if hop.error else {})
