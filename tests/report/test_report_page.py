"""The report of an incident, from the journal alone."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from journal_builder import (
    JournalBuilder,
    cut,
    decision,
    failover_journal,
    open_crash,
    run_failover,
    verdict_of,
)

from controller.report import report_json, report_markdown
from model import events as ev
from model.errors import UsageError

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_of_a_whole_incident(lang: str) -> None:
    """After a wanted change: BCM_WRITE_GOLDEN=1 pytest tests/report, and read the difference."""
    journal = failover_journal()
    page = report_markdown(journal.events, journal.incident or "", lang)
    path = GOLDEN / f"incident.{lang}.md"
    if os.environ.get("BCM_WRITE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(page, encoding="utf-8")
    assert page == path.read_text(encoding="utf-8")


def whole() -> dict[str, Any]:
    journal = failover_journal()
    return report_json(journal.events, journal.incident or "")


def test_targets_against_what_was_reached() -> None:
    report = whole()
    assert report["apiVersion"] == "bcm-failover/v1"
    rto = report["rto"]
    assert (rto["target_s"], rto["actual_s"], rto["met"]) == (60.0, 0.641, True)
    assert rto["from_first_bad_s"] == 0.236
    assert sum(rto["phases"].values()) == pytest.approx(rto["actual_s"])
    assert report["rpo"]["verdict"] == "ZERO_PROVEN"
    assert report["rpo"]["not_covered"]


def test_the_report_is_json_and_ends_at_the_head_of_the_journal() -> None:
    journal = failover_journal()
    report = json.loads(json.dumps(report_json(journal.events, journal.incident or "")))
    assert report["journal"]["head"] == {"seq": journal.events[-1].seq, "hash": journal.events[-1].hash}
    assert report["journal"]["closed_head"]["hash"] == journal.events[-2].hash
    assert report["journal"]["closed_head"]["signature"] == "c2lnbmVk"


def test_every_step_with_command_output_time_and_outcome() -> None:
    [run] = whole()["executions"]
    assert [s["id"] for s in run["steps"]] == [
        "lock", "last_look", "detach", "prove", "catch_up", "names", "fence", "promote", "repoint", "verify",
    ]  # fmt: skip
    detach = run["steps"][2]["attempts"][0]
    assert detach["commands"] == ["pg2: ALTER SYSTEM SET primary_conninfo = ''"]
    assert (detach["outcome"], detach["took_s"], detach["output"]) == (
        "succeeded",
        0.025,
        {"detached": ["pg2", "pg3"]},
    )


def test_overrides_stand_on_page_one() -> None:
    journal = JournalBuilder()
    incident = open_crash(journal)
    journal.add(
        ev.OVERRIDE_RECORDED,
        {"rule": "S3", "reason": "host pg3 has burnt | down", "person": "ada"},
        actor="ada",
    )
    page = report_markdown(journal.events, incident)
    first = page.split("\n## ")[1]
    assert first.startswith("⚠ Rules that were overridden")
    assert "**S3** — ada" in first
    assert r"burnt \| down" in first
    assert report_json(journal.events, incident)["people"] == ["ada"]


def test_holds_vetoes_and_would_have_acted_are_told() -> None:
    journal = JournalBuilder()
    incident = open_crash(journal)
    decision(journal, "hold", observers="a replica still hears the primary: it vetoes (P14)")
    decision(journal, "hold", mode="mode is observe")
    journal.events[-1].data["would"] = True  # type: ignore[index]
    report = report_json(journal.events, incident)
    assert [d["stopped_by"] for d in report["held"]] == ["observers", "mode"]
    page = report_markdown(journal.events, incident)
    assert "it vetoes (P14)" in page
    assert "**would postgresql-failover**" in page


def test_what_was_not_observed_is_never_a_zero() -> None:
    journal = JournalBuilder()
    incident = open_crash(journal)
    report = report_json(journal.events, incident)
    assert report["rto"]["actual_s"] is None
    assert report["rto"]["met"] is None
    assert report["rto"]["marks"]["T8"] is None
    assert report["rpo"]["verdict"] is None
    page = report_markdown(journal.events, incident)
    assert "No verdict was recorded" in page
    assert "| T8 | verified from the client's side | not observed |" in page
    assert "not signed: the incident is not closed" in page


def test_a_loss_misses_its_target() -> None:
    journal = JournalBuilder()
    incident = open_crash(journal)
    verdict_of(journal, run_failover(journal, canary_found=4700))
    report = report_json(journal.events, incident)
    assert (report["rpo"]["verdict"], report["rpo"]["lost"]) == ("LOSS", 11)
    assert "| RPO | 0.000 s | LOSS | no |" in report_markdown(journal.events, incident)


def test_a_second_execution_keeps_the_first_ones_verdict() -> None:
    journal = JournalBuilder()
    incident = open_crash(journal)
    verdict_of(journal, run_failover(journal, prove={"complete": False, "reason": "pg3 not locked"}))
    verdict_of(journal, run_failover(journal))
    report = report_json(journal.events, incident)
    assert report["rpo"]["verdict"] == "ZERO_PROVEN"
    assert [v["verdict"] for v in report["rpo"]["earlier"]] == ["UNPROVEN"]
    assert len(report["executions"]) == 2


def test_two_boots_are_marked_as_estimated() -> None:
    journal = JournalBuilder()
    incident = open_crash(journal)
    journal.at(500).reboot("boot-2")
    journal.at(900)
    run_failover(journal)
    report = report_json(journal.events, incident)
    assert report["rto"]["estimated"] is True
    assert report["rto"]["estimated_error_us"] == 300
    assert "estimated: two boots or two hosts (± 300 µs)" in report_markdown(journal.events, incident)


def test_an_unknown_incident_is_told() -> None:
    with pytest.raises(UsageError, match="INC-99"):
        report_json([], "INC-99")


def test_a_journal_that_ends_anywhere_still_gives_a_report() -> None:
    journal = failover_journal()
    for events in cut(journal.events):
        if not any(e.type == ev.INCIDENT_OPENED for e in events):
            continue
        page = report_markdown(events, journal.incident or "")
        assert page.startswith("# Incident report")
        assert report_json(events, journal.incident or "")["journal"]["records"] >= 1


def test_an_open_intent_shows_as_running_or_unknown() -> None:
    journal = failover_journal()
    promote = next(e.seq for e in journal.events if e.data.get("step") == "promote")
    events = journal.events[:promote]
    [run] = report_json(events, journal.incident or "")["executions"]
    assert next(s for s in run["steps"] if s["id"] == "promote")["state"] == "running"


NASTY = (
    "</td><script>x</script> | `a` \n# heading\n- [link](http://evil) **b** ![i](x) \u202eevil ``` \\| &lt;"
)


def test_nothing_from_outside_becomes_markup() -> None:
    """A server's error text, a person's reason, a member's name: whatever they hold, the page stays one."""
    journal = JournalBuilder(service=NASTY)
    incident = open_crash(journal)
    opened = journal.events[-3].data["diagnosis"]
    opened["evidence_for"][0] = opened["sentence"] = opened["member"] = NASTY
    journal.add(ev.OVERRIDE_RECORDED, {"rule": NASTY, "reason": NASTY, "person": NASTY}, actor=NASTY)
    decision(journal, "hold", rpo=NASTY)
    run = run_failover(journal, prove={"reason": NASTY, "weak": [NASTY]})
    journal.step(run, "more", {NASTY: NASTY}, detail=NASTY, commands=[NASTY, "```\nfake\n```"])
    journal.add(ev.PAGE_QUEUED, {"page": NASTY, "severity": NASTY, "summary": NASTY})
    verdict_of(journal, run)
    page = report_markdown(journal.events, incident)
    outside, fence = [], None
    for line in page.splitlines():
        opening = re.match(r"`{3,}", line)
        if fence is None and opening:
            fence = opening[0]
        elif fence is not None and line == fence:
            fence = None
        elif fence is None:
            outside.append(line)
    assert fence is None
    text = "\n".join(outside)
    bare = re.sub(r"\\.|`[^`]*`", "", text)
    assert "<" not in bare
    assert "[" not in bare.replace("[link", "") or "](" not in bare
    assert "\u202e" not in page
    assert not re.search(r"^# heading", text, re.MULTILINE)
    for table in re.findall(r"(?:^\|.*\n)+", text + "\n", re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(widths) == 1, table
