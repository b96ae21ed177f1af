"""One attempt in the words of blackbox_exporter, so that dashboards and alerts made for it go on working.

What the probe did not find out has no series. `bcm_probe_unknown` is ours: at 1 the attempt could not be made
from here, and `probe_success 0` says nothing of the target.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from model.observation import Failure, Observation, Outcome

# blackbox_exporter's phase → our fact. What is left of the attempt went to the body.
_HTTP_PHASES: Final = {
    "resolve": "resolve_ms", "connect": "connect_ms", "tls": "tls_ms", "processing": "first_byte_ms"
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was seen. lookup_s: time that finding the address took, None where the probe did that itself.
    address: that was asked, as far as it is known. https: the target's URL is one."""

    type: str
    seen: Observation
    lookup_s: float | None
    address: str | None
    https: bool = False

    @property
    def duration_s(self) -> float:
        return self.seen.latency_s + (self.lookup_s or 0.0)


def render_attempt(attempt: Attempt) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(attempt))
    return generate_latest(registry)


class _Collected(Collector):
    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def collect(self) -> Iterator[Metric]:
        yield from _common(self._attempt)
        match self._attempt.type:
            case "http":
                yield from _http(self._attempt)
            case "icmp":
                yield from _icmp(self._attempt)
            case "dns":
                yield from _dns(self._attempt)
            case "tcp" | "tls":
                yield _regex(self._attempt, self._attempt.type == "tcp")
        yield from _certificate(self._attempt.seen.facts)


def _common(attempt: Attempt) -> Iterator[Metric]:
    seen, facts = attempt.seen, attempt.seen.facts
    yield _one("probe_success", "1 if the probe was a success.", seen.outcome is Outcome.SUCCEEDED)
    yield _one(
        "bcm_probe_unknown",
        "1 if it could not be found out from here: nothing is said of the target.",
        seen.outcome is Outcome.UNKNOWN,
    )
    yield _one("probe_duration_seconds", "How long the probe took, in seconds.", attempt.duration_s)
    lookup_s = attempt.lookup_s
    if lookup_s is None:
        lookup_s = _milliseconds(facts, "resolve_ms")
    yield _one("probe_dns_lookup_time_seconds", "Time taken by the lookup of the name.", lookup_s or 0.0)
    text = facts.get("address") or attempt.address
    address = _ip(text)
    yield _one(
        "probe_ip_protocol", "4 or 6: version of IP; 0 if not known.", address.version if address else 0
    )
    if address is not None:
        yield _one("probe_ip_addr_hash", "Hash of the address: changes with it.", _fnv1a(address.packed))


def _http(attempt: Attempt) -> Iterator[Metric]:
    facts = attempt.seen.facts
    status = facts.get("status")
    yield _regex(attempt, status is not None and not attempt.seen.detail.startswith("status "))
    yield _one("probe_http_status_code", "Status of the response; 0 if none came.", status or 0)
    yield _one("probe_http_redirects", "Redirects that were followed.", facts.get("redirects", 0))
    yield _one("probe_http_ssl", "1 if the response came over TLS.", attempt.https and "tls_ms" in facts)
    length = facts.get("content_length_bytes", 0 if status is None else -1)
    yield _one("probe_http_content_length", "Length of the body as stated; -1 if it is not.", length)
    yield _one("probe_http_version", "Version of HTTP of the response; 0 if none came.", _version(facts))
    phases = GaugeMetricFamily(
        "probe_http_duration_seconds",
        "Duration of the request by phase, over all redirects.",
        labels=["phase"],
    )
    known = {phase: _milliseconds(facts, key) or 0.0 for phase, key in _HTTP_PHASES.items()}
    rest_s = attempt.seen.latency_s - sum(known.values()) if status is not None else 0.0
    for phase, spent_s in {**known, "transfer": max(0.0, rest_s)}.items():
        phases.add_metric([phase], spent_s)
    yield phases


def _icmp(attempt: Attempt) -> Iterator[Metric]:
    phases = GaugeMetricFamily(
        "probe_icmp_duration_seconds", "Duration of the ping by phase.", labels=["phase"]
    )
    answered = attempt.seen.outcome is Outcome.SUCCEEDED
    rtt_ms = _milliseconds(attempt.seen.facts, "rtt_ms")
    rtt_s = rtt_ms if rtt_ms is not None else attempt.seen.latency_s
    for phase, spent_s in (("resolve", attempt.lookup_s or 0.0), ("setup", 0.0), ("rtt", rtt_s)):
        phases.add_metric([phase], spent_s if answered or phase == "resolve" else 0.0)
    yield phases
    hops = next((attempt.seen.facts[k] for k in ("hop_limit", "ttl") if k in attempt.seen.facts), None)
    if hops is not None:
        yield _one("probe_icmp_reply_hop_limit", "Hops that the reply had left (TTL).", hops)


def _dns(attempt: Attempt) -> Iterator[Metric]:
    facts = attempt.seen.facts
    answered = "rcode" in facts
    yield _one("probe_dns_query_succeeded", "1 if the server answered, whatever it said.", answered)
    phases = GaugeMetricFamily(
        "probe_dns_duration_seconds", "Duration of the query by phase.", labels=["phase"]
    )
    request_s = attempt.seen.latency_s if answered else 0.0
    for phase, spent_s in (("resolve", attempt.lookup_s or 0.0), ("connect", 0.0), ("request", request_s)):
        phases.add_metric([phase], spent_s)
    yield phases
    if answered:
        count = len(facts.get("answers", ())) + len(facts.get("names", ()))
        yield _one("probe_dns_answer_rrs", "Records of the answer.", count)
    if "serial" in facts:
        yield _one("probe_dns_serial", "Serial number of the zone.", facts["serial"])


def _certificate(facts: Mapping[str, Any]) -> Iterator[Metric]:
    if "certificate_ends_s" in facts:
        text = "End of the certificate that ends first, in seconds since 1970."
        yield _one("probe_ssl_earliest_cert_expiry", text, facts["certificate_ends_s"])
    spoken = facts.get("tls_version") or facts.get("version")
    if spoken:
        version = GaugeMetricFamily("probe_tls_version_info", "Version of TLS.", labels=["version"])
        version.add_metric([str(spoken).replace("TLSv", "TLS ")], 1)
        yield version


def _regex(attempt: Attempt, came: bool = True) -> Metric:
    failed = came and attempt.seen.failure is Failure.BAD_ANSWER
    return _one("probe_failed_due_to_regex", "1 if an answer came, without the text it should have.", failed)


def _one(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _version(facts: Mapping[str, Any]) -> float:
    try:
        return float(facts.get("http_version", ""))
    except ValueError:
        return 0.0


def _milliseconds(facts: Mapping[str, Any], key: str) -> float | None:
    value = facts.get(key)
    return None if value is None else float(value) / 1000


def _ip(text: object) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(str(text).partition("%")[0])
    except ValueError:
        return None


def _fnv1a(data: bytes) -> int:
    """FNV-1a, 32 bits, as blackbox_exporter hashes an address."""
    value = 0x811C9DC5
    for byte in data:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value
