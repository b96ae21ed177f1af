"""Modules of `/probe?target=&module=`: what is checked of a target that Prometheus names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import Field

from config.base import EstateModel, KeyedName, Name
from config.durations import PositiveSeconds


class ProbeModule(EstateModel):
    """A kind of check without its target, in the manner of blackbox_exporter's modules."""

    name: KeyedName = Field("", exclude=True)
    type: Name = Field(description="http, tcp, icmp, dns, tls or grpc: a type that is told whom to ask.")
    options: Mapping[str, Any] = Field(
        {}, description="Of the type, without its target: `bcm-failover probe list TYPE`."
    )
    # Scrapes time out after 10 s by default: the answer must be there before.
    timeout: PositiveSeconds = Field(
        5.0, description="The longest that it takes; a shorter time-out of the scrape goes first."
    )


# There without being declared; one of the same name in the estate takes its place.
BUILT_IN: Final[Mapping[str, ProbeModule]] = {
    module.name: module
    for module in (
        ProbeModule(name="http_2xx", type="http"),
        ProbeModule(name="http_post_2xx", type="http", options={"method": "POST"}),
        ProbeModule(name="tcp_connect", type="tcp"),
        ProbeModule(name="ssh_banner", type="tcp", options={"expect": "SSH-2.0-"}),
        ProbeModule(name="icmp", type="icmp"),
        # Whatever a name server is for, it can say who is responsible for the root.
        ProbeModule(name="dns_udp", type="dns", options={"name": ".", "record": "SOA"}),
        ProbeModule(name="dns_tcp", type="dns", options={"name": ".", "record": "SOA", "transport": "tcp"}),
        ProbeModule(name="tls_connect", type="tls"),
    )
}
