"""People are told once of what lasts, and again of what is new."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from memory_journal import MemoryStore
from supervisor_bench import SERVICE, estate

from controller.approval_rules import DAEMON, ApprovalState, Rule, judge_approval
from controller.codes import CODES
from controller.diagnose import with_runbook
from controller.engines import POSTGRESQL
from controller.supervisor.desk import IncidentDesk, facts_in
from controller.supervisor.frozen import frozen_facts
from controller.supervisor.judgement import Case, Judged, Surroundings, judge
from controller.supervisor.knowledge import Knowledge
from controller.supervisor.ledger import Ledger
from controller.supervisor.notes import HIGH_WATER_EVERY_S, Notes
from controller.supervisor.pages import Told
from controller.supervisor.tap import TappedJournal
from controller.supervisor.telling import NO_PRIMARY_S, QUIET_S, Telling
from controller.supervisor.trouble import Trouble
from controller.views import PG
from model import events as ev
from model.decision import Decision, GateResult, Verb
from model.diagnosis import Diagnosis
from model.errors import JournalFullError
from model.events import Event
from model.observation import Observation, Outcome


def diagnosis(code: str, member: str | None = "pg2", *, confirmed: bool = True) -> Diagnosis:
    return Diagnosis(SERVICE, with_runbook(CODES[code], POSTGRESQL), member, confirmed, 0.0, None, None)


@pytest.fixture
def told() -> list[Told]:
    return []


@pytest.fixture
def telling(told: list[Told]) -> Telling:
    return Telling(told.append)


@pytest.fixture
def judged(tmp_path: Path) -> Judged:
    """Nothing was seen yet."""
    declared = estate(tmp_path)
    service = declared.services[SERVICE]
    case = Case(declared, service, Knowledge(declared, service), Ledger(SERVICE))
    return judge(case, Surroundings(leader=True, epoch=1, budget_left=3, wall_ns=0), 10.0)


def waits(approval: str) -> ApprovalState:
    rule = Rule("III", persons=2)
    return judge_approval(rule, approval=approval, requester=DAEMON, given=(), expires_ns=1, wall_ns=0)


def held_at(judged: Judged, code: str, gate: str, verb: Verb = Verb.HOLD) -> Judged:
    decision = Decision(SERVICE, verb, "postgresql-failover", "pg2", (GateResult(gate, False, "why"),), "why")
    outlook = replace(judged.outlook, diagnosis=diagnosis(code))
    return replace(judged, outlook=outlook, decision=decision)


def test_a_hold_is_paged_once_in_an_incident_for_each_diagnosis_and_gate(
    telling: Telling, told: list[Told], judged: Judged
) -> None:
    rpo, budget = (held_at(judged, "PrimaryProcessDown", g) for g in ("rpo", "budget"))
    for each in (rpo, budget, rpo, budget):
        telling.held(each, "INC-1", None)
    assert len(told) == 2
    telling.held(held_at(judged, "PrimaryHung", "rpo"), "INC-1", None)
    telling.held(rpo, "INC-2", None)
    assert len(told) == 4


def test_each_request_for_approval_is_paged_with_what_to_type(
    telling: Telling, told: list[Told], judged: Judged
) -> None:
    asks = held_at(judged, "PrimaryProcessDown", "approval", Verb.ASK)
    for approval in ("APR-1", "APR-1", "APR-2"):
        telling.held(asks, "INC-1", waits(approval))
    assert [t.detail.split("`")[1::2][:2] for t in told] == [
        ["bcm-failover approve APR-1", "reject APR-1 --reason …"],
        ["bcm-failover approve APR-2", "reject APR-2 --reason …"],
    ]
    assert told[0].detail.startswith("APR-1 waits for 2 persons (level III); ")


def test_a_warning_that_comes_and_goes_is_one_warning(telling: Telling, told: list[Told]) -> None:
    for at_s in range(0, 3600, 60):
        telling.warn(diagnosis("ConfigDrift"), float(at_s))
    assert len(told) == 1
    telling.warn(diagnosis("ConfigDrift"), 3540.0 + QUIET_S - 1)
    assert len(told) == 1
    telling.warn(diagnosis("ConfigDrift"), 9000.0)
    assert len(told) == 2


@pytest.mark.parametrize(
    ("code", "warns"),
    [
        ("StandbyDown", True),
        ("NodeDown", True),
        ("ConfigDrift", True),
        # Early warnings have a desk of their own.
        ("RedundancyLost", False),
        ("StandbyLagging", False),
        ("ObserverIsolated", True),
        ("Healthy", False),
        ("PrimarySuspect", False),
        ("PrimaryRestarting", False),
    ],
)
def test_what_somebody_should_know_is_told(
    telling: Telling, told: list[Told], code: str, warns: bool
) -> None:
    telling.warn(diagnosis(code), 1.0)
    assert [t.severity for t in told] == (["warning"] if warns else [])


def test_what_is_not_confirmed_or_known_to_be_away_is_not_warned_of(
    telling: Telling, told: list[Told]
) -> None:
    telling.warn(diagnosis("PrimaryConnectionsExhausted", confirmed=False), 1.0)
    telling.warn(diagnosis("StandbyDown"), 1.0, {"pg2"})
    assert told == []


def test_a_service_without_a_primary_is_told_of_when_that_lasts(
    telling: Telling, told: list[Told], judged: Judged
) -> None:
    telling.no_primary(judged)
    telling.no_primary(replace(judged, at_s=10.0 + NO_PRIMARY_S - 1))
    assert told == []
    telling.no_primary(replace(judged, at_s=10.0 + NO_PRIMARY_S))
    telling.no_primary(replace(judged, at_s=11.0 + NO_PRIMARY_S))
    assert len(told) == 1
    assert "pg3: not observed yet" in told[0].summary


def test_trouble_of_the_whole_controller_is_told_when_it_begins_and_when_it_is_over() -> None:
    pages: list[tuple[str, str]] = []
    trouble = Trouble(lambda severity, summary: pages.append((severity, summary)))
    trouble.over()
    for free in (4096, 2048, 0):
        trouble.tell("the journal can't be written", f"{free} bytes free")
    assert pages == [("page", "the journal can't be written: 4096 bytes free")]
    trouble.over()
    trouble.over()
    assert pages[1:] == [("info", "over: the journal can't be written")]


# --- notes: changes only


class Written:
    def __init__(self) -> None:
        self.records: list[tuple[str, dict[str, Any]]] = []
        self.full = False

    async def append(self, type_: str, data: dict[str, Any]) -> None:
        if self.full:
            raise JournalFullError("full")
        self.records.append((type_, data))

    def types(self) -> list[str]:
        return [type_ for type_, _ in self.records]


def seen(knowledge: Knowledge, at_s: float, **facts: Any) -> None:
    known = {"in_recovery": False, "timeline": 1, "position": 100, **facts}
    knowledge.observe(
        Observation("orders/pg1", PG, "test", Outcome.SUCCEEDED, at_s, at_s, at_s, facts=known), "pg1"
    )


async def test_a_change_is_noted_once_and_what_could_not_be_written_the_next_time(tmp_path: Path) -> None:
    declared = estate(tmp_path)
    service = declared.services[SERVICE]
    knowledge, written = Knowledge(declared, service), Written()
    notes = Notes(knowledge, written.append)
    case = Case(declared, service, knowledge, Ledger(SERVICE, primary="pg1"))
    around = Surroundings(leader=True, epoch=1, budget_left=3, wall_ns=0)

    async def turn(at_s: float) -> None:
        judged = judge(case, around, at_s)
        await notes.healths(judged)
        await notes.diagnosis(judged)
        await notes.knowledge(judged, "pg1")

    seen(knowledge, 1.0, sync_names="ANY 1 (pg2)")
    written.full = True
    with pytest.raises(JournalFullError):
        await turn(1.0)
    written.full = False
    await turn(1.0)
    await turn(1.1)
    assert written.types() == [ev.HEALTH_CHANGED, ev.DIAGNOSIS_CHANGED, ev.SYNC_SETTING, ev.HIGH_WATER]
    assert written.records[2][1]["confirmed"] is False
    seen(knowledge, 2.0, sync_names="ANY 1 (pg2, pg3)")
    await turn(2.0)
    last = written.records[-1]
    assert last[0] == ev.SYNC_SETTING
    assert (last[1]["value"], last[1]["previous"]) == ("ANY 1 (pg2, pg3)", "ANY 1 (pg2)")
    before = len(written.records)
    seen(knowledge, 1.0 + HIGH_WATER_EVERY_S, sync_names="ANY 1 (pg2, pg3)", position=200)
    await turn(1.0 + HIGH_WATER_EVERY_S)
    assert written.types()[before:] == [ev.HIGH_WATER]
    assert written.records[-1][1]["members"]["pg1"] == {"timeline": 1, "lsn": 200}


# --- the desk and the tap


async def test_an_incident_freezes_what_was_seen_and_its_facts_have_no_floats(tmp_path: Path) -> None:
    import gzip
    import hashlib
    import json

    journal = MemoryStore().open()
    desk = IncidentDesk(SERVICE, journal, facts_in(tmp_path / "facts"), lambda seq, _hash: f"signed {seq}")
    declared = estate(tmp_path)
    knowledge = Knowledge(declared, declared.services[SERVICE])
    seen(knowledge, 1.0)
    incident = await desk.open(
        diagnosis("PrimaryHung").to_json(),
        level="III",
        t0_s=1.0,
        first_bad_s=1.5,
        confirmed_s=2.0,
        frozen=frozen_facts("1", "sha256:x", knowledge),
    )
    await desk.freeze(incident, knowledge.kept())
    [frozen] = journal.events(types=(ev.FACTS_FROZEN,))
    path = tmp_path / "facts" / frozen.data["file"]
    lines = gzip.decompress(path.read_bytes())
    assert hashlib.sha256(lines).hexdigest() == frozen.data["sha256"]
    assert [json.loads(line)["target"] for line in lines.splitlines()] == ["orders/pg1"]
    assert path.stat().st_mode & 0o077 == 0
    closed = await desk.close(incident, "over", redundant_s=3.0)
    marks = [(e.data["mark"], e.data["at_ns"]) for e in journal.events(types=(ev.CLOCK_MARK,))]
    assert marks == [("T1", 2 * 10**9), ("T2", 2 * 10**9), ("T9", 3 * 10**9)]
    assert closed.data["head_seq"] == closed.seq - 1
    assert closed.data["signature"] == f"signed {closed.seq - 1}"


async def test_a_key_that_can_not_be_used_leaves_no_mark_behind(tmp_path: Path) -> None:
    from model.errors import JournalError

    def sign(_seq: int, _hash: str) -> str:
        raise JournalError("the key can't be read")

    journal = MemoryStore().open()
    desk = IncidentDesk(SERVICE, journal, facts_in(tmp_path), sign)
    event = await journal.append(ev.INCIDENT_OPENED, {}, service=SERVICE, incident="new")
    with pytest.raises(JournalError):
        await desk.close(str(event.incident), "over", redundant_s=3.0)
    assert journal.events(types=(ev.CLOCK_MARK,)) == []


async def test_a_record_is_heard_though_its_writer_was_cancelled_and_a_listener_fails() -> None:
    import asyncio

    journal = TappedJournal(MemoryStore().open())
    heard: list[Event] = []

    def deaf(_event: Event) -> None:
        raise ValueError

    journal.listen(deaf)
    unlisten = journal.listen(heard.append)
    writing = asyncio.ensure_future(journal.append(ev.SERVICE_RESUMED, {}, service=SERVICE))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.wait({writing})
    while not heard:
        await asyncio.sleep(0)
    assert [e.type for e in heard] == [ev.SERVICE_RESUMED]
    unlisten()
    await journal.append(ev.SERVICE_RESUMED, {})
    assert len(heard) == 1
