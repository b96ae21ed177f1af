"""DNS messages over TCP for actions: the port `NameServers`.

TCP, so that nobody but the server can answer, and nothing is cut off.
"""

from __future__ import annotations

import asyncio
import struct

from controller.adapters.clock import SystemClock
from model.errors import NameServerError
from probes.addresses import Addresses
from probes.streams import Stream, open_stream

_LENGTH = struct.Struct("!H")  # before each message over TCP (RFC 1035, 4.2.2)
_PORT = 53


class NameServersOverTcp:
    """model.ports.NameServers. A connection for each message."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._addresses: dict[str, Addresses] = {}

    async def ask(self, server: str, message: bytes, *, timeout_s: float) -> bytes:
        """Raises NameServerError, whose `sent` says whether the message may have been read."""
        stream: Stream | None = None
        try:
            async with asyncio.timeout(timeout_s):
                if server not in self._addresses:
                    self._addresses[server] = Addresses(*host_and_port(server), self._clock)
                stream = await open_stream(await self._addresses[server].get())
                await stream.send(_LENGTH.pack(len(message)) + message)
                (length,) = _LENGTH.unpack(await stream.read_exactly(_LENGTH.size))
                return await stream.read_exactly(length)
        except TimeoutError:
            raise _error(f"no answer within {timeout_s:g} s", server, stream) from None
        except OSError as exc:
            raise _error(exc.strerror or str(exc), server, stream) from None
        finally:
            if stream is not None:
                stream.close()


def host_and_port(server: str) -> tuple[str, int]:
    """Of HOST, HOST:PORT, an IPv6 address, or one in brackets with a port."""
    if server.startswith("["):
        host, _, port = server[1:].partition("]")
        return host, int(port.removeprefix(":") or _PORT)
    host, colon, port = server.partition(":")
    if not colon or ":" in port:
        return server, _PORT
    return host, int(port)


def _error(what: str, server: str, stream: Stream | None) -> NameServerError:
    return NameServerError(what, sent=stream is not None, where=f"name server {server}")
