"""Incidents, folded from the journal."""

from __future__ import annotations

import subprocess
import sys

import pytest
from journal_builder import JournalBuilder, crash_diagnosis, failover_journal, open_crash, run_failover

from controller.incidents import (
    CLOSED,
    OPEN,
    RECOVERED,
    fold_incidents,
    list_incidents,
    show_incident,
)
from model import events as ev
from model.errors import UsageError
from model.level import higher_level


def test_the_life_of_an_incident() -> None:
    journal = JournalBuilder()
    key = open_crash(journal)
    assert fold_incidents(journal.events)[key].state == OPEN
    journal.at(300).add(ev.INCIDENT_RECOVERED, {"primary": "pg2"})
    recovered = fold_incidents(journal.events)[key]
    assert (recovered.state, recovered.primary) == (RECOVERED, "pg2")
    journal.at(900).add(ev.INCIDENT_CLOSED, {"reason": "redundancy is restored"})
    closed = fold_incidents(journal.events)[key]
    assert (closed.state, closed.close_reason) == (CLOSED, "redundancy is restored")
    assert closed.closed is not None


def test_its_level_only_rises_and_its_codes_are_kept_in_order() -> None:
    journal = JournalBuilder()
    key = open_crash(journal)
    for code, level in (("PrimaryNodeDown", "II"), ("PrimaryHung", "III"), ("Healthy", None)):
        journal.at(journal.ms + 10).add(ev.DIAGNOSIS_CHANGED, crash_diagnosis(code=code, level=level))
    incident = fold_incidents(journal.events)[key]
    assert incident.level == "II"
    assert [c.code for c in incident.codes] == [
        "PrimaryProcessDown",
        "PrimaryNodeDown",
        "PrimaryHung",
        "Healthy",
    ]
    assert incident.code == "PrimaryProcessDown"


@pytest.mark.parametrize(
    ("first", "second", "higher"),
    [
        ("III", "II", "II"),
        ("I", "II", "I"),
        ("II", "", "II"),
        ("III", "IV", "III"),
        ("odd", "III", "III"),
        ("odd", "", "odd"),
    ],
)
def test_the_graver_of_two_levels(first: str, second: str, higher: str) -> None:
    assert higher_level(first, second) == higher


def test_what_its_executions_and_pages_write_belongs_to_it() -> None:
    journal = failover_journal()
    [incident] = fold_incidents(journal.events).values()
    assert incident.executions == ("EXE-8",)
    assert {e.execution for e in incident.events} == {None, "EXE-8"}
    [page] = incident.pages
    assert (page.id, page.delivered, page.failed) == ("PAGE-1", ("alertmanager",), ())
    assert incident.verdict is not None
    assert incident.verdict.verdict == "ZERO_PROVEN"


def test_two_incidents_do_not_mix() -> None:
    journal = JournalBuilder()
    first = open_crash(journal)
    run_failover(journal)
    journal.service = "billing"
    second = open_crash(journal.at(5000))
    run_failover(journal)
    incidents = fold_incidents(journal.events)
    assert list(incidents) == [first, second]
    assert [i.service for i in incidents.values()] == ["orders", "billing"]
    assert len(incidents[first].executions) == len(incidents[second].executions) == 1
    assert [row["id"] for row in list_incidents(journal.events)] == [second, first]


def test_people_are_those_who_did_something() -> None:
    journal = JournalBuilder()
    key = open_crash(journal)
    journal.add(ev.APPROVAL_REQUESTED, {"approval": "APR-1", "requester": "daemon"})
    journal.add(ev.APPROVAL_GIVEN, {"approval": "APR-1", "person": "bo"}, actor="bo")
    journal.add(ev.OVERRIDE_RECORDED, {"rule": "S2", "reason": "seen it off", "person": "ada"}, actor="ada")
    incident = fold_incidents(journal.events)[key]
    assert incident.people == ("bo", "ada")
    [override] = incident.overrides
    assert (override.rule, override.reason, override.person) == ("S2", "seen it off", "ada")


def test_a_row_says_what_a_list_needs() -> None:
    [row] = list_incidents(failover_journal().events)
    assert row["state"] == "closed"
    assert (row["code"], row["level"], row["rto_s"], row["rpo"]) == (
        "PrimaryProcessDown",
        "III",
        0.641,
        "ZERO_PROVEN",
    )
    assert row["opened_utc"].endswith("Z")
    assert row["overridden"] == []


def test_one_incident_as_json() -> None:
    shown = show_incident(failover_journal().events, "INC-3")
    assert shown["timings"]["rto_s"] == 0.641
    assert shown["verdicts"][0]["execution"] == "EXE-8"
    assert shown["frozen"]["estate_digest"].startswith("sha256:")
    with pytest.raises(UsageError, match="INC-1"):
        show_incident(failover_journal().events, "INC-1")


def test_reading_incidents_loads_no_heavy_library() -> None:
    """The command line reads the store with the daemon dead, in under 0.3 s."""
    heavy = ("pydantic", "psycopg", "aiohttp", "asyncio", "yaml", "jinja2", "cryptography")
    loaded = f"[m for m in {heavy!r} if m in sys.modules]"
    program = f"import sys, controller.incidents, controller.report; print({loaded})"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
