"""What the journal says of pages: which were not delivered, which belong to incidents still open. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from controller import fields
from controller.notify.page import Page
from model import events as ev
from model.events import Event

TYPES: Final = (ev.PAGE_QUEUED, ev.PAGE_DELIVERED, ev.PAGE_FAILED, ev.INCIDENT_CLOSED)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A page and the channels that have neither taken it nor been given up."""

    page: Page
    channels: tuple[str, ...]
    queued: Event


@dataclass(frozen=True, slots=True)
class Backlog:
    """waiting: to be delivered, in the order in which they were queued. open: pages of open incidents."""

    waiting: tuple[Waiting, ...]
    open: tuple[Page, ...]


def read_backlog(events: Sequence[Event], channels: Collection[str]) -> Backlog:
    """events: of TYPES, in order. channels: those that there are now."""
    queued: dict[str, Event] = {}
    settled: set[tuple[str, str]] = set()
    closed: set[str] = set()
    for event in events:
        page = fields.text(event.data, "page")
        if event.type == ev.PAGE_QUEUED:
            queued[page] = event
        elif event.type in (ev.PAGE_DELIVERED, ev.PAGE_FAILED):
            settled.add((page, fields.text(event.data, "channel")))
        elif event.type == ev.INCIDENT_CLOSED and event.incident is not None:
            closed.add(event.incident)
    waiting = []
    for key, event in queued.items():
        left = tuple(c for c in channels if (key, c) not in settled)
        if left:
            waiting.append(Waiting(page_of(event), left, event))
    still_open = tuple(
        page_of(e) for e in queued.values() if e.incident is not None and e.incident not in closed
    )
    return Backlog(tuple(waiting), still_open)


def page_of(event: Event) -> Page:
    """The page that a `page.queued` tells of."""
    return Page(
        id=fields.text(event.data, "page"),
        severity=fields.text(event.data, "severity"),
        summary=fields.text(event.data, "summary"),
        detail=fields.text(event.data, "detail"),
        service=event.service,
        incident=event.incident,
        queued_utc=event.wall_utc,
        level=fields.text(event.data, "level"),
        people=tuple(fields.texts(event.data, "people")),
    )
