"""What stands where and who needs whom: the estate as indexes, made once. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Self

from config.probes import ProbeEntry
from config.schema import Estate

# Types that open a connection, or ask, from here: an answer shows that the way there works.
DIRECT: Final = frozenset(
    {"icmp", "tcp", "dns", "tls", "http", "ssh", "grpc", "redis", "mariadb", "amqp", "postgresql", "haproxy"}
)
# Types that tell what somebody else sees, whatever the way from here is like.
ELSEWHERE: Final = frozenset({"promql", "heartbeat"})
# Types that see a service as its clients do.
CLIENT_SIDE: Final = frozenset({"tcp", "dns", "tls", "http", "grpc", "haproxy", "icmp"})
PATH: Final = "path"


@dataclass(frozen=True, slots=True)
class Topology:
    """Names, in the order of the estate. site_of: node → site. nodes_of: site → nodes. services_on: node →
    services with a member there. needs: service → services below; above: the other way. devices: site →
    declared probes that look at it from here. about: declared probe → `site/dc1`, `node/db1`…, of those that
    say something of a site or node. hosts: site → addresses that declared probes of it look at, by probe."""

    site_of: Mapping[str, str]
    nodes_of: Mapping[str, tuple[str, ...]]
    services_on: Mapping[str, tuple[str, ...]]
    needs: Mapping[str, tuple[str, ...]]
    above: Mapping[str, tuple[str, ...]]
    devices: Mapping[str, tuple[str, ...]]
    about: Mapping[str, str]
    kinds: Mapping[str, str]
    hosts: Mapping[str, Mapping[str, str]]

    @classmethod
    def of(cls, estate: Estate) -> Self:
        site_of = {name: node.site for name, node in estate.nodes.items()}
        nodes_of: dict[str, list[str]] = {site: [] for site in estate.sites}
        for node, site in site_of.items():
            nodes_of[site].append(node)
        telling = {n: p for n, p in estate.probes.items() if (p.site or p.node) and p.service is None}
        devices: dict[str, list[str]] = {site: [] for site in estate.sites}
        hosts: dict[str, dict[str, str]] = {site: {} for site in estate.sites}
        for name, probe in telling.items():
            if probe.site is None:
                continue
            if probe.type in DIRECT:
                devices[probe.site].append(name)
                hosts[probe.site][name] = _host(probe)
        needs = {name: service.depends_on for name, service in estate.services.items()}
        return cls(
            site_of=site_of,
            nodes_of={site: tuple(nodes) for site, nodes in nodes_of.items()},
            services_on=turned(
                {name: [m.node for m in s.members.values()] for name, s in estate.services.items()}
            ),
            needs=needs,
            above=turned(needs),
            devices={site: tuple(names) for site, names in devices.items()},
            about={name: probe.about for name, probe in telling.items()},
            kinds={name: probe.type for name, probe in telling.items()},
            hosts=hosts,
        )


def turned(index: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """The index the other way round; each once, in order."""
    found: dict[str, dict[str, None]] = {}
    for name, others in index.items():
        for other in others:
            found.setdefault(other, {})[name] = None
    return {other: tuple(names) for other, names in found.items()}


def _host(probe: ProbeEntry) -> str:
    host = probe.options.get("host")
    return host if isinstance(host, str) else ""
