"""An outage that lasts becomes graver, and what people owe it in time is told when it is late."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from supervisor_events import event

from config.levels import Levels
from config.services import Importance
from controller.codes import CODES
from controller.levels import scope_of
from controller.supervisor.escalation import Escalation
from controller.supervisor.open_incident import OpenIncident
from controller.supervisor.pages import Told
from model import events as ev
from model.diagnosis import Diagnosis

HOUR = 3600.0
OPENED = event(
    ev.INCIDENT_OPENED,
    {"t0_ns": 1_000_000_000, "level": "III", "diagnosis": {"code": "PrimaryHung"}},
    incident="INC-1",
    seq=3,
)
CRASH = Diagnosis("orders", CODES["PrimaryHung"], "pg1", True, 3.0, 1.0, 2.0)


class Desk:
    """An escalation, and the incident as its own records leave it."""

    def __init__(self, levels: Levels | None = None, importance: Importance = Importance.CRITICAL) -> None:
        self.incident: OpenIncident | None = OpenIncident.opened_by(OPENED)
        self.told: list[Told] = []
        self.written: list[tuple[str, dict[str, Any]]] = []
        self.escalation = Escalation(levels or Levels(), importance, self._append, self.told.append)

    async def _append(self, type_: str, data: dict[str, Any], actor: str = "daemon") -> None:
        self.written.append((type_, data))
        assert self.incident is not None
        self.incident = self.incident.apply(event(type_, data, incident="INC-1"))

    async def at(self, elapsed_s: float, diagnosis: Diagnosis = CRASH) -> None:
        await self.escalation.turn(self.incident, scope_of(diagnosis.code), elapsed_s)

    @property
    def level(self) -> str:
        return self.incident.level if self.incident else ""


async def test_the_level_rises_with_time_once_for_each_step() -> None:
    desk = Desk()
    for elapsed_s in (0.0, 1799.0, 1800.0, 1801.0, 4 * HOUR, 4 * HOUR + 1):
        await desk.at(elapsed_s)
    raised = [(d["from"], d["level"]) for t, d in desk.written if t == ev.INCIDENT_LEVEL]
    assert raised == [("III", "II"), ("II", "I")]
    assert "commander: deputy" in desk.told[0].detail


async def test_the_level_never_falls_though_the_cause_looks_smaller() -> None:
    desk = Desk(importance=Importance.LOW)
    await desk.at(10.0, replace(CRASH, info=CODES["SiteDown"]))
    assert desk.level == "II"
    await desk.at(20.0)
    assert desk.level == "II"


async def test_what_works_again_grows_no_graver() -> None:
    desk = Desk()
    assert desk.incident is not None
    desk.incident = replace(desk.incident, recovered=True)
    await desk.at(9 * HOUR)
    assert desk.level == "III"


async def test_a_switch_by_hand_is_no_outage() -> None:
    desk = Desk()
    assert desk.incident is not None
    desk.incident = replace(desk.incident, manual=True)
    await desk.at(9 * HOUR)
    assert desk.written == []


async def test_a_missed_deadline_is_told_once_and_again_when_the_level_rises() -> None:
    desk = Desk(importance=Importance.NORMAL)
    for elapsed_s in (2 * HOUR, 2 * HOUR + 1, 3 * HOUR):
        await desk.at(elapsed_s)
    missed = [(d["what"], d["level"]) for t, d in desk.written if t == ev.DEADLINE_MISSED]
    assert missed == [("confirmation", "III"), ("report", "III")]
    await desk.at(3 * HOUR, replace(CRASH, info=CODES["SiteDown"]))
    missed = [(d["what"], d["level"]) for t, d in desk.written if t == ev.DEADLINE_MISSED]
    assert missed[2:] == [("confirmation", "II"), ("report", "II")]


async def test_what_was_done_in_time_is_not_asked_for() -> None:
    desk = Desk(importance=Importance.NORMAL)
    assert desk.incident is not None
    desk.incident = desk.incident.apply(event(ev.INCIDENT_ACKNOWLEDGED, {"comment": "on it"}))
    assert desk.incident is not None
    desk.incident = desk.incident.apply(event(ev.INCIDENT_REPORTED, {"to": "the deputy"}))
    await desk.at(9 * HOUR)
    assert desk.written == []


@pytest.mark.parametrize(("boot", "elapsed_s"), [("boot", 9.0), ("another boot", 62.0)])
def test_the_outage_began_at_the_last_good_observation_also_after_a_reboot(
    boot: str, elapsed_s: float
) -> None:
    incident = OpenIncident.opened_by(OPENED)  # written at 3 s, 2 s after the last good observation
    wall_ns = 1_767_225_600_000_000_000 + 60_000_000_000  # a minute after the record
    assert incident.elapsed_s(boot, 10.0, wall_ns) == elapsed_s
