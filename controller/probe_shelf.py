"""Probes and addresses that are kept from one scrape of `/probe` to the next, in bounded number.

What a probe makes ready is made once, off the loop: reading the authorities for TLS takes tens of ms. And
an address is known while the resolver is down.
"""

from __future__ import annotations

import asyncio
import errno
from collections import OrderedDict
from typing import Final

from config.modules import ProbeModule
from controller.probe_modules import Target, make_probe
from model.ports import Clock
from probes.addresses import WAIT_S, Address, Addresses
from probes.base import Probe, ProbePorts
from probes.families import Family, of_family
from probes.os_errors import OwnError

# Far more than are asked for within the time-out of one: none that is under way is let go.
MOST_KEPT: Final = 1000

Key = tuple[str, Target, str]


class ProbeShelf:
    """Those that were asked for last. `aclose` at the end."""

    def __init__(self, clock: Clock, ports: ProbePorts) -> None:
        self._clock = clock
        self._ports = ports
        self._probes: OrderedDict[Key, tuple[ProbeModule, Probe]] = OrderedDict()
        self._addresses: OrderedDict[str, Addresses] = OrderedDict()
        self._closing: set[asyncio.Future[None]] = set()

    async def probe(self, module: ProbeModule, target: Target, name: str) -> tuple[Probe, bool]:
        """A probe, and whether it is kept; one that is not is the caller's to close. name: of the target, for
        TLS. Raises UsageError, ValidationError."""
        key = (module.name, target, name)
        kept = self._kept(key, module)
        if kept is not None:
            return kept, True
        probe = await asyncio.to_thread(make_probe, module, target, name, self._ports)
        # One at a time: two scrapes would meet in it. Or another scrape has made the same meanwhile.
        if probe.concurrent == 1 or self._kept(key, module) is not None:
            return probe, False
        self._probes[key] = (module, probe)
        while len(self._probes) > MOST_KEPT:
            self._close_behind(self._probes.popitem(last=False)[1][1])
        return probe, True

    def _kept(self, key: Key, module: ProbeModule) -> Probe | None:
        found = self._probes.pop(key, None)
        if found is None:
            return None
        if found[0] is not module:  # of the estate before
            self._close_behind(found[1])
            return None
        self._probes[key] = found
        return found[1]

    def _close_behind(self, probe: Probe) -> None:
        closing = asyncio.ensure_future(probe.aclose())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def address(self, host: str, family: str, within_s: float) -> Address:
        """The first one of the family (any, ipv4, ipv6). Raises OSError, after `within_s` at the latest."""
        known = self._addresses.pop(host, None) or Addresses(host, 0, self._clock)
        self._addresses[host] = known
        while len(self._addresses) > MOST_KEPT:
            self._addresses.popitem(last=False)
        wanted: Family = "ipv4" if family == "ipv4" else "ipv6" if family == "ipv6" else "any"
        fit = of_family(await self._looked_up(known, within_s), wanted)
        if not fit:
            raise OSError(errno.EADDRNOTAVAIL, f"{host} has no address of {family}")
        return fit[0]

    async def _looked_up(self, known: Addresses, within_s: float) -> list[Address]:
        """A scrape has more time than an attempt that is made for a failover, and waits longer."""
        until_s = self._clock.monotonic_s() + within_s - WAIT_S
        while True:
            try:
                return await known.get()
            except OwnError as error:
                if error.errno != errno.ETIMEDOUT or self._clock.monotonic_s() >= until_s:
                    raise

    async def aclose(self) -> None:
        while self._probes:
            await self._probes.popitem()[1][1].aclose()
        if self._closing:
            await asyncio.wait(self._closing)
