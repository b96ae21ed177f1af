"""Nodes on one Ethernet for tests: a namespace each, joined by a bridge. Linux, and root or nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from controller.adapters.local import LocalAccess
from model.errors import NodeAccessError
from model.ports import CommandResult, NodeAccess

LINK = "vlan7"


class InNamespace(NodeAccess):
    """Node access to a namespace that a process keeps."""

    def __init__(self, node: str, pid: int) -> None:
        self._access = LocalAccess(node)
        self._node = node
        self._pid = pid
        self.gone = False

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        user: str | None = None,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        if self.gone:
            raise NodeAccessError("no route to host", where=self._node)
        inside = ["nsenter", f"--net=/proc/{self._pid}/ns/net", *argv]
        return await self._access.run(inside, timeout_s=timeout_s, user=user, stdin=stdin, env=env)

    def describe(self, argv: Sequence[str], *, user: str | None = None) -> str:
        return self._access.describe(argv, user=user)


@dataclass
class Ethernet:
    """access: by node. `neighbour`'s cache is what tells whether others were told."""

    pids: dict[str, int] = field(default_factory=dict)
    access: dict[str, InNamespace] = field(default_factory=dict)

    def run(self, node: str, *words: str) -> str:
        command = ["nsenter", f"--net=/proc/{self.pids[node]}/ns/net", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def mac(self, node: str) -> str:
        found = self.run(node, "ip", "-o", "link", "show", "dev", LINK).split()
        return found[found.index("link/ether") + 1]

    def neighbour(self, node: str, ip: str) -> str:
        """The MAC address that a node has cached for an IP address."""
        found = self.run(node, "ip", "neigh", "show", ip, "dev", LINK).split()
        return found[found.index("lladdr") + 1] if "lladdr" in found else ""


@contextmanager
def ethernet(nodes: Sequence[str]) -> Iterator[Ethernet]:
    """Node number i has 10.7.0.i/24 and fd07::i/64. Skips the test where none can be made."""
    made = Ethernet()
    keepers: list[subprocess.Popen[bytes]] = []
    try:
        for name in ("switch", *nodes):
            # Ready once it has said so: then it is in its namespace.
            keeper = subprocess.Popen(
                ["unshare", "-n", "sh", "-c", "echo; exec sleep 600"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
            )
            keepers.append(keeper)
            assert keeper.stdout is not None
            if not keeper.stdout.readline():
                pytest.skip("no network namespace here")
            made.pids[name] = keeper.pid
        _wire(made, nodes)
        made.access = {name: InNamespace(name, made.pids[name]) for name in nodes}
        yield made
    finally:
        for keeper in keepers:
            keeper.kill()
            keeper.communicate()


def _wire(made: Ethernet, nodes: Sequence[str]) -> None:
    try:
        made.run(
            "switch", "ip", "link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0"
        )
        made.run("switch", "ip", "link", "set", "br0", "up")
        for number, name in enumerate(nodes, 1):
            port = f"port{number}"
            peer = ("peer", "name", LINK, "netns", str(made.pids[name]))
            made.run("switch", "ip", "link", "add", port, "type", "veth", *peer)
            made.run("switch", "ip", "link", "set", port, "master", "br0", "up")
            made.run(name, "ip", "link", "set", "lo", "up")
            made.run(name, "ip", "address", "add", f"10.7.0.{number}/24", "dev", LINK)
            made.run(name, "ip", "address", "add", f"fd07::{number}/64", "dev", LINK, "nodad")
            made.run(name, "ip", "link", "set", LINK, "up")
    except subprocess.CalledProcessError as exc:
        pytest.skip(f"no link can be made here (Debian: apt-get install iproute2): {exc.stderr}")
