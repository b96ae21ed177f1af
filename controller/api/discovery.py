"""`/http_sd`: the estate's targets, as Prometheus' HTTP service discovery reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from config.probes import ProbeEntry
from config.schema import Estate, Member, Service

KINDS: Final = ("member", "node", "probe")

Group = dict[str, Any]


def routes(estate: Callable[[], Estate]) -> list[web.RouteDef]:
    """`?kind=member|node|probe` gives those of one kind."""

    async def http_sd(request: web.Request) -> web.Response:
        kind = request.query.get("kind")
        if kind is not None and kind not in KINDS:
            return web.Response(text=f"kind must be one of {', '.join(KINDS)}\n", status=400)
        return web.json_response(list(target_groups(estate(), kind)))

    return [web.get("/http_sd", http_sd)]


def target_groups(estate: Estate, kind: str | None = None) -> Iterator[Group]:
    """[{targets: [address], labels: {__meta_bcm_…: text}}], one group for each target: members (host:port),
    nodes (an address without a port), declared probes that have an address (URL, host:port or host)."""
    if kind in (None, "member"):
        for service, member in estate.all_members():
            address = member.host if member.port is None else _host_port(member.host, member.port)
            yield _group(address, _member_labels(estate, service, member))
    if kind in (None, "node"):
        for node in estate.nodes.values():
            site = estate.sites[node.site]
            labels = {"kind": "node", "node": node.name, "site": site.name, "site_role": site.role.value}
            yield _group(node.address, labels)
    if kind in (None, "probe"):
        for entry in estate.probes.values():
            address = address_of(entry)
            if address:
                yield _group(address, _probe_labels(entry))


def address_of(entry: ProbeEntry) -> str:
    """Whom the probe asks; "" where its options do not say, as for a command or a heartbeat."""
    options = entry.options
    url = options.get("url")
    if isinstance(url, str):
        parts = urlsplit(url)
        # Anybody may ask: a query may hold a token.
        return parts._replace(query="", fragment="").geturl() if "@" not in parts.netloc else ""
    host, port = options.get("host") or options.get("server"), options.get("port")
    if not isinstance(host, str):
        return ""
    return _host_port(host, port) if isinstance(port, int) else host


def _host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _member_labels(estate: Estate, service: Service, member: Member) -> Mapping[str, str]:
    site = estate.site_of(member)
    return {
        "kind": "member",
        "service": service.name,
        "member": member.name,
        "role": member.role.value,
        "engine": service.engine,
        "node": member.node,
        "site": site.name,
        "site_role": site.role.value,
        "importance": service.importance.value,
    }


def _probe_labels(entry: ProbeEntry) -> Mapping[str, str]:
    about = {"service": entry.service, "member": entry.member, "node": entry.node, "site": entry.site}
    given = {name: value for name, value in about.items() if value is not None}
    return {"kind": "probe", "probe": entry.name, "type": entry.type, "about": entry.about, **given}


def _group(target: str, labels: Mapping[str, str]) -> Group:
    return {"targets": [target], "labels": {f"__meta_bcm_{name}": value for name, value in labels.items()}}
