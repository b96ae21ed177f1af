"""Which probes watch a service, made from the estate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from config.schema import Estate, Member, PostgresqlService, Service
from controller.engines import ENGINES
from controller.supervisor.member_probes import canary_options, options_of
from controller.views import CANARY
from model.ports import Clock, NodeAccess, Secrets
from probes.base import Probe, ProbePorts
from probes.registry import load_probe_type

ICMP = "icmp"
TCP = "tcp"


@dataclass(frozen=True, slots=True)
class Watch:
    """One probe of one target; `interval_s` None: that of the service's profile."""

    target: str
    type: str
    probe: Probe
    interval_s: float | None = None


class ProbeFactory:
    """Makes probes for one estate."""

    def __init__(self, estate: Estate, clock: Clock, secrets: Secrets) -> None:
        self._estate = estate
        self._clock = clock
        self._secrets = secrets

    def of_service(self, service: Service, nodes: Mapping[str, NodeAccess]) -> Iterator[Watch]:
        """The probe of each member. Nodes have theirs once, whatever runs there: see `of_nodes`."""
        if ENGINES[service.engine].probe:
            for member in service.members.values():
                yield self.of_member(service, member, nodes.get(member.node))

    def of_member(
        self, service: Service, member: Member, node: NodeAccess | None, *, writes: bool = False
    ) -> Watch:
        """writes: it is to be written to as well, where the engine's probe can do that."""
        options = options_of(service, member, node_access=node is not None, writes=writes)
        return self._made(ENGINES[service.engine].probe, f"{service.name}/{member.name}", options, node)

    def canary(self, service: Service, member: Member) -> Watch | None:
        """None for an engine that needs no probe of its own to write."""
        if not isinstance(service, PostgresqlService):
            return None
        options = canary_options(service, service.members[member.name])
        made = self._made(CANARY, f"{service.name}/{member.name}", options, None)
        return replace(made, interval_s=service.detection.canary_interval_s)

    def of_nodes(self) -> Iterator[Watch]:
        for node in self._estate.nodes.values():
            if node.ping:
                yield self._made(ICMP, f"node/{node.name}", {"host": node.address}, None)

    def of_references(self) -> Iterator[Watch]:
        """What answers if this host's own network works (S6)."""
        for address in self._estate.daemon.reference_targets:
            host, _, port = address.rpartition(":")
            options = {"host": host.strip("[]"), "port": int(port)}
            yield self._made(TCP, f"reference/{address}", options, None)

    def _made(self, type_: str, target: str, options: Mapping[str, object], node: NodeAccess | None) -> Watch:
        kind = load_probe_type(type_)
        ports = ProbePorts(self._clock, self._secrets, node)
        return Watch(target, type_, kind(target, kind.Options.model_validate(options), ports))
