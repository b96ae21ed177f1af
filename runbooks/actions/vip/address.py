"""One address on one interface of one node: is it there, does anybody else have it, take it, let go of it.

Sources: RFC 5227 (detection of conflicts of IPv4 addresses), RFC 4862 5.4 (the same of IPv6, done by the
kernel), arping(8) of iputils, ip-address(8).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface, ip_interface
from typing import Any, Final

from model.errors import NodeAccessError
from model.ports import Clock, CommandResult, NodeAccess

_POLL_S: Final = 0.05
# RFC 5227 waits up to 2 s for three probes; arping counts whole seconds. One second, ended by the first
# answer, is what an outage is made longer by.
PROBE_S: Final = 1
_DUPLICATE: Final = 1


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """Every method raises NodeAccessError: also where a command did not end, so that nobody knows."""

    access: NodeAccess
    clock: Clock
    node: str
    interface: str
    address: str

    @property
    def ip(self) -> str:
        return str(ip_interface(self.address).ip)

    @property
    def is_v4(self) -> bool:
        return isinstance(ip_interface(self.address), IPv4Interface)

    async def present(self, deadline_s: float) -> bool:
        return bool(await self._found(deadline_s))

    async def taken_elsewhere(self, deadline_s: float) -> bool:
        """Somebody else on the link answers for it. Of IPv6 the kernel finds out when it is added."""
        if not self.is_v4:
            return False
        result = await self._run(self.probe_command, deadline_s)
        if result.exit_code not in (0, _DUPLICATE):
            raise self._error("arping", result)
        return result.exit_code == _DUPLICATE

    async def add(self, deadline_s: float) -> bool:
        """False: it is a duplicate, and was let go of again. Told to the neighbours."""
        if not self.is_v4:
            await self._ok(self.notify_command, deadline_s)
        if not await self.present(deadline_s):
            result = await self._run(self.add_command, deadline_s)
            if not result.ok and not await self.present(deadline_s):
                raise self._error("ip address add", result)
        if self.is_v4:
            await self._ok(self.announce_command, deadline_s)
            return True
        if await self._settled(deadline_s):
            return True
        await self.remove(deadline_s)
        return False

    async def remove(self, deadline_s: float) -> None:
        if await self.present(deadline_s):
            result = await self._run(self.remove_command, deadline_s)
            if await self.present(deadline_s):
                raise self._error("ip address del", result)

    @property
    def probe_command(self) -> list[str]:
        return ["arping", "-D", "-q", "-c", "2", "-w", str(PROBE_S), "-I", self.interface, self.ip]

    @property
    def add_command(self) -> list[str]:
        return ["ip", "address", "add", self.address, "dev", self.interface]

    @property
    def remove_command(self) -> list[str]:
        return ["ip", "address", "del", self.address, "dev", self.interface]

    @property
    def announce_command(self) -> list[str]:
        # All at once: the one that waits for them is in an outage. The interval of a second is arping's own.
        return ["arping", "-U", "-q", "-c", "1", "-w", "1", "-I", self.interface, "-s", self.ip, self.ip]

    @property
    def notify_command(self) -> list[str]:
        """The kernel tells the neighbours of an IPv6 address once it is settled."""
        return ["sysctl", "-q", "-w", f"net/ipv6/conf/{self.interface}/ndisc_notify=1"]

    def described(self, *commands: Sequence[str]) -> list[str]:
        return [f"{self.node}: {self.access.describe(command, user='root')}" for command in commands]

    @property
    def taking(self) -> list[str]:
        """The commands of taking it, for a plan."""
        if self.is_v4:
            return self.described(self.probe_command, self.add_command, self.announce_command)
        return self.described(self.notify_command, self.add_command)

    async def _settled(self, deadline_s: float) -> bool:
        """The kernel has found no duplicate of an IPv6 address."""
        while True:
            [found] = await self._found(deadline_s) or [{"dadfailed": True}]
            if found.get("dadfailed"):
                return False
            if not found.get("tentative"):
                return True
            await self.clock.sleep(_POLL_S)

    async def _found(self, deadline_s: float) -> list[dict[str, Any]]:
        result = await self._ok(["ip", "-j", "address", "show", "dev", self.interface], deadline_s)
        wanted = ip_interface(self.address)
        try:
            links: list[dict[str, Any]] = json.loads(result.stdout or "[]")
            addresses = [a for link in links for a in link.get("addr_info", ())]
            return [a for a in addresses if ip_interface(f"{a['local']}/{a['prefixlen']}").ip == wanted.ip]
        except (ValueError, KeyError, TypeError) as error:
            raise NodeAccessError(f"`ip -j` says what can't be read: {error}", where=self.node) from None

    async def _ok(self, argv: Sequence[str], deadline_s: float) -> CommandResult:
        result = await self._run(argv, deadline_s)
        if not result.ok:
            raise self._error(argv[0], result)
        return result

    async def _run(self, argv: Sequence[str], deadline_s: float) -> CommandResult:
        left_s = max(deadline_s - self.clock.monotonic_s(), 0.001)
        result = await self.access.run(argv, timeout_s=left_s, user="root")
        if result.exit_code is None:
            raise NodeAccessError(f"{argv[0]} did not end in time", where=self.node)
        return result

    def _error(self, what: str, result: CommandResult) -> NodeAccessError:
        said = " ".join((result.stderr or result.stdout).split())[:200] or f"exit code {result.exit_code}"
        return NodeAccessError(f"{what}: {said}", where=self.node)
