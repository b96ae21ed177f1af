"""Addresses of a host, looked up without blocking the loop and without mistaking a dead DNS for a dead host.

A resolver that does not answer takes 5 s and more, longer than any probe's deadline: a probe that waited for
it would report the *target* silent (S6). So a lookup is waited for briefly, and goes on behind the attempt;
what was once known is used on while it is being refreshed, or while it can't be.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import threading
from dataclasses import dataclass
from typing import Any

from model.ports import Clock
from probes.os_errors import OwnError

# Below the shortest time-out of an attempt (0.25 s), so that the reading is ours before the verdict falls.
WAIT_S = 0.2
# A record that moves is followed within this time; DNS failovers have TTLs of 30 s and more.
FRESH_S = 30.0


@dataclass(frozen=True, slots=True)
class Address:
    """`sockaddr` as the socket calls take it for `family`."""

    family: int
    sockaddr: Any

    @property
    def host(self) -> str:
        return str(self.sockaddr[0])


class Addresses:
    """The addresses of one `host`, with `port`. At most one lookup is under way."""

    def __init__(self, host: str, port: int, clock: Clock) -> None:
        self._host = host
        self._port = port
        self._clock = clock
        self._known = _numeric(host, port)
        self._is_name = not self._known
        self._looked_up_s = float("-inf")
        self._lookup: asyncio.Future[list[Address]] | None = None

    async def get(self) -> list[Address]:
        """At least one address. Raises OSError, which `reading_of_os_error` takes for ours."""
        if not self._is_name:
            return self._known
        stale = self._clock.monotonic_s() - self._looked_up_s > FRESH_S
        if self._lookup is None and (stale or not self._known):
            self._lookup = _begin_lookup(self._host, self._port)
            self._lookup.add_done_callback(self._looked_up)
        if self._known or self._lookup is None:
            return self._known
        lookup = self._lookup
        limit: asyncio.Future[None] = asyncio.ensure_future(self._clock.sleep(WAIT_S))
        pending: list[asyncio.Future[Any]] = [lookup, limit]
        try:
            await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        finally:
            limit.cancel()
        if not lookup.done():
            raise OwnError(errno.ETIMEDOUT, f"{self._host}: looking up the name takes over {WAIT_S} s")
        return lookup.result()

    def _looked_up(self, lookup: asyncio.Future[list[Address]]) -> None:
        self._lookup = None
        self._looked_up_s = self._clock.monotonic_s()
        if lookup.exception() is None:
            self._known = lookup.result()


def _numeric(host: str, port: int) -> list[Address]:
    """The address that `host` is, with its scope; none if it is a name. Asks nobody."""
    with contextlib.suppress(OSError):
        return _addresses(host, port, socket.AI_NUMERICHOST)
    return []


def _addresses(host: str, port: int, flags: int = 0) -> list[Address]:
    """Raises OSError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except UnicodeError as exc:  # an empty label, or one of more than 63 characters
        raise OSError(errno.EINVAL, f"{host}: no valid name: {exc}") from exc
    return list(dict.fromkeys(Address(entry[0], entry[4]) for entry in found))


def _begin_lookup(host: str, port: int) -> asyncio.Future[list[Address]]:
    """In a thread of its own: the loop's pool is shared, six dead lookups would block all who use it, and
    Python waits for its threads at exit."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[list[Address]] = loop.create_future()

    def settle(found: list[Address] | OSError) -> None:
        if isinstance(found, OSError):
            future.set_exception(found)
        else:
            future.set_result(found)

    def look_up() -> None:
        found: list[Address] | OSError
        try:
            found = _addresses(host, port)
        except OSError as exc:
            found = exc
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants to know any more
            loop.call_soon_threadsafe(settle, found)

    threading.Thread(target=look_up, name=f"lookup {host}", daemon=True).start()
    return future
