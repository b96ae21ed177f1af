"""Warnings: an estate that is valid, and yet will not do what its objectives say.

They run on the validated estate; the document tells where each stands.
"""

from __future__ import annotations

from collections.abc import Iterator

from config.approval_checks import approval_warnings
from config.document import Document, Path
from config.durations import format_duration
from config.findings import Finding
from config.http_checks import http_warnings
from config.observer_checks import observer_warnings
from config.schema import Estate, MemberRole, Node, PostgresqlService, Service, ServiceMode
from config.tolerance import tolerance

# What a failover's runbook is expected to take once the outage is confirmed, in seconds. Measured medians on
# loopback and two cores are a fifth of these; the rest is for a network and loaded disks.
EXPECTED_RUNBOOK_S = {
    "lock and last look": 0.3,
    "detach and prove": 0.5,
    "fence and promote": 0.7,
    "re-point and verify": 1.0,
}
# Directories that are emptied at a reboot, or by age.
_VOLATILE = ("/tmp", "/var/tmp", "/run", "/var/run", "/dev/shm")  # noqa: S108


def estate_warnings(estate: Estate, document: Document) -> Iterator[Finding]:
    yield from http_warnings(estate, document)
    yield from observer_warnings(estate, document)
    yield from _daemon(estate, document)
    yield from _people(estate, document)
    yield from approval_warnings(estate, document)
    for node in estate.nodes.values():
        yield from _node(node, document)
    for service in estate.services.values():
        yield from _nodes(service, document)
        if isinstance(service, PostgresqlService):
            yield from _time(service, document)
            yield from _proof(service, estate, document)
            yield from _access(service, estate, document)
            yield from _members(service, document)


def expected_runbook_s() -> float:
    return sum(EXPECTED_RUNBOOK_S.values())


def _time(service: Service, document: Document) -> Iterator[Finding]:
    detection, runbook = service.detection.worst_detection_s, expected_runbook_s()
    total = detection + runbook
    rto = service.objectives.rto
    if total > rto:
        parts = " + ".join(f"{name} {seconds:g}s" for name, seconds in EXPECTED_RUNBOOK_S.items())
        yield document.warning(
            ("services", service.name, "objectives", "rto"),
            f"{service.name}: an outage may last {total:.2f}s, the RTO is {format_duration(rto)}",
            f"worst-case detection {detection:g}s (profile {service.profile}) + {parts} = {total:.2f}s",
            "a faster profile or a longer RTO",
        )
    if service.mode is ServiceMode.ASK and rto < 600:
        yield document.warning(
            ("services", service.name, "mode"),
            f"{service.name}: mode ask waits for a person, the RTO is {format_duration(rto)}",
            f"the machine's share is {total:.2f}s; the rest is all that a person has to answer a page",
        )


def _proof(service: PostgresqlService, estate: Estate, document: Document) -> Iterator[Finding]:
    at = ("services", service.name, "postgresql", "synchronous_standby_names")
    if tolerance(service).synchronous:
        return
    if service.objectives.rpo == 0:
        yield document.warning(
            at,
            f"{service.name}: RPO 0 with asynchronous replication",
            "nothing can be proven, so every failover is held and a person is asked (S3)",
            "synchronous_standby_names with the standbys' names, or an rpo above 0s",
        )
        return
    primary = next(m for m in service.members.values() if m.role is MemberRole.PRIMARY)
    if estate.nodes[primary.node].access == "none":
        why = "without node access an asynchronous primary can't be fenced either while its host lives"
    else:
        why = "node access fences it only while its host answers; there is no traffic or power fence"
    yield document.warning(
        at, f"{service.name}: asynchronous, so it always holds on host loss (S3)", why,
        "synchronous_standby_names with the standbys' names",
    )  # fmt: skip


def _access(service: Service, estate: Estate, document: Document) -> Iterator[Finding]:
    if service.mode is not ServiceMode.ACT:
        return
    without = [m.name for m in service.members.values() if estate.nodes[m.node].access == "none"]
    if without:
        yield document.warning(
            ("services", service.name, "mode"),
            f"{service.name}: mode act without node access to {', '.join(without)}",
            "an old primary there can't be stopped or rejoined, and its disk is not watched (P16, P17)",
            "access: ssh or local at their nodes",
        )


def _members(service: PostgresqlService, document: Document) -> Iterator[Finding]:
    path: Path = ("services", service.name, "members")
    standbys = [m for m in service.members.values() if m.role is not MemberRole.PRIMARY]
    if all(m.excluded for m in standbys):
        yield document.warning(
            path,
            f"{service.name}: every standby is excluded",
            "there is no candidate",
            key=True,
        )
    missing = [name for name in service.members if name not in service.tried_in_order]
    if missing:
        yield document.warning(
            ("services", service.name, "endpoint", "order"),
            f"{service.name}: {', '.join(missing)} can't be reached through the endpoint",
            "after a failover to it clients would find no primary", "every member",
        )  # fmt: skip


def _nodes(service: Service, document: Document) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for member in service.members.values():
        if member.node in seen:
            yield document.warning(
                ("services", service.name, "members", member.name, "node"),
                f"{service.name}: {member.name} and {seen[member.node]} are on one node",
                "the loss of one host takes both",
            )
        seen.setdefault(member.node, member.name)


def _node(node: Node, document: Document) -> Iterator[Finding]:
    if node.access != "ssh" and "ssh" in document.mapping("nodes", node.name):
        yield document.warning(
            ("nodes", node.name, "ssh"), f"node {node.name}: ssh is set up but access is {node.access}",
            "it is not used", "access: ssh", key=True,
        )  # fmt: skip


def _people(estate: Estate, document: Document) -> Iterator[Finding]:
    working = [s for s in estate.services.values() if s.mode is not ServiceMode.OBSERVE]
    if not working:
        return
    if estate.pager.alertmanager is None and estate.pager.exec is None:
        yield document.warning(
            ("pager",), "nobody is paged", "a hold waits until someone looks",
            "pager: {alertmanager: …} or {exec: …}", key=True,
        )  # fmt: skip
    if not any(p.os_users for p in estate.people.values()):
        yield document.warning(
            ("people",), "no account belongs to a person",
            "nobody can request or approve", "people: {ID: {os_users: […]}}", key=True,
        )  # fmt: skip


def _daemon(estate: Estate, document: Document) -> Iterator[Finding]:
    state_dir = estate.daemon.state_dir
    if any(state_dir.is_relative_to(place) for place in _VOLATILE):
        yield document.warning(
            ("daemon", "state_dir"), f"the journal in {state_dir} does not outlive a reboot",
            "an open failover could not be resumed, and its evidence would be gone", "/var/lib/bcm-failover",
        )  # fmt: skip
    acting = any(s.mode is ServiceMode.ACT for s in estate.services.values())
    declared = any(probe.reference for probe in estate.probes.values())
    if acting and not estate.daemon.reference_targets and not declared:
        yield document.warning(
            ("daemon", "reference_targets"), "no reference targets",
            "this host can't tell its own network's failure from that of everything else (S6)",
            "daemon: {reference_targets: ['10.0.0.1:53']}",
        )  # fmt: skip
