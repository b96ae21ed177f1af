"""Probe type `gateway`: does this host's own way out work?

The first thing to look at when everything looks dead: then it is this host that is cut off. Many routers drop
pings, so a connection that is refused is an answer too, and where a router never answers anything the table
of neighbours (ARP, NDP) has to do: the kernel notices a dead one within a minute.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Coroutine, Sequence
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field, field_validator

from model.observation import Failure, Layer
from probes.addresses import Address
from probes.base import Probe, ProbeOptions, ProbePorts, Reading
from probes.families import FamilyOptions, check_by_family
from probes.icmp_socket import Pinger, acquire, release
from probes.os_errors import OwnError, reading_of_os_error
from probes.routes import USABLE, Route, default_routes, neighbour_state
from probes.sockets import connect
from probes.trace import note

# A router in the same network answers within a millisecond or not at all; below the shortest time-out of an
# attempt (0.25 s).
PATIENCE_S: Final = 0.2
_LOOK_AGAIN_S: Final = 0.05
# What a connection says where something at the gateway's address lives.
_ANSWERS: Final = frozenset({errno.ECONNREFUSED, errno.ECONNRESET})


class GatewayOptions(FamilyOptions):
    """Which way out."""

    address: str = Field(
        "",
        description="Address of the gateway; that of the default route, if empty, as it is at each attempt.",
    )
    interface: str = Field("", max_length=15, description="Only the way out over this interface.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(
        53,
        description="TCP port to knock at beside the ping; a refusal is as good an answer as a connection.",
    )

    @field_validator("address")
    @classmethod
    def _an_address(cls, value: str) -> str:
        if value and _family(value) is None:
            raise ValueError(
                f"not an IPv4 or IPv6 address: {value!r}; a name could not be looked up without it"
            )
        return value


class GatewayProbe(Probe):
    """This host's own way out: its default gateway.

    Facts: `gateway`, its address; `interface`, the way there; `neighbour`, what the kernel knows of it
    (reachable, stale, delay, probe, incomplete, failed, permanent, noarp, none); `answered_by` (ping, tcp,
    neighbour); `families` with `family: both`.
    """

    type: ClassVar[str] = "gateway"
    layer: ClassVar[Layer] = Layer.NETWORK
    Options = GatewayOptions
    concurrent: ClassVar[int] = 2

    def __init__(self, target: str, options: ProbeOptions, ports: ProbePorts) -> None:
        super().__init__(target, options, ports)
        assert isinstance(options, GatewayOptions)  # noqa: S101  # narrows the type
        self._options = options
        self._pingers: dict[int, Pinger] = {}
        # Gateways that have answered by themselves: of these the kernel's table is no longer enough, for it
        # holds a dead one for reachable for up to a minute.
        self._talkative: set[str] = set()

    async def check(self) -> Reading:
        options = self._options
        try:
            routes = _routes(options)
        except OSError as exc:
            return reading_of_os_error(exc)
        if not routes:
            over = f" over {options.interface}" if options.interface else ""
            text = f"this host has no default route{over}"
            return Reading.unknown(Failure.LOCAL, text, local_error="ENETUNREACH")
        by_address = {_sockaddr(route, options.port): route for route in routes if route.gateway}
        if not by_address:
            text = f"the way out over {routes[0].interface} has no gateway that could be asked"
            return Reading.unknown(None, text, interface=routes[0].interface)

        async def ask(addresses: Sequence[Address]) -> Reading:
            return await self._ask(addresses[0], by_address[addresses[0]])

        return await check_by_family(list(by_address), options.family, ask)

    async def aclose(self) -> None:
        while self._pingers:
            release(self._pingers.popitem()[1])

    async def _ask(self, address: Address, route: Route) -> Reading:
        facts: dict[str, Any] = {"gateway": route.gateway, "interface": route.interface}
        note("asking %s over %s: a ping, and TCP port %d", route.gateway, route.interface, self._options.port)
        tasks = [_task("ping", self._ping(address)), _task("tcp", _knock(address))]
        try:
            reading = await self._heard(tasks, route)
        except OSError as exc:
            reading = reading_of_os_error(exc)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return reading.adding({**facts, "neighbour": _neighbour(route)})

    async def _heard(self, tasks: Sequence[asyncio.Task[None]], route: Route) -> Reading:
        """Raises OSError of the way there."""
        left = list(tasks)
        errors: list[OSError] = []
        timeout_s = PATIENCE_S
        while True:
            if left:
                done, _ = await asyncio.wait(left, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            else:
                await self.ports.clock.sleep(timeout_s)
                done = set()
            for task in [task for task in left if task in done]:
                left.remove(task)
                error = task.exception()
                if error is None:
                    note("%s answered: %s", route.gateway, task.get_name())
                    self._talkative.add(route.gateway)
                    return Reading.ok(f"{route.gateway} answers", answered_by=task.get_name())
                if not isinstance(error, OSError):
                    raise error
                note("%s: %s", task.get_name(), error.strerror or error)
                errors.append(error)
            if not done:
                reading = self._known_of(route)
                if reading is not None:
                    return reading
                timeout_s = _LOOK_AGAIN_S
            elif not left and any(not _is_of_pings(error) for error in errors):
                raise next(error for error in errors if not _is_of_pings(error))

    def _known_of(self, route: Route) -> Reading | None:
        """What the table of neighbours says of one that does not answer; None while that is open."""
        state = _neighbour(route)
        note("%s does not answer; as a neighbour it is %s", route.gateway, state)
        if state == "failed":
            return Reading.failed(Failure.UNREACHABLE, f"{route.gateway} is gone from its network")
        if state in USABLE and route.gateway not in self._talkative:
            text = f"{route.gateway} answers no ping and no connection; as a neighbour it is {state}"
            return Reading.ok(text, answered_by="neighbour")
        return None

    async def _ping(self, address: Address) -> None:
        if address.family not in self._pingers:
            self._pingers[address.family] = acquire(address.family)
        await self._pingers[address.family].ping(address.sockaddr)


def _task(name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.create_task(work, name=name)


async def _knock(address: Address) -> None:
    """Returns when something at the address answers, be it with a refusal. Raises OSError. It also makes the
    kernel look for the neighbour."""
    try:
        (await connect([address])).close()
    except OSError as exc:
        if isinstance(exc, OwnError) or exc.errno not in _ANSWERS:
            raise


def _is_of_pings(error: OSError) -> bool:
    """This user may not ping: nothing is wrong with the way."""
    return error.errno == errno.EPERM


def _routes(options: GatewayOptions) -> list[Route]:
    """Raises OSError."""
    if not options.address:
        return default_routes(options.interface)
    family = _family(options.address)
    assert family is not None  # noqa: S101  # the options were checked
    return [Route(family, options.interface, options.address, 0)]


def _sockaddr(route: Route, port: int) -> Address:
    """Raises OSError where the interface is gone."""
    if route.family == socket.AF_INET:
        return Address(route.family, (route.gateway, port))
    plain, _, scope = route.gateway.partition("%")
    interface = scope or route.interface
    # A link-local address, as routers of IPv6 have, means nothing without its interface.
    index = socket.if_nametoindex(interface) if interface and plain.lower().startswith("fe80") else 0
    return Address(route.family, (plain, port, 0, index))


def _neighbour(route: Route) -> str:
    try:
        return neighbour_state(route.gateway, route.interface)
    except OSError as exc:
        note("the table of neighbours can't be read: %s", exc.strerror or exc)
        return "none"


def _family(address: str) -> int | None:
    plain = address.partition("%")[0]
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, plain)
        except OSError:
            continue
        return family
    return None
