"""Node access by node name, as the estate declares it."""

from __future__ import annotations

import asyncio

from config.schema import Estate, Node
from controller.adapters.local import LocalAccess
from controller.adapters.ssh import SshAccess
from model.errors import NodeAccessError
from model.ports import NodeAccess, Secrets


class NodeAccesses:
    """One access for each node that has any; connections are made when first used."""

    def __init__(self, estate: Estate, secrets: Secrets) -> None:
        self._estate = estate
        self._accesses: dict[str, LocalAccess | SshAccess] = {}
        for node in estate.nodes.values():
            access = _access(node, secrets)
            if access is not None:
                self._accesses[node.name] = access

    def access(self, node: str) -> NodeAccess:
        """Raises NodeAccessError where none is configured."""
        try:
            return self._accesses[node]
        except KeyError:
            known = node in self._estate.nodes
            what = "no access to this node is configured" if known else "there is no node of this name"
            hint = (
                "set `access: ssh` or `access: local`"
                if known
                else f"name one of {', '.join(self._estate.nodes)}"
            )
            raise NodeAccessError(what, where=f"node {node}", hint=hint) from None

    def all(self) -> dict[str, NodeAccess]:
        return dict(self._accesses)

    async def aclose(self) -> None:
        """Close every connection; commands that are under way end with an unknown outcome."""
        await asyncio.gather(*(access.aclose() for access in self._accesses.values()))


def _access(node: Node, secrets: Secrets) -> LocalAccess | SshAccess | None:
    match node.access:
        case "local":
            return LocalAccess(node.name)
        case "ssh":
            return SshAccess(node.name, node.address, node.ssh, secrets)
        case "none":
            return None
