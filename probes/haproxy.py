"""Probe type `haproxy`: which servers does HAProxy itself hold for usable, and is that enough?

Asked over its stats socket, on this host or over TCP. It tells what the load balancer does with the traffic,
which is not the same as whether the servers answer: the types that ask them tell that.
"""

from __future__ import annotations

import socket
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from model.observation import Failure, Layer
from probes.addresses import Addresses
from probes.base import Probe, ProbeOptions, ProbePorts, Reading
from probes.haproxy_socket import connect_file, host_and_port, is_control_socket, read_to_the_end
from probes.haproxy_stats import BACKEND, NoStatsError, Row, read_info, read_rows
from probes.os_errors import reading_of_os_error
from probes.sockets import connect, send
from probes.streams import TooLongError
from probes.texts import one_line
from probes.trace import note

_BACKENDS_AND_SERVERS = 6  # bits: 1 frontends, 2 backends, 4 servers


class HaproxyOptions(ProbeOptions):
    """Where HAProxy is asked, of what, and what is expected."""

    socket: str = Field(
        description="Its stats socket (level user is enough): the absolute path of the file, or HOST:PORT."
    )
    backend: str = Field(
        description="Name of the backend or of the `listen` section.", pattern=r"^[A-Za-z0-9_.:-]{1,128}$"
    )
    server: str = Field("", description="One server of it; if empty, the backend as a whole.")
    expect: Literal["up", "drain", "maint"] = Field(
        "up",
        description="up: the server takes traffic (one without checks is held to), or at least `min_up` of "
        "the backend's do; drain or maint: the server, or every one of the backend, is in that state.",
    )
    min_up: Annotated[int, Field(ge=1, le=10000)] = Field(
        1, description="How many servers of the backend must be up. Backup servers count."
    )

    @model_validator(mode="after")
    def _make_sense(self) -> Self:
        if self.min_up != 1 and (self.server or self.expect != "up"):
            raise ValueError("`min_up` is for a backend as a whole that is expected to be up")
        is_control_socket(self.socket)
        return self


class HaproxyProbe(Probe):
    """A backend of HAProxy, or one server of it, as its stats socket tells.

    Facts: `backend_status`; `up` and `total`, counts of its servers; `servers` {name: {status, check_status,
    sessions, weight, address, last_change_s: seconds since it last went up or down, downtime_s: in sum}},
    with the name of `server` only, if one is asked for; `version`, `uptime_s`, `stopping` (an old process
    after a reload) of HAProxy itself.
    """

    type: ClassVar[str] = "haproxy"
    layer: ClassVar[Layer] = Layer.APPLICATION
    Options = HaproxyOptions
    concurrent: ClassVar[int] = 4

    def __init__(self, target: str, options: ProbeOptions, ports: ProbePorts) -> None:
        super().__init__(target, options, ports)
        assert isinstance(options, HaproxyOptions)  # noqa: S101  # narrows the type
        self._options = options
        self._addresses = None
        if not options.socket.startswith("/"):
            self._addresses = Addresses(*host_and_port(options.socket), ports.clock)
        self._question = f"show info;show stat {options.backend} {_BACKENDS_AND_SERVERS} -1\n".encode()

    async def check(self) -> Reading:
        try:
            sock = await self._connect()
        except OSError as exc:
            return reading_of_os_error(exc)
        try:
            note("connected to %s", self._options.socket)
            await send(sock, self._question)
            answer = await read_to_the_end(sock, _judge_start)
        except OSError as exc:
            return reading_of_os_error(exc)
        except (NoStatsError, TooLongError) as exc:
            return Reading.failed(Failure.BAD_ANSWER, str(exc))
        finally:
            sock.close()
        note("got %d bytes", len(answer))
        if not answer:
            return Reading.failed(Failure.RESET, "closed without an answer")
        return self._read(answer.decode(errors="replace"))

    async def _connect(self) -> socket.socket:
        """Raises OSError."""
        if self._addresses is None:
            return await connect_file(self._options.socket, self.ports.clock)
        addresses = await self._addresses.get()
        note("resolved %s: %s", self._options.socket, ", ".join(address.host for address in addresses))
        return await connect(addresses)

    def _read(self, text: str) -> Reading:
        first, ended, second = text.partition("\n\n")  # each answer ends in an empty line
        if not ended:
            return Reading.failed(Failure.RESET, "closed in the middle of the answer")
        try:
            info = read_info(first)
            rows = read_rows(second, self._options.backend)
        except NoStatsError as exc:
            return Reading.failed(Failure.BAD_ANSWER, str(exc))
        facts: dict[str, Any] = {
            "version": info["Version"],
            "uptime_s": int(info["Uptime_sec"]) if info.get("Uptime_sec", "").isdigit() else None,
            "stopping": info.get("Stopping", "0") != "0",
        }
        whole = next(row for row in rows if row.name == BACKEND)
        servers = [row for row in rows if row.name != BACKEND]
        for row in servers:
            note("%s: %s %s", row.name, row.status, row.check_status)
        wanted = [row for row in servers if self._options.server in ("", row.name)]
        facts |= {
            "backend_status": whole.status,
            "up": sum(row.usable for row in servers),
            "total": len(servers),
            "servers": {row.name: row.to_json() for row in wanted},
        }
        fault = self._one(wanted) if self._options.server else self._all(whole, servers)
        note("judged: %s", fault or "as expected")
        if fault:
            return Reading.failed(Failure.BAD_ANSWER, fault, **facts)
        return Reading.ok(f"{facts['up']} of {facts['total']} up", **facts)

    def _one(self, found: list[Row]) -> str:
        """What is wrong with the server, "" if it is as expected."""
        if not found:
            return f"backend {self._options.backend!r} has no server {self._options.server!r}"
        row = found[0]
        if row.usable if self._options.expect == "up" else row.state == self._options.expect:
            return ""
        why = f" ({row.check_status})" if row.check_status else ""
        return f"{row.name} is {one_line(row.status)}{why}, expected {self._options.expect}"

    def _all(self, whole: Row, servers: list[Row]) -> str:
        backend = self._options.backend
        if self._options.expect == "up":
            up = sum(row.usable for row in servers)
            if not whole.usable:
                return (
                    f"backend {backend!r} is {one_line(whole.status)}: {up} of {len(servers)} servers are up"
                )
            if up < self._options.min_up:
                return f"{up} of {len(servers)} servers are up, expected at least {self._options.min_up}"
            return ""
        others = [row for row in servers if row.state != self._options.expect]
        if others:
            names = ", ".join(f"{row.name} is {one_line(row.status)}" for row in others[:5])
            return f"{names}; expected {self._options.expect}"
        return "" if servers else f"backend {backend!r} has no servers"


def _judge_start(answer: bytes) -> None:
    """Raises NoStatsError for what can't be an answer of HAProxy, before all of it was read."""
    if not b"Name: ".startswith(answer[:6]):
        raise NoStatsError(f"no stats socket of HAProxy: it begins with {answer[:20]!r}")
