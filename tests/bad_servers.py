"""TCP peers on loopback that misbehave, each in one way, for the tests of what the network can do.

As a program it serves all of them, so that their work is none of the tested process:
`in_a_process_of_their_own`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path

LOOPBACK = "127.0.0.1"
FLOOD = b"A"  # of these a line that never ends

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Peer = Callable[[], AbstractAsyncContextManager[int]]


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Accepts, reads, and says nothing."""
    while await reader.read(1024):
        pass


async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accepts and resets."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def closes(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accepts and closes without a word."""
    writer.close()


async def drips(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A byte now and then, for ever."""
    for byte in b"HTTP/1.1 200 OK\r\n" + b"R" * 10_000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.04)


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Bytes of no protocol, and then nothing."""
    writer.write(b"\x00\xff\x13\x37" * 64)
    await silent(reader, writer)


def flooding(greeting: bytes = b"", flood: bytes = FLOOD) -> Handler:
    """`greeting`, then `flood` again and again, as fast as it is read."""
    much = flood * (65536 // len(flood))

    async def handle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        while True:
            writer.write(much)
            await writer.drain()

    return handle


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    """The port on which `handler` serves."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await handler(reader, writer)
        finally:
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(handle, LOOPBACK, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.sleep(0)
        while tasks:
            await asyncio.sleep(0)
        await server.wait_closed()


@asynccontextmanager
async def stalled() -> AsyncIterator[int]:
    """The kernel accepts, the server does not: a stopped process. Nothing is ever read or sent."""
    with socket.create_server((LOOPBACK, 0), backlog=128) as sock:
        yield sock.getsockname()[1]


@asynccontextmanager
async def black_hole() -> AsyncIterator[int]:
    """SYNs are dropped: the backlog is full, and nobody accepts."""
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.create_server((LOOPBACK, 0), backlog=0))
        port = sock.getsockname()[1]
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((LOOPBACK, port))
        yield port


@asynccontextmanager
async def nobody() -> AsyncIterator[int]:
    """A port that refuses: bound, so that nobody else gets it, and not listening."""
    with socket.socket() as sock:
        sock.bind((LOOPBACK, 0))
        yield sock.getsockname()[1]


BAD_PEERS: dict[str, Peer] = {
    "silent": lambda: serving(silent),
    "stalled": stalled,
    "black hole": black_hole,
    "drips": lambda: serving(drips),
    "floods": lambda: serving(flooding()),
    "resets": lambda: serving(reset),
    "closes": lambda: serving(closes),
    "garbage": lambda: serving(garbage),
    "refuses": nobody,
}


@contextmanager
def in_a_process_of_their_own(floods: Mapping[str, tuple[bytes, bytes]]) -> Iterator[Mapping[str, int]]:
    """Name of each of BAD_PEERS, and of each of `floods` (greeting and what follows it) → port."""
    wanted = json.dumps({name: [part.hex() for part in flood] for name, flood in floods.items()})
    command = [sys.executable, "-m", "tests.bad_servers", wanted]
    root = Path(__file__).parents[1]
    peers = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)
    assert peers.stdout is not None
    try:
        yield json.loads(peers.stdout.readline())
    finally:
        peers.kill()
        peers.communicate()


async def _serve_all(floods: Mapping[str, tuple[str, str]]) -> None:
    """Until whoever started it is gone."""
    async with contextlib.AsyncExitStack() as stack:
        kinds = dict(BAD_PEERS)
        for name, parts in floods.items():
            handler = flooding(*map(bytes.fromhex, parts))
            kinds[name] = lambda handler=handler: serving(handler)  # type: ignore[misc]
        ports = {name: await stack.enter_async_context(peer()) for name, peer in kinds.items()}
        print(json.dumps(ports), flush=True)
        await asyncio.to_thread(sys.stdin.read)


def open_sockets(kind: str = "socket:") -> set[str]:
    """The sockets of this process, or its pipes, as the kernel names them."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            name = os.readlink(f"/proc/self/fd/{fd}")
            if name.startswith(kind):
                found.add(name)
    return found


if __name__ == "__main__":
    asyncio.run(_serve_all(json.loads(sys.argv[1])))
