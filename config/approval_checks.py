"""Approvals that could never be given: too few people hold the offices that may give them."""

from __future__ import annotations

from collections.abc import Iterator

from config.document import Document, Path
from config.findings import Finding
from config.schema import Estate, Service
from model.level import LEVELS


def approval_warnings(estate: Estate, document: Document) -> Iterator[Finding]:
    """Who asks never approves, and a person counts once."""
    for level, rule in estate.levels.approvals.items():
        path: Path = ("levels", "approvals", level)
        yield from _unheld(estate, document, path, rule.offices)
    for service in estate.services.values():
        yield from _unheld(estate, document, ("services", service.name, "approval"), service.approval.offices)
        yield from _too_few(estate, service, document)


def _unheld(estate: Estate, document: Document, path: Path, offices: tuple[str, ...]) -> Iterator[Finding]:
    for index, office in enumerate(offices):
        if not estate.levels.offices.get(office):
            yield document.warning(
                (*path, "offices", index), f"nobody holds the office {office!r}",
                "where nobody holds any of the offices, everybody in `people` may approve",
                f"levels: {{offices: {{{office}: […]}}}}",
            )  # fmt: skip


def _too_few(estate: Estate, service: Service, document: Document) -> Iterator[Finding]:
    for level in LEVELS:
        rule = estate.levels.approval(level)
        persons = max(rule.persons, service.approval.persons)
        holders = estate.levels.holders(estate.levels.approving_offices(level, service.approval))
        people = holders or tuple(estate.people)
        if persons > 1 and len(people) < persons:
            who = ", ".join(people) or "nobody"
            yield document.warning(
                ("services", service.name),
                f"{service.name}: at level {level} {persons} persons must agree, and only {who} may",
                "nothing could be approved", "people, or more of them in the offices", key=True,
            )  # fmt: skip
            return
