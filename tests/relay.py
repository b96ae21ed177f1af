"""A server of this machine, reachable in another network namespace: a relay of bytes on the running loop."""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def relay(pid: int, address: str, port: int, outside: Executor) -> AsyncIterator[int]:
    """Listens at `address` in the network namespace of process `pid`; gives the port. What comes goes to
    `port` on loopback, as the threads of `outside` see it, which were started in the server's network."""
    loop = asyncio.get_running_loop()
    listener = _listener(pid, address)
    tasks: set[asyncio.Task[None]] = set()

    async def accept() -> None:
        while True:
            near, _ = await loop.sock_accept(listener)
            near.setblocking(False)
            far = await loop.run_in_executor(outside, socket.create_connection, ("127.0.0.1", port))
            far.setblocking(False)
            tasks.add(asyncio.ensure_future(_pass_on(near, far)))

    tasks.add(asyncio.ensure_future(accept()))
    try:
        yield listener.getsockname()[1]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        listener.close()


async def _pass_on(near: socket.socket, far: socket.socket) -> None:
    """Both ways, until one of them ends."""
    ways = [asyncio.ensure_future(_pump(near, far)), asyncio.ensure_future(_pump(far, near))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        near.close()
        far.close()


async def _pump(source: socket.socket, target: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    with suppress(OSError):
        while data := await loop.sock_recv(source, 65536):
            await loop.sock_sendall(target, data)


def _listener(pid: int, address: str) -> socket.socket:
    """A socket stays in the namespace in which it was made, whoever uses it."""
    made: list[socket.socket] = []

    def make() -> None:
        fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(fd, 0) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(fd)
        sock = socket.create_server((address, 0))
        sock.setblocking(False)
        made.append(sock)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]
