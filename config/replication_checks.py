"""Cross-checks within one service: its primary, and that each synchronous name is exactly one server (P1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from config.document import Document, Path
from config.findings import Finding, did_you_mean, one_of
from model.quorum import parse_synchronous_standby_names

WITH_A_PRIMARY = ("postgresql", "mariadb", "redis")
_NUMBER = re.compile(r"\s*(?:any|first)?\s*(\d{1,9})\s*\(", re.IGNORECASE)


def replication_findings(document: Document) -> Iterator[Finding]:
    for service in document.mapping("services"):
        path: Path = ("services", service)
        members = {
            name: member
            for name, member in document.mapping(*path, "members").items()
            if isinstance(member, dict)
        }
        if not members:
            continue  # the schema says so
        engine = document.at((*path, "engine"))
        if engine in WITH_A_PRIMARY:
            yield from _one_primary(document, path, members)
        if engine != "postgresql":
            continue
        yield from _application_names(document, path, members)
        yield from _slots(document, path, members)
        yield from _synchronous(document, path, members)


def application_name(name: str, member: dict[str, Any]) -> str:
    """As the server sees it: the member's name, where none is given."""
    given = member.get("application_name", "")
    return given if isinstance(given, str) and given else name


def _one_primary(document: Document, path: Path, members: dict[str, Any]) -> Iterator[Finding]:
    primaries = [name for name, member in members.items() if member.get("role") == "primary"]
    roles_known = all(member.get("role") in ("primary", "standby", "dr") for member in members.values())
    if not primaries and roles_known:
        yield document.error(
            (*path, "members"), f"{path[1]} has no member with role primary", "the service has one home",
            "exactly one member with role: primary", key=True,
        )  # fmt: skip
    for name in primaries[1:]:
        yield document.error(
            (*path, "members", name, "role"), f"a second member with role primary, beside {primaries[0]!r}",
            "two masters", "exactly one; the others standby or dr",
        )  # fmt: skip


def _application_names(document: Document, path: Path, members: dict[str, Any]) -> Iterator[Finding]:
    owners: dict[str, str] = {}
    for name, member in members.items():
        folded = application_name(name, member).lower()
        if folded in owners:
            given = "application_name" in member
            at: Path = (*path, "members", name, "application_name") if given else (*path, "members", name)
            yield document.error(
                at, f"application_name {application_name(name, member)!r} is that of {owners[folded]!r} too",
                "the server compares without case, and a proof needs to know who answered (P1)",
                "a name of its own for each member", key=not given,
            )  # fmt: skip
        owners.setdefault(folded, name)


def _slots(document: Document, path: Path, members: dict[str, Any]) -> Iterator[Finding]:
    owners: dict[str, str] = {}
    for name, member in members.items():
        slot = member.get("slot")
        if not isinstance(slot, str):
            continue
        if slot in owners:
            yield document.error(
                (*path, "members", name, "slot"), f"slot {slot!r} is that of {owners[slot]!r} too",
                "both stream from one upstream, and a slot serves one receiver", "a slot of its own",
            )  # fmt: skip
        owners.setdefault(slot, name)


def _synchronous(document: Document, path: Path, members: dict[str, Any]) -> Iterator[Finding]:
    at = (*path, "postgresql", "synchronous_standby_names")
    text = document.at(at)
    if not isinstance(text, str):
        return
    try:
        setting = parse_synchronous_standby_names(text)
    except ValueError as error:
        yield document.error(
            at, f"synchronous_standby_names: {error}", "", "'', 'a, b', 'FIRST 1 (a, b)', 'ANY 2 (a, b, c)'"
        )
        return
    by_application = {application_name(n, m).lower(): n for n, m in members.items()}
    allowed = one_of(application_name(n, m) for n, m in members.items())
    if setting.ambiguous():
        yield document.error(
            at, f"synchronous_standby_names is ambiguous: {setting.ambiguous()}",
            "whoever calls itself so would count as a copy (P1)", f"each name once, of {allowed}",
        )  # fmt: skip
    for name in dict.fromkeys(n for n in setting.names if n != "*"):
        if name.lower() not in by_application:
            near = did_you_mean(name, by_application)
            yield document.error(
                at, f"synchronous standby {name!r} is no member's application_name",
                near or "it could not be read, so nothing could be proven (P1)", allowed,
            )  # fmt: skip
    yield from _enough_names(document, at, members, text)


def _enough_names(document: Document, at: Path, members: dict[str, Any], text: str) -> Iterator[Finding]:
    """k of n, without the primary's own name: it is never its own standby (P1)."""
    own = {application_name(n, m).lower() for n, m in members.items() if m.get("role") == "primary"}
    setting = parse_synchronous_standby_names(text)
    standbys = [n for n in setting.names if n.lower() not in own]
    number = _NUMBER.match(text)
    k = int(number[1]) if number else int(setting.synchronous)
    if setting.synchronous and k > len(standbys) and "*" not in setting.names:
        yield document.error(
            at, f"synchronous_standby_names asks for {k} of {len(standbys)} standbys",
            "every write would wait for ever; the primary's own name does not count (P1)",
            f"a number up to {len(standbys)}" if standbys else "names of standbys",
        )  # fmt: skip
