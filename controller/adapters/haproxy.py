"""The runtime API of HAProxy for actions: the port `HaproxyApi` on a socket file or on TCP."""

from __future__ import annotations

import asyncio
import socket

from controller.adapters.clock import SystemClock
from model.errors import BalancerError
from probes.addresses import Addresses
from probes.haproxy_socket import connect_file, host_and_port, is_control_socket, read_to_the_end
from probes.sockets import connect, send
from probes.streams import TooLongError

_NOT_ONE_COMMAND = frozenset(";\n\r\\\0")


class HaproxyRuntime:
    """model.ports.HaproxyApi. A connection for each command: what it says then has an end."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._addresses: dict[str, Addresses] = {}

    async def ask(self, socket: str, command: str, *, timeout_s: float) -> str:
        """Raises BalancerError, whose `sent` says whether the command may have been carried out."""
        is_control_socket(socket)
        if _NOT_ONE_COMMAND & set(command):
            raise ValueError(f"not one command: {command!r}")
        conversation = _Conversation()
        try:
            async with asyncio.timeout(timeout_s):
                sock = conversation.sock = await self._connect(socket)
                conversation.sent = True
                await send(sock, f"{command}\n".encode())
                answer = (await read_to_the_end(sock)).decode(errors="replace")
        except TimeoutError:
            raise conversation.error(f"no answer within {timeout_s:g} s", socket) from None
        except (OSError, TooLongError) as exc:
            text = (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
            raise conversation.error(text, socket) from None
        finally:
            conversation.close()
        if not answer.endswith("\n"):
            raise conversation.error("it closed before its answer was complete", socket)
        return answer

    async def _connect(self, where: str) -> socket.socket:
        if where.startswith("/"):
            return await connect_file(where, self._clock)
        if where not in self._addresses:
            self._addresses[where] = Addresses(*host_and_port(where), self._clock)
        return await connect(await self._addresses[where].get())


class _Conversation:
    def __init__(self) -> None:
        self.sock: socket.socket | None = None
        self.sent = False

    def error(self, what: str, where: str) -> BalancerError:
        return BalancerError(what, sent=self.sent, where=f"HAProxy at {where}")

    def close(self) -> None:
        if self.sock is not None:
            self.sock.close()
