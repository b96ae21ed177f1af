"""Incidents that come from one root are one for whoever lists them, and each is still there."""

from __future__ import annotations

import pytest
from journal_builder import JournalBuilder, crash_diagnosis, frozen

from controller.incidents import list_incidents, show_incident
from controller.report import report_markdown
from model import events as ev

SITE = {"key": "site/dc1", "code": "SiteDown", "cause": "site", "evidence_for": [], "evidence_against": []}


def opened(journal: JournalBuilder, service: str, level: str = "III") -> str:
    journal.service = service
    diagnosis = crash_diagnosis(code="PrimaryNodeDown", root=SITE)
    data = {"t0_ns": journal.mono_ns(), "first_bad_ns": None, "diagnosis": diagnosis, "level": level}
    event = journal.add(ev.INCIDENT_OPENED, {**data, "manual": False, "frozen": frozen()}, incident="new")
    return str(event.incident)


@pytest.fixture
def journal() -> tuple[JournalBuilder, str, str]:
    """A site is out: orders leads, billing has an incident too, web only waits for orders."""
    journal = JournalBuilder()
    orders, billing = opened(journal, "orders"), opened(journal.at(10), "billing", "II")
    journal.service = "orders"
    for service, part in (("billing", billing), ("web", None)):
        data = {
            "service": service,
            "part": part,
            "code": "PrimaryNodeDown" if part else "",
            "root": "site/dc1",
        }
        journal.add(ev.INCIDENT_CONSEQUENCE, data, incident=orders)
    return journal, orders, billing


def test_the_list_has_one_line_with_the_consequences(journal: tuple[JournalBuilder, str, str]) -> None:
    written, orders, billing = journal
    [row] = list_incidents(written.events)
    assert (row["id"], row["root"], row["state"]) == (orders, "site/dc1", "open")
    assert row["level"] == "II"  # of the whole
    assert [(c["service"], c["incident"]) for c in row["consequences"]] == [
        ("billing", billing),
        ("web", None),
    ]


def test_it_is_open_until_the_last_of_it_is_closed(journal: tuple[JournalBuilder, str, str]) -> None:
    written, orders, billing = journal
    for incident, state in ((orders, "open"), (billing, "closed")):
        written.add(ev.INCIDENT_RECOVERED, {"primary": "pg2"}, incident=incident)
        written.add(ev.INCIDENT_CLOSED, {"reason": "done"}, incident=incident)
        assert [row["state"] for row in list_incidents(written.events)] == [state]


def test_each_of_them_can_be_shown(journal: tuple[JournalBuilder, str, str]) -> None:
    written, orders, billing = journal
    assert show_incident(written.events, billing)["part_of"] == orders
    assert show_incident(written.events, billing)["root"] == "site/dc1"
    assert show_incident(written.events, orders)["part_of"] is None


@pytest.mark.parametrize(
    ("lang", "head"), [("en", "What suffers from the same root"), ("zh", "同一根因的后果")]
)
def test_the_report_has_them(journal: tuple[JournalBuilder, str, str], lang: str, head: str) -> None:
    written, orders, billing = journal
    page = report_markdown(written.events, orders, lang)
    assert f"### {head}" in page
    assert billing in page
    assert "site/dc1" in report_markdown(written.events, billing, lang)
    assert head not in report_markdown(written.events, billing, lang)
