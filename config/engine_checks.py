"""Cross-checks of what only some engines have: a pool's minimum, a generic service's probes, what a service
of Redis could never do by itself."""

from __future__ import annotations

from collections.abc import Iterator

from config.document import Document, Path
from config.findings import Finding


def engine_findings(document: Document) -> Iterator[Finding]:
    for service, written in document.mapping("services").items():
        path: Path = ("services", service)
        match written.get("engine") if isinstance(written, dict) else None:
            case "http":
                yield from _enough_members(document, path)
            case "redis":
                yield from _could_ever_act(document, path)
            case "generic":
                yield from _is_probed(document, path)


def _enough_members(document: Document, path: Path) -> Iterator[Finding]:
    least, members = document.at((*path, "http", "minimum")), document.mapping(*path, "members")
    if isinstance(least, int) and members and least > len(members):
        yield document.error(
            (*path, "http", "minimum"), f"a minimum of {least}, and {len(members)} members",
            "the service would always count as out", f"1 to {len(members)}",
        )  # fmt: skip


def _could_ever_act(document: Document, path: Path) -> Iterator[Finding]:
    """Mode `act` without what it needs is a promise that nobody keeps (S2, S3)."""
    if document.at((*path, "mode")) != "act" or document.at((*path, "manager")) == "sentinel":
        return
    if not document.at((*path, "objectives", "rpo")) or document.at((*path, "objectives", "rpo")) == "0s":
        yield document.warning(
            (*path, "mode"), f"{path[1]}: an RPO of 0 in mode act always holds when the primary is lost (S3)",
            "Redis acknowledges before its replicas have a write, so nothing is ever proven",
            "objectives: {rpo: …} above 0s, or mode ask",
        )  # fmt: skip
    for name, written in document.mapping(*path, "members").items():
        if isinstance(written, dict) and not written.get("control"):
            yield document.warning(
                (*path, "members", name), f"{name} can't be fenced while it is silent: no `control`",
                "only a server that is gone, or that answers, is fenced without it (S2)",
                "control: systemd:UNIT or pidfile:PATH, and `access` of its node", key=True,
            )  # fmt: skip


def _is_probed(document: Document, path: Path) -> Iterator[Finding]:
    probes = document.mapping("probes").values()
    if not any(isinstance(p, dict) and p.get("service") == path[1] for p in probes):
        yield document.error(
            path, f"nothing tells whether {path[1]} works: no probe has it as its `service`",
            "a generic service is known by its declared probes alone",
            f"probes: {{NAME: {{type: …, service: {path[1]}, options: …}}}}", key=True,
        )  # fmt: skip
