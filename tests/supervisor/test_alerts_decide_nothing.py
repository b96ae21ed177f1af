"""Alerts beside a judged service: shown as evidence, and no reason to do anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from supervisor_bench import Bench, running

from controller.alerts import Firing, Meaning, Says, alert_of
from controller.report import report_json, report_markdown
from controller.status import alert_warnings, explanation
from model import events as ev
from model.decision import Verb


def fire(bench: Bench, says: Says, summary: str = "nobody can pay") -> None:
    alert = alert_of("f1", {"alertname": "ShopDown"}, {"summary": summary}, firing=True)
    now_s = bench.clock.monotonic_s()
    bench.firing = (Firing(alert, Meaning("orders", says), now_s, now_s),)


async def test_an_alert_that_it_is_down_never_moves_a_healthy_service(tmp_path: Path) -> None:
    async with running(tmp_path, mode="act") as bench:
        before = bench.judged
        fire(bench, "down")
        await bench.live(30.0)
        after = bench.judged
        assert (after.diagnosis.code, after.decision.verb) == ("Healthy", Verb.NONE)
        assert after.decision == before.decision
        assert bench.executed == []
        assert bench.of(ev.INCIDENT_OPENED) == []
        assert bench.pages == []
        said = explanation(bench.supervisor)["diagnosis"]["evidence_against"]
        assert any(text.startswith("alert ShopDown says that it is down") for text in said)


@pytest.mark.parametrize(("says", "stands"), [("down", "evidence_for"), ("up", "evidence_against")])
async def test_an_outage_is_acted_on_alike_whatever_alerts_say_and_its_record_has_them(
    tmp_path: Path, says: Says, stands: str
) -> None:
    async with running(tmp_path, mode="act") as bench:
        fire(bench, says)
        await bench.crash()
        await bench.live(3.0)
        assert bench.opened() == [("failover", "automatic"), ("rejoin", "automatic")]
        (opened,) = bench.of(ev.INCIDENT_OPENED)
        assert any("ShopDown" in text for text in opened.data["diagnosis"][stands])


def test_only_warnings_are_early_warnings() -> None:
    def firing(says: Says) -> Firing:
        return Firing(
            alert_of(says, {"alertname": says}, {}, firing=True), Meaning("orders", says), 90.0, 95.0
        )

    (shown,) = alert_warnings([firing("down"), firing("warning"), firing("up")], 100.0, 1_000_000_000.0)
    assert shown["source"] == "alertmanager"
    assert (shown["code"], shown["about"], shown["sentence"]) == ("warning", "service/orders", "warning")
    assert shown["since"] == "2001-09-09T01:46:30.000000Z"


async def test_the_timeline_of_an_incident_shows_the_alerts_that_came_in_it(tmp_path: Path) -> None:
    async with running(tmp_path, mode="observe") as bench:
        await bench.crash()
        await bench.live(0.5)
        data = {
            "fingerprint": "f",
            "name": "ShopDown",
            "says": "down",
            "summary": "<b>gone</b>",
            "labels": {},
        }
        await bench.supervisor.append(ev.ALERT_RECEIVED, data)
        await bench.supervisor.append(ev.ALERT_RESOLVED, {**data, "why": "resolved"})
        (opened,) = bench.of(ev.INCIDENT_OPENED)
        incident = str(opened.incident)
        events = list(bench.memory.events())
    lines = [line["text"] for line in report_json(events, incident)["timeline"]]
    assert "alert ShopDown: <b>gone</b> (says down)" in lines
    assert "alert ShopDown ended: resolved" in lines
    page = report_markdown(events, incident)
    assert "alert ShopDown: \\<b\\>gone" in page  # as text, and no markup
