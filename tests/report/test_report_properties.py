"""A report is written from whatever a journal holds: of an older or a newer version, cut off, or mended."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_builder import JournalBuilder, failover_journal

from controller.executions import list_executions
from controller.incidents import fold_incidents, list_incidents, show_incident
from controller.report import report_json, report_markdown
from model import events as ev
from model.events import Event

WHOLE = failover_journal().events
INCIDENT = "INC-3"
TYPES = sorted(v for k, v in vars(ev).items() if k.isupper() and isinstance(v, str) and "." in v)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([10**400, -(10**400)])
    | st.integers(-(10**30), 10**30)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = sorted({key for event in WHOLE for key in event.data})


@st.composite
def odd_journals(draw: st.DrawFn) -> list[Event]:
    """A whole journal with some records' values replaced, some records missing, and some of any type."""
    events: list[Event] = []
    for event in WHOLE:
        fate = draw(st.sampled_from(["keep", "keep", "keep", "twist", "drop"]))
        if event.type == ev.INCIDENT_OPENED and fate == "drop":
            fate = "keep"
        if fate == "twist":
            data: dict[str, Any] = dict(event.data)
            for key in draw(st.lists(st.sampled_from(KEYS), max_size=3)):
                data[key] = draw(JSON)
            events.append(replace(event, data=data, boot_id=draw(st.sampled_from(["boot-1", "boot-2"]))))
        elif fate == "keep":
            events.append(event)
    for _ in range(draw(st.integers(0, 4))):
        strange = replace(
            WHOLE[-1],
            type=draw(st.sampled_from([*TYPES, "of.tomorrow"])),
            data=draw(st.dictionaries(st.sampled_from(KEYS), JSON, max_size=6)),
            wall_utc=draw(st.sampled_from(["", "yesterday", "2026-11-25T10:00:00Z", "9999-12-31T23:59:59Z"])),
            execution=draw(st.sampled_from([None, "EXE-8"])),
            mono_ns=draw(st.integers(-(10**20), 10**20)),
        )
        events.insert(draw(st.integers(0, len(events))), strange)
    return events


@settings(max_examples=80)
@given(odd_journals(), st.sampled_from(["en", "zh", "xx"]))
def test_a_report_is_always_written(events: list[Event], lang: str) -> None:
    page = report_markdown(events, INCIDENT, lang)
    assert page.startswith("# ")
    json.dumps(report_json(events, INCIDENT))


@pytest.mark.parametrize("key", KEYS)
def test_a_number_beyond_every_clock_is_read_as_none(key: str) -> None:
    events = [replace(e, data={**e.data, key: 10**400} if key in e.data else e.data) for e in WHOLE]
    report_markdown(events, INCIDENT)
    show_incident(events, INCIDENT)
    list_executions(events)


@settings(max_examples=50)
@given(odd_journals())
def test_incidents_are_always_listed(events: list[Event]) -> None:
    json.dumps(list_incidents(events))
    json.dumps(show_incident(events, INCIDENT))


@given(
    st.lists(
        st.tuples(st.sampled_from(TYPES), st.dictionaries(st.sampled_from(KEYS), JSON, max_size=4)),
        max_size=12,
    )
)
def test_any_sequence_of_events_can_be_folded(drawn: list[tuple[str, dict[str, Any]]]) -> None:
    journal = JournalBuilder()
    for type_, data in drawn:
        journal.add(type_, data, incident="new" if type_ == ev.INCIDENT_OPENED else None)
    for incident in fold_incidents(journal.events):
        report_markdown(journal.events, incident)
