"""Probe type `tcp`: does anything accept a connection here, and does it say what it should?

Each attempt opens a fresh connection. With `hold`, one more is kept open, whose end tells of a crash within
milliseconds; for peers that do not close idle connections by themselves.
"""

from __future__ import annotations

import socket
from typing import Annotated, ClassVar

from pydantic import Field

from model.observation import Failure, Layer
from probes.addresses import Addresses
from probes.base import Probe, ProbeOptions, ProbePorts, Reading
from probes.os_errors import reading_of_os_error
from probes.sockets import connect, held_until_end, receive, send

MOST_BYTES = 65536  # a greeting is short; a peer that talks on without the expected text never says it


class TcpOptions(ProbeOptions):
    """`send` is sent first, then `expect` must appear in what comes back; both are text in UTF-8."""

    host: str
    port: Annotated[int, Field(ge=1, le=65535)]
    send: str = ""
    expect: str = ""
    hold: bool = False


class TcpProbe(Probe):
    """One port. Fact `address`: which of the host's addresses answered."""

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
            sock = await connect(await self._addresses.get())
        except OSError as exc:
            return reading_of_os_error(exc)
        try:
            return await self._converse(sock)
        except OSError as exc:
            return reading_of_os_error(exc)
        finally:
            sock.close()

    @property
    def keeps_connection(self) -> bool:
        return self._options.hold

    async def hold(self) -> Reading | None:
        if not self.keeps_connection:
            return None
        try:
            addresses = await self._addresses.get()
        except OSError:
            return None
        return await held_until_end(addresses)

    async def _converse(self, sock: socket.socket) -> Reading:
        address = str(sock.getpeername()[0])
        await send(sock, self._options.send.encode())
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
            heard += chunk
        return Reading.ok(address=address)

    def _not_expected(self, detail: str) -> Reading:
        return Reading.failed(Failure.BAD_ANSWER, f"expected {self._options.expect!r}: {detail}")
