"""Warnings about observers: what those that are declared can't decide from where they stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from config.document import Document
from config.findings import Finding
from config.schema import Estate, MemberRole, Service, ServiceMode

_AT = ("observers",)


def observer_warnings(estate: Estate, document: Document) -> Iterator[Finding]:
    """Of one controller alone nothing is said: it decides by what it sees, and asks for the DR site."""
    acting = [s for s in estate.services.values() if s.mode is ServiceMode.ACT]
    if not estate.observers or not acting:
        return
    yield from _silent(estate, document)
    yield from _even(estate, document)
    yield from _majority_at_one_site(estate, acting, document)
    for service in acting:
        yield from _no_third_place(service, estate, document)


def needed_of(observers: int) -> int:
    """How many of so many must see a primary lost: a majority of all that are declared."""
    return observers // 2 + 1


def _silent(estate: Estate, document: Document) -> Iterator[Finding]:
    others, count = list(estate.other_observers), len(estate.observers)
    if others:
        yield document.warning(
            _AT,
            f"what {', '.join(others)} see does not come to this controller: this version does not carry it",
            f"{needed_of(count)} of {count} observers must see a primary lost: nothing is done automatically",
            "this controller alone",
            key=True,
        )


def _even(estate: Estate, document: Document) -> Iterator[Finding]:
    count = len(estate.observers)
    if count % 2 == 0:
        yield document.warning(
            _AT,
            f"{count} observers ride out no more silent ones than {count - 1}",
            f"{needed_of(count)} of {count} are needed",
            f"{count - 1} or {count + 1}",
            key=True,
        )


def _majority_at_one_site(estate: Estate, acting: list[Service], document: Document) -> Iterator[Finding]:
    """An observer dies with its site, and a site that is lost must be seen to be."""
    count = len(estate.observers)
    with_members = {estate.nodes[m.node].site for s in acting for m in s.members.values()}
    standing = Counter(o.site for o in estate.observers.values())
    for site, there in standing.items():
        left = count - there
        if site in with_members and left < needed_of(count):
            yield document.warning(
                _AT,
                f"the loss of site {site} leaves {left} of {count} observers",
                f"{needed_of(count)} are needed, so nothing is done automatically then",
                "observers at other sites",
                key=True,
            )


def _no_third_place(service: Service, estate: Estate, document: Document) -> Iterator[Finding]:
    site_of = {m.name: estate.nodes[m.node].site for m in service.members.values()}
    primaries = {site_of[m.name] for m in service.members.values() if m.role is MemberRole.PRIMARY}
    at_dr = {site_of[m.name] for m in service.members.values() if m.role is MemberRole.DR and not m.excluded}
    standing = {o.site for o in estate.observers.values()}
    if at_dr and not standing - primaries - at_dr:
        yield document.warning(
            _AT,
            f"{service.name}: no observer at a third place beside {' and '.join(sorted(primaries | at_dr))}",
            "a switch to the DR site is always asked for (S9)",
            "an observer at another site, as one whose role is witness",
            key=True,
        )
