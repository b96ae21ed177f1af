"""Probe type `tcp`: does anything accept a connection here, and does it say what it should?

Each attempt opens a fresh connection. With `hold`, one more is kept open, whose end tells of a crash within
milliseconds; for peers that do not close idle connections by themselves.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from model.observation import Failure, Layer
from probes.addresses import Address, Addresses
from probes.base import Probe, ProbeOptions, ProbePorts, Reading
from probes.families import FamilyOptions, check_by_family, of_family
from probes.os_errors import reading_of_os_error
from probes.sockets import connect, held_until_end, receive, send
from probes.trace import note

MOST_BYTES = 65536  # a greeting is short; a peer that talks on without the expected text never says it


class TcpOptions(FamilyOptions):
    """Where to connect, and what is to be heard."""

    host: str = Field(min_length=1, description="Name or address of the host.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(description="Its port.")
    send: str = Field("", description="Text to send first, in UTF-8.")
    expect: str = Field("", description="Text that must appear in what comes back, within its first 64 KiB.")
    hold: bool = Field(
        False,
        description="Keep a connection open, to notice a crash at once; for peers that leave idle ones open.",
    )


class TcpProbe(Probe):
    """A port that accepts connections, and may have to say something.

    Facts: `address`, which of the host's addresses answered; `families` with `family: both`, what each said.
    """

    type: ClassVar[str] = "tcp"
    layer: ClassVar[Layer] = Layer.NETWORK
    Options = TcpOptions
    concurrent: ClassVar[int] = 4

    def __init__(self, target: str, options: ProbeOptions, ports: ProbePorts) -> None:
        super().__init__(target, options, ports)
        assert isinstance(options, TcpOptions)  # noqa: S101  # narrows the type
        self._options = options
        self._addresses = Addresses(options.host, options.port, ports.clock)

    async def check(self) -> Reading:
        try:
            addresses = await self._addresses.get()
        except OSError as exc:
            return reading_of_os_error(exc)
        if self._options.family == "any":
            return await self._check(addresses)
        return await check_by_family(addresses, self._options.family, self._check)

    async def _check(self, addresses: Sequence[Address]) -> Reading:
        try:
            sock = await connect(addresses)
        except OSError as exc:
            return reading_of_os_error(exc)
        try:
            return await self._converse(sock)
        except OSError as exc:
            return reading_of_os_error(exc)
        finally:
            sock.close()

    async def hold(self) -> Reading | None:
        if not self.keeps_connection:
            return None
        try:
            addresses = of_family(await self._addresses.get(), self._options.family)
        except OSError:
            return None
        return await held_until_end(addresses)

    async def _converse(self, sock: socket.socket) -> Reading:
        address = str(sock.getpeername()[0])
        note("connected to %s", address)
        if self._options.send:
            await send(sock, self._options.send.encode())
            note("sent %r", self._options.send[:60])
        expected = self._options.expect.encode()
        heard = b""
        while expected not in heard:
            if len(heard) > MOST_BYTES:
                return self._not_expected(f"{MOST_BYTES} bytes came, and the text was not among them")
            chunk = await receive(sock)
            if not chunk and heard:
                return self._not_expected(f"said {heard[:60]!r} and closed")
            if not chunk:
                return Reading.failed(Failure.RESET, "closed without a word")
            note("heard %r", chunk[:60])
            heard += chunk
        return Reading.ok(address=address)

    def _not_expected(self, detail: str) -> Reading:
        return Reading.failed(Failure.BAD_ANSWER, f"expected {self._options.expect!r}: {detail}")
