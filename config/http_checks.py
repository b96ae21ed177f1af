"""Warnings of the HTTP port: who could do what through it, and pushes that nobody takes."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from config.document import Document
from config.findings import Finding
from config.schema import Estate


def http_warnings(estate: Estate, document: Document) -> Iterator[Finding]:
    daemon = estate.daemon
    is_open = not _is_loopback(daemon.http.rpartition(":")[0].strip("[]"))
    if is_open:
        yield document.warning(
            ("daemon", "http"), f"/metrics is open to the network at {daemon.http}",
            "it shows names and states, without a login", "127.0.0.1:9977, or a firewall",
        )  # fmt: skip
    if daemon.probe_endpoint and (is_open or "*" in daemon.probe_endpoint):
        targets = "any target" if "*" in daemon.probe_endpoint else "each of these targets"
        yield document.warning(
            ("daemon", "probe_endpoint"),
            f"whoever reaches {daemon.http} can make this host connect to {targets}",
            "/probe asks for no login", "only what Prometheus has to probe, on loopback",
        )  # fmt: skip
    if daemon.push_token is None:
        yield from _not_taken(estate, document)


def _not_taken(estate: Estate, document: Document) -> Iterator[Finding]:
    why, allowed = "without a token nothing that is pushed is taken", "daemon: {push_token: {file: PATH}}"
    if estate.alerts.rules:
        yield document.warning(
            ("alerts",), "alerts have rules and daemon.push_token is not set", why, allowed, key=True
        )
    for name, entry in estate.probes.items():
        if entry.type == "heartbeat":
            yield document.warning(
                ("probes", name), f"{name} waits for pushes and daemon.push_token is not set", why, allowed,
                key=True,
            )  # fmt: skip


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
