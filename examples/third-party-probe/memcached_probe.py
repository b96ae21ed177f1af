"""Probe type `memcached`: does a memcached answer, and is it of a version that is wanted?"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from model.observation import Failure, Layer
from probes.addresses import Addresses
from probes.base import Probe, ProbeOptions, ProbePorts, Reading
from probes.os_errors import reading_of_os_error
from probes.sockets import connect, receive, send
from probes.trace import note

MOST_BYTES = 1024  # the answer is one short line; what talks on is something else


class MemcachedOptions(ProbeOptions):
    host: str = Field(description="Name or address of the server.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(11211, description="Its TCP port.")
    version: str = Field("", description="What its version must begin with; any, if empty.")


class MemcachedProbe(Probe):
    """Asks a memcached for its version. Fact `version`: what it said."""

    type: ClassVar[str] = "memcached"
    layer: ClassVar[Layer] = Layer.APPLICATION
    Options = MemcachedOptions
    concurrent: ClassVar[int] = 4

    def __init__(self, target: str, options: ProbeOptions, ports: ProbePorts) -> None:
        super().__init__(target, options, ports)
        assert isinstance(options, MemcachedOptions)
        self._wanted = options.version
        self._addresses = Addresses(options.host, options.port, ports.clock)

    async def check(self) -> Reading:
        try:
            sock = await connect(await self._addresses.get())
        except OSError as exc:
            return reading_of_os_error(exc)
        try:
            note("connected to %s", sock.getpeername()[0])
            await send(sock, b"version\r\n")
            answer = b""
            while b"\n" not in answer and len(answer) < MOST_BYTES:
                chunk = await receive(sock)
                if not chunk:
                    return Reading.failed(Failure.RESET, "closed before it had answered")
                answer += chunk
        except OSError as exc:
            return reading_of_os_error(exc)
        finally:
            sock.close()
        note("answered %r", answer[:80])
        return self._judged(answer)

    def _judged(self, answer: bytes) -> Reading:
        word, _, version = answer.decode("ascii", "replace").strip().partition(" ")
        if word != "VERSION":
            return Reading.failed(Failure.BAD_ANSWER, f"no memcached: answered {answer[:60]!r}")
        if not version.startswith(self._wanted):
            return Reading.failed(
                Failure.BAD_ANSWER, f"version {version}, expected {self._wanted}", version=version
            )
        return Reading.ok(f"version {version}", version=version)
