"""Cross-checks of members against where they stand and how their servers are run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from config.document import Document, Path
from config.findings import Finding

SUPPORTED = range(14, 19)
# /usr/lib/postgresql/15/bin (Debian), /usr/pgsql-15/bin (PGDG on Red Hat), /opt/postgresql-15/bin
_VERSION_OF_DIRECTORY = re.compile(r"/(?:postgresql|pgsql)[-/](\d{2})(?:/|$)")
_VERSION_OF_UNIT = re.compile(r"^postgresql[@-](\d{2})\b")


def member_findings(document: Document) -> Iterator[Finding]:
    for service in document.mapping("services"):
        path: Path = ("services", service, "members")
        members = {n: m for n, m in document.mapping(*path).items() if isinstance(m, dict)}
        for name, member in members.items():
            yield from _site(document, (*path, name), member)
            yield from _control(document, (*path, name), member)
        yield from _one_version(document, path, members)


def _site(document: Document, path: Path, member: dict[str, Any]) -> Iterator[Finding]:
    node, role = member.get("node"), member.get("role")
    site = document.mapping("nodes", node).get("site") if isinstance(node, str) else None
    site_role = document.mapping("sites", site).get("role") if isinstance(site, str) else None
    if role == "dr" and site_role in ("primary", "standby", "witness"):
        yield document.error(
            (*path, "role"), f"a dr member at site {site!r}, whose role is {site_role}",
            "a switch to it would count as one to the DR site", "a node at a site with role: dr",
        )  # fmt: skip
    if site_role == "witness" and role in ("primary", "standby"):
        yield document.error(
            (*path, "node"), f"a member at the witness site {site!r}", "a witness observes and holds no data",
            "a node at a primary, standby or dr site",
        )  # fmt: skip
    if site_role == "dr" and role in ("primary", "standby"):
        yield document.warning(
            (*path, "role"), f"a {role} member at the DR site {site!r}",
            "a switch to this site is asked for, never made alone (S9)", "role: dr",
        )  # fmt: skip


def _control(document: Document, path: Path, member: dict[str, Any]) -> Iterator[Finding]:
    control = member.get("control")
    if not isinstance(control, str):
        return
    kind, _, target = control.partition(":")
    installed = _version_of_directory(member)
    stated = _stated(kind, target)
    if stated is not None and installed is not None and stated != installed:
        yield document.error(
            (*path, "control"), f"control is of PostgreSQL {stated}, bin_dir of PostgreSQL {installed}",
            "a server is rewound and started with the programs of its own version",
        )  # fmt: skip
    version = stated or installed
    if version is not None and version not in SUPPORTED:
        yield document.error(
            (*path, "control" if stated else "bin_dir"), f"PostgreSQL {version} is not supported",
            "", f"{SUPPORTED[0]} to {SUPPORTED[-1]}",
        )  # fmt: skip
    if kind == "systemd" and target.removesuffix(".service") == "postgresql" and _is_debian(member):
        yield document.warning(
            (*path, "control"), "postgresql.service is only an umbrella on Debian",
            "starting it says nothing of the server", f"systemd:postgresql@{installed or 15}-main",
        )  # fmt: skip
    if kind == "pg_ctl" and "log_file" not in member:
        yield document.warning(
            (*path, "control"), "the server's log has no place",
            "it would be lost, with the reason why a start by pg_ctl fails", "log_file: /…/server.log",
        )  # fmt: skip


def _stated(kind: str, target: str) -> int | None:
    if kind == "pg_ctlcluster":
        version = target.partition("/")[0]
        return int(version) if version.isascii() and version.isdigit() and len(version) < 5 else None
    found = _VERSION_OF_UNIT.match(target)
    return int(found[1]) if found else None


def _version_of_directory(member: dict[str, Any]) -> int | None:
    found = _VERSION_OF_DIRECTORY.search(str(member.get("bin_dir")))
    return int(found[1]) if found else None


def _is_debian(member: dict[str, Any]) -> bool:
    return str(member.get("bin_dir")).startswith("/usr/lib/postgresql/")


def _one_version(document: Document, path: Path, members: dict[str, Any]) -> Iterator[Finding]:
    versions = {name: v for name, m in members.items() if (v := _version_of_directory(m)) is not None}
    if len(set(versions.values())) < 2:
        return
    first, version = next(iter(versions.items()))
    for name, other in versions.items():
        if other != version:
            yield document.error(
                (*path, name, "bin_dir"), f"PostgreSQL {other} here, {version} for {first!r}",
                "physical replication needs one major version",
            )  # fmt: skip
