"""Cross-checks: what one part of the estate says of another. They run on the raw document, so that they find
their problems also where other parts are wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from config.document import Document, Path
from config.durations import parse_duration_s
from config.engines import class_of, member_class
from config.findings import Finding, did_you_mean, one_of
from config.http_pool import HttpMember

# What is watched and is no service: `node/NAME`, `probe/NAME`, `reference/HOST:PORT`.
_TARGETS = ("node", "probe", "reference")


def reference_findings(document: Document) -> Iterator[Finding]:
    """Names that are declared nowhere, cycles, and what must be unique across the estate."""
    sites = _declared(document, "sites")
    nodes = _declared(document, "nodes")
    services = _declared(document, "services")
    for node in nodes or ():
        yield from _exists(document, ("nodes", node, "site"), "site", sites)
    for service in services or ():
        if service in _TARGETS:
            yield document.error(
                ("services", service), f"a service can't be called {service!r}",
                "hosts and reference targets are watched under this name", "another name", key=True,
            )  # fmt: skip
        members = _declared(document, "services", service, "members")
        for member in members or ():
            yield from _exists(document, ("services", service, "members", member, "node"), "node", nodes)
        yield from _list_of(document, ("services", service, "depends_on"), "service", services)
        yield from _list_of(document, ("services", service, "endpoint", "order"), "member", members)
        endpoint: Path = ("services", service, "endpoint")
        yield from _keys_of(document, (*endpoint, "servers"), "member", members)
        yield from _keys_of(document, (*endpoint, "interfaces"), "node", nodes)
        yield from _objectives(document, service)
    yield from _observers(document)
    yield from _probes(document)
    yield from _alert_rules(document)
    yield from _offices(document)
    yield from _cycles(document)
    yield from _one_person_per_account(document)
    yield from _one_server_per_address(document)


def _observers(document: Document) -> Iterator[Finding]:
    """One file serves all of them but for `daemon.name`, so each is told apart by that alone."""
    sites, observers = _declared(document, "sites"), _declared(document, "observers")
    for observer in observers or ():
        yield from _exists(document, ("observers", observer, "site"), "site", sites)
    yield from _exists(document, ("daemon", "site"), "site", sites)
    if not observers:
        return
    name = document.mapping("daemon").get("name", "bcm-failover")
    if isinstance(name, str) and name not in observers:
        yield document.error(
            ("daemon", "name"), f"this controller, {name!r}, is none of the observers",
            "it observes too, and it counts where it stands", one_of(list(observers)),
        )  # fmt: skip
    here, there = (document.at(path) for path in (("daemon", "site"), ("observers", name, "site")))
    if isinstance(here, str) and isinstance(there, str) and here != there:
        yield document.error(
            ("daemon", "site"), f"observers.{name} says that this controller stands at {there!r}",
            "it can't be at both", "one of the two, or neither here",
        )  # fmt: skip


def _probes(document: Document) -> Iterator[Finding]:
    """What a declared probe tells about."""
    for name, probe in document.mapping("probes").items():
        path: Path = ("probes", name)
        for kind in ("service", "node", "site"):
            yield from _exists(document, (*path, kind), kind, _declared(document, f"{kind}s"))
        service = probe.get("service") if isinstance(probe, dict) else None
        if isinstance(service, str):
            members = _declared(document, "services", service, "members")
            yield from _exists(document, (*path, "member"), "member", members)


def _offices(document: Document) -> Iterator[Finding]:
    people = _declared(document, "people")
    for office in document.mapping("levels", "offices"):
        yield from _list_of(document, ("levels", "offices", office), "person", people)


def _alert_rules(document: Document) -> Iterator[Finding]:
    services = _declared(document, "services")
    for index, _rule in enumerate(document.items("alerts", "rules")):
        yield from _exists(document, ("alerts", "rules", index, "service"), "service", services)


def _declared(document: Document, *path: str | int) -> Mapping[str, Any] | None:
    """A section, by names; None where there is no such section: then nothing can be said of its names."""
    section = document.at(path)
    return section if isinstance(section, dict) else None


def _exists(document: Document, path: Path, kind: str, known: Mapping[str, Any] | None) -> Iterator[Finding]:
    name = document.at(path)
    if known is not None and isinstance(name, str) and name not in known:
        names = list(known)
        yield document.error(
            path, f"{kind} {name!r} is not declared", did_you_mean(name, names), one_of(names)
        )


def _keys_of(document: Document, path: Path, kind: str, known: Mapping[str, Any] | None) -> Iterator[Finding]:
    for name in document.mapping(*path):
        if known is not None and name not in known:
            names = list(known)
            yield document.error(
                (*path, name), f"{kind} {name!r} is not declared", did_you_mean(name, names), one_of(names),
                key=True,
            )  # fmt: skip


def _list_of(document: Document, path: Path, kind: str, known: Mapping[str, Any] | None) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, name in enumerate(document.items(*path)):
        yield from _exists(document, (*path, index), kind, known)
        if isinstance(name, str) and name in seen:
            yield document.error((*path, index), f"{kind} {name!r} is named twice", "", "each once")
        elif isinstance(name, str):
            seen.add(name)


def _objectives(document: Document, service: str) -> Iterator[Finding]:
    path = ("services", service, "objectives")
    given = document.mapping(*path)
    rto, mtpd = _seconds(given.get("rto", "60s")), _seconds(given.get("mtpd", "4h"))
    if rto and mtpd and mtpd < rto:
        at = (*path, "mtpd") if "mtpd" in given else (*path, "rto")
        yield document.error(
            at, "the MTPD is shorter than the RTO", "recovery would count as in time after the deadline",
            f"an mtpd of {given.get('rto', '60s')} or more",
        )  # fmt: skip


def _seconds(value: object) -> float | None:
    """None where it is no duration: the schema says so."""
    try:
        return parse_duration_s(value)
    except ValueError:
        return None


def _cycles(document: Document) -> Iterator[Finding]:
    """Each cycle once, where the dependency stands that closes it."""
    edges = {
        service: [
            (index, name)
            for index, name in enumerate(document.items("services", service, "depends_on"))
            if isinstance(name, str)
        ]
        for service in document.mapping("services")
    }
    done: set[str] = set()
    for start, first in edges.items():
        # Depth first with a stack of its own: a chain of a thousand services is no reason to fail.
        trail: list[str] = []
        stack: list[tuple[str, Iterator[tuple[int, str]]]] = []
        if start not in done:
            trail.append(start)
            stack.append((start, iter(first)))
        while stack:
            service, following = stack[-1]
            index, name = next(following, (-1, ""))
            if index < 0:
                stack.pop()
                done.add(trail.pop())
            elif name in trail:
                circle = " → ".join([*trail[trail.index(name) :], name])
                yield document.error(
                    ("services", service, "depends_on", index),
                    f"the dependencies go round in a circle: {circle}",
                    "none of them could be recovered first",
                )
            elif name in edges and name not in done:
                trail.append(name)
                stack.append((name, iter(edges[name])))


def _one_person_per_account(document: Document) -> Iterator[Finding]:
    owners: dict[str, str] = {}
    for person in document.mapping("people"):
        for index, account in enumerate(document.items("people", person, "os_users")):
            if not isinstance(account, str):
                continue
            if account in owners:
                other = owners[account]
                whose = f"{other!r} has it too" if other != person else "listed twice"
                yield document.error(
                    ("people", person, "os_users", index),
                    f"account {account!r} is not one person's: {whose}",
                    "requester and approver are told apart by person", "each account with one person, once",
                )  # fmt: skip
            owners.setdefault(account, person)


def _one_server_per_address(document: Document) -> Iterator[Finding]:
    """But for web servers: one of them may serve several pools, each asked for by its own host or path."""
    servers: dict[tuple[str, int], str] = {}
    web: dict[tuple[str, int], set[str]] = {}
    for service in document.mapping("services"):
        kind = member_class(class_of(document.at(("services", service))))
        default = kind.model_fields["port"].default
        for name, member in document.mapping("services", service, "members").items():
            if not isinstance(member, dict):
                continue
            address = _address(document, member)
            port = member.get("port", default)
            if not address or not isinstance(port, int):
                continue
            path: Path = ("services", service, "members", name)
            place = (address.lower(), port)
            other = servers.setdefault(place, f"{service}/{name}")
            alone = other == f"{service}/{name}"
            if kind is HttpMember and (alone or place in web):
                pools = web.setdefault(place, set())
                alone = service not in pools
                pools.add(service)
            if not alone:
                at = next((key for key in ("port", "host") if key in member), None)
                yield document.error(
                    (*path, at) if at else path, f"{address}:{port} is the address of {other} already",
                    "each member is a server of its own", "another host or port", key=at is None,
                )  # fmt: skip


def _address(document: Document, member: Mapping[str, Any]) -> str:
    host = member.get("host", "")
    if not host and isinstance(member.get("node"), str):
        host = document.mapping("nodes", member["node"]).get("address", "")
    return host if isinstance(host, str) else ""
