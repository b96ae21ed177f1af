"""Approvals that could never be given: too few people hold the offices that may give them."""

from __future__ import annotations

from collections.abc import Iterator

from config.approvals import ServiceApproval
from config.document import Document, Path
from config.findings import Finding
from config.schema import Estate, Service
from model.level import LEVELS


def approval_warnings(estate: Estate, document: Document) -> Iterator[Finding]:
    """Who asks never approves, and a person counts once."""
    for level, rule in estate.levels.approvals.items():
        path: Path = ("levels", "approvals", level)
        yield from _unheld(estate, document, path, rule.offices)
    enough: dict[ServiceApproval, bool] = {}  # most services have the same rule
    for service in estate.services.values():
        own = service.approval
        yield from _unheld(estate, document, ("services", service.name, "approval"), own.offices)
        if own not in enough:
            enough[own] = not any(_too_few(estate, own, level) for level in LEVELS)
        if not enough[own]:
            yield _nobody_can(estate, service, document)


def _unheld(estate: Estate, document: Document, path: Path, offices: tuple[str, ...]) -> Iterator[Finding]:
    for index, office in enumerate(offices):
        if not estate.levels.offices.get(office):
            yield document.warning(
                (*path, "offices", index), f"nobody holds the office {office!r}",
                "where nobody holds any of the offices, everybody in `people` may approve",
                f"levels: {{offices: {{{office}: […]}}}}",
            )  # fmt: skip


def _too_few(estate: Estate, own: ServiceApproval, level: str) -> tuple[int, tuple[str, ...]] | None:
    """How many must agree at the level, and who may: where those are fewer."""
    persons = max(estate.levels.approval(level).persons, own.persons)
    people = estate.levels.holders(estate.levels.approving_offices(level, own)) or tuple(estate.people)
    return (persons, people) if persons > 1 and len(people) < persons else None


def _nobody_can(estate: Estate, service: Service, document: Document) -> Finding:
    level, (persons, people) = next(
        (level, few) for level in LEVELS if (few := _too_few(estate, service.approval, level)) is not None
    )
    return document.warning(
        ("services", service.name),
        f"{service.name}: at level {level} {persons} persons must agree, and only "
        f"{', '.join(people) or 'nobody'} may",
        "nothing could be approved", "people, or more of them in the offices", key=True,
    )  # fmt: skip
