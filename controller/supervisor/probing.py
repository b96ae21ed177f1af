"""Which probes watch a service, made from the estate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from config.schema import Estate, Member, Service
from controller.views import CANARY, PG
from model.health import Profile
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


def canary_patience_s(profile: Profile) -> float:
    """After so long a write that is blocked is judged: before the scheduler would call it silence."""
    return 0.8 * min(profile.timeout_s, profile.burst_timeout_s)


class ProbeFactory:
    """Makes probes for one estate."""

    def __init__(self, estate: Estate, clock: Clock, secrets: Secrets) -> None:
        self._estate = estate
        self._clock = clock
        self._secrets = secrets

    def of_service(self, service: Service, nodes: dict[str, NodeAccess]) -> Iterator[Watch]:
        """The probe of each member. Nodes have theirs once, whatever runs there: see `of_nodes`."""
        for member in service.members.values():
            yield self._watch(PG, service, member, nodes.get(member.node))

    def canary(self, service: Service, member: Member) -> Watch:
        return self._watch(CANARY, service, member, None, service.detection.canary_interval_s)

    def of_nodes(self) -> Iterator[Watch]:
        for node in self._estate.nodes.values():
            if node.ping:
                yield self._plain(ICMP, f"node/{node.name}", {"host": node.address})

    def of_references(self) -> Iterator[Watch]:
        """What answers if this host's own network works (S6)."""
        for address in self._estate.daemon.reference_targets:
            host, _, port = address.rpartition(":")
            yield self._plain(TCP, f"reference/{address}", {"host": host.strip("[]"), "port": int(port)})

    def _watch(
        self,
        type_: str,
        service: Service,
        member: Member,
        node: NodeAccess | None,
        interval_s: float | None = None,
    ) -> Watch:
        settings = service.postgresql
        monitor = settings.roles.monitor
        options: dict[str, object] = {
            "host": member.host,
            "port": member.port,
            "user": monitor.user,
            "password": monitor.password,
            "database": settings.canary_database,
            "sslmode": settings.sslmode,
            "sslrootcert": str(settings.sslrootcert) if settings.sslrootcert else None,
        }
        if type_ == CANARY:
            options["answer_within_s"] = canary_patience_s(service.detection)
        if type_ == PG and node is not None:
            options["data_dir"] = str(member.data_dir)
            options["wal_dir"] = str(member.wal_dir) if member.wal_dir else None
            options["os_user"] = member.os_user
        kind = load_probe_type(type_)
        ports = ProbePorts(self._clock, self._secrets, node)
        target = f"{service.name}/{member.name}"
        return Watch(target, type_, kind(target, kind.Options.model_validate(options), ports), interval_s)

    def _plain(self, type_: str, target: str, options: dict[str, object]) -> Watch:
        kind = load_probe_type(type_)
        ports = ProbePorts(self._clock, self._secrets)
        return Watch(target, type_, kind(target, kind.Options.model_validate(options), ports))
