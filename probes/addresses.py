"""Addresses of a host, looked up without blocking the loop and without mistaking a dead DNS for a dead host.

A resolver that does not answer takes 5 s and more, longer than any probe's deadline: a probe that waited for
it would report the *target* silent (S6). So a lookup is waited for briefly, and goes on behind the attempt;
what was once known is used on while it is being refreshed, or while it can't be. A lookup that failed is not
repeated at once, and few are under way at a time: a dead resolver makes thousands of targets ask.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from dataclasses import dataclass
from typing import Any

from model.ports import Clock
from probes.os_errors import OwnError
from probes.threads import AllBusyError, BoundedThreads
from probes.trace import note

# Below the shortest time-out of an attempt (0.25 s), so that the reading is ours before the verdict falls.
WAIT_S = 0.2
# A record that moves is followed within this time; DNS failovers have TTLs of 30 s and more.
FRESH_S = 30.0
# After a lookup that failed, doubled with each one more up to FRESH_S: the next is soon enough to see the
# resolver come back, and no burst of attempts makes a burst of lookups.
RETRY_S = 0.5
# A lookup at a dead resolver keeps its thread for tens of seconds.
MOST_LOOKUPS = 32

_THREADS = BoundedThreads("lookup", MOST_LOOKUPS)


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
        self._next_lookup_s = float("-inf")
        self._lookup: asyncio.Future[list[Address]] | None = None
        self._error: OSError | None = None  # of the last lookup
        self._retry_s = RETRY_S

    async def get(self) -> list[Address]:
        """At least one address. Raises OSError, which `reading_of_os_error` takes for ours."""
        if not self._is_name:
            return self._known
        if self._lookup is None and self._clock.monotonic_s() >= self._next_lookup_s:
            self._begin_lookup()
        if not self._known:
            await self._first_lookup()
        note("%s is %s%s", self._host, _Hosts(self._known), ", as last known" if self._error else "")
        return self._known

    def _begin_lookup(self) -> None:
        host, port = self._host, self._port
        try:
            # In a thread of few: the loop's own pool is shared, and Python waits for its threads at exit.
            self._lookup = _THREADS.start(lambda: _addresses(host, port))
        except AllBusyError:
            self._error = OwnError(errno.EAGAIN, f"{host}: {MOST_LOOKUPS} names are being looked up already")
            return
        self._lookup.add_done_callback(self._looked_up)

    async def _first_lookup(self) -> None:
        """Until something is known. Raises OSError."""
        lookup = self._lookup
        if lookup is None:
            assert self._error is not None  # noqa: S101  # nothing is known, and nothing is under way
            raise _again(self._error)
        limit: asyncio.Future[None] = asyncio.ensure_future(self._clock.sleep(WAIT_S))
        pending: list[asyncio.Future[Any]] = [lookup, limit]
        try:
            await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        finally:
            limit.cancel()
        if not lookup.done():
            raise OwnError(errno.ETIMEDOUT, f"{self._host}: looking up the name takes over {WAIT_S} s")
        self._known = lookup.result()

    def _looked_up(self, lookup: asyncio.Future[list[Address]]) -> None:
        self._lookup = None
        error = None if lookup.cancelled() else lookup.exception()
        if error is None and not lookup.cancelled():
            self._known, self._error, self._retry_s = lookup.result(), None, RETRY_S
            self._next_lookup_s = self._clock.monotonic_s() + FRESH_S
            return
        self._error = error if isinstance(error, OSError) else OSError(errno.EIO, f"lookup: {error}")
        self._next_lookup_s = self._clock.monotonic_s() + self._retry_s
        self._retry_s = min(2 * self._retry_s, FRESH_S)


class _Hosts:
    """Written out only where somebody listens."""

    def __init__(self, addresses: list[Address]) -> None:
        self._addresses = addresses

    def __str__(self) -> str:
        return ", ".join(address.host for address in self._addresses)


def _again(error: OSError) -> OSError:
    """A copy, for an exception that is raised again and again gathers tracebacks."""
    return type(error)(error.errno, error.strerror)


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
