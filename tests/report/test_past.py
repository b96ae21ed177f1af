"""What stood at a past moment is what was journaled last before it."""

from __future__ import annotations

import pytest
from journal_builder import JournalBuilder, crash_diagnosis, failover_journal

from controller.past import past_explanation
from model import events as ev
from model.errors import UsageError


def test_the_last_decision_of_an_incident_is_shown_with_every_gate() -> None:
    journal = failover_journal()
    incident = next(e.incident for e in journal.events if e.type == ev.INCIDENT_OPENED)
    decided = [e for e in journal.events if e.type == ev.DECISION_MADE and e.incident == incident]
    told = past_explanation(journal.events, "orders", incident=incident)
    assert told["decision"] == decided[-1].data
    assert [m["at_utc"] for m in told["moments"]] == [e.wall_utc for e in decided]


def two_moments() -> JournalBuilder:
    journal = JournalBuilder()
    journal.at(0).add(ev.DIAGNOSIS_CHANGED, {"code": "Healthy"})
    journal.at(1000).add(ev.DIAGNOSIS_CHANGED, {"code": "PrimarySuspect"})
    opened = {"diagnosis": crash_diagnosis(), "level": "III", "t0_ns": journal.mono_ns(900)}
    incident = journal.at(1100).add(ev.INCIDENT_OPENED, opened, incident="INC-3").incident
    journal.at(1200).add(ev.DECISION_MADE, {"verb": "hold", "stopped_by": "pause"}, incident=incident)
    journal.at(1500).add(ev.DECISION_MADE, {"verb": "act", "stopped_by": None}, incident=incident)
    return journal


@pytest.mark.parametrize(
    ("at", "code", "verb"),
    [
        ("2026-11-25T10:00:00.500000Z", "Healthy", None),
        ("2026-11-25T10:00:01.050000Z", "PrimarySuspect", None),
        ("2026-11-25T10:00:01.300000Z", "PrimaryProcessDown", "hold"),
        ("+0.35s", "PrimaryProcessDown", "hold"),
        ("+0.6s", "PrimaryProcessDown", "act"),
    ],
)
def test_a_moment_shows_what_stood_then(at: str, code: str, verb: str | None) -> None:
    told = past_explanation(two_moments().events, "orders", incident="INC-3", at=at)
    assert (told["diagnosis"]["code"], told["decision"].get("verb")) == (code, verb)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, "name a moment"),
        ({"at": "yesterday"}, "not a time"),
        ({"at": "+1s"}, "counts from an incident's T0"),
        ({"incident": "INC-404"}, "no incident 'INC-404'"),
        ({"at": "2026-11-24T00:00:00Z"}, "nothing is recorded"),
    ],
)
def test_what_can_not_be_told_is_said(asked: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        past_explanation(two_moments().events, "orders", **asked)


def test_an_incident_of_another_service_is_refused() -> None:
    with pytest.raises(UsageError, match="no incident of billing"):
        past_explanation(two_moments().events, "billing", incident="INC-3")
