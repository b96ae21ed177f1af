"""What the situations do not show of a diagnosis: edges, ages, and moments."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from situation_player import ORIGIN_S, Situation

from controller.codes import CODES
from controller.diagnose import RULES_OF, diagnose
from controller.findings import Finding, first_bad_s, last_good_s
from model.diagnosis import Diagnosis, Stance
from model.health import DISK_FULL_BYTES, ProbeState
from tests.core.situation_engines import AT

CRASH = ["0.010 pg1 closed", "0.015..0.065/0.025 pg1 refused"]


def diagnosed(at_s: float = 1.0, **described: Any) -> Diagnosis:
    view = Situation(described).view(ORIGIN_S + at_s, [])
    return diagnose(view, ORIGIN_S + at_s)


def test_evidence_has_the_age_of_what_it_rests_on() -> None:
    found = diagnosed(0.5, seen=CRASH)
    assert found.code == "PrimaryProcessDown"
    assert [e.age_ms for e in found.evidence] == [430, 430, 430]
    assert {e.probe for e in found.evidence} == {"postgresql"}
    assert "last answer 0.50 s ago" in [e.text for e in found.evidence if e.supports]


@pytest.mark.parametrize(
    ("free", "code"), [(DISK_FULL_BYTES - 1, "PrimaryDiskFull"), (DISK_FULL_BYTES, "PrimaryProcessDown")]
)
def test_a_volume_is_full_where_no_segment_fits(free: int, code: str) -> None:
    facts = {"wal_free_bytes": free, "wal_size_bytes": 10**11}
    assert diagnosed(0.08, members={"pg1": {"facts": facts}}, seen=CRASH).code == code


def test_at_its_high_water_mark_the_primary_has_not_gone_back() -> None:
    assert diagnosed(service={"high_water": {"pg1": [1, AT]}}).code == "Healthy"
    assert diagnosed(service={"high_water": {"pg1": [1, AT + 1]}}).code == "PrimaryWentBack"
    assert diagnosed(service={"high_water": {"pg1": [2, 0]}}).code == "PrimaryWentBack"


def test_the_last_stop_counts_whoever_heard_it() -> None:
    """The canary heard of a stop later than the probe: the grace begins with the later one."""
    seen = ["0.010 pg1 stopping", "3.000 pg1/canary stopping", "0.015..6.000/0.050 pg1 refused"]
    assert diagnosed(5.2, seen=seen).code == "PrimaryRestarting"


def test_a_host_that_has_been_silent_for_a_moment_only_is_not_gone() -> None:
    """Its ping failed once; the server has been silent for long."""
    seen = ["0.020..6.000/0.125+0.5 pg1 silent", "0.100..2.000/0.1 pg1/icmp ok", "2.100+0.4 pg1/icmp silent"]
    assert diagnosed(2.6, seen=seen).code == "PrimaryHung"


def test_the_rules_that_need_the_primary_say_nothing_without_one() -> None:
    view = replace(Situation({"seen": CRASH}).view(ORIGIN_S + 1, []), primary=None)
    assert {rule.__name__ for rule in RULES_OF["postgresql"] if rule(view, ORIGIN_S + 1)} == {
        "not_observed",
        "standby_down",
    }
    assert diagnose(view, ORIGIN_S + 1).code == "NotObservedYet"
    gone = replace(view, primary="pg9")
    assert diagnose(gone, ORIGIN_S + 1).code == "NotObservedYet"


def test_a_service_of_one_has_no_standbys_to_lose() -> None:
    alone = {"settings": [""], "intended_setting": ""}
    assert diagnosed(without=["pg2", "pg3"], service=alone).code == "Healthy"


def test_first_bad_comes_after_last_good() -> None:
    good_late = ProbeState("t", "a", last_good_s=10.0, first_bad_s=None)
    bad_long = ProbeState("t", "b", last_good_s=2.0, first_bad_s=3.0)
    bad_now = ProbeState("t", "c", last_good_s=9.0, first_bad_s=11.0)
    states = (good_late, bad_long, bad_now)
    assert (last_good_s(states), first_bad_s(states)) == (10.0, 11.0)
    assert first_bad_s((good_late, bad_long)) == 3.0
    assert first_bad_s((good_late,)) is None
    assert last_good_s(()) is None


def test_a_finding_may_decide_otherwise_than_its_row() -> None:
    row = CODES["PrimaryShutDownByAdmin"]
    assert Finding(row.code, "pg1", True, ()).info == row
    acts = Finding(row.code, "pg1", True, (), stance=Stance.ACT).info
    assert (acts.stance, acts.remedy) == (Stance.ACT, row.remedy)


def test_json_of_a_diagnosis_holds_no_floats() -> None:
    data = diagnosed(0.08, seen=CRASH).to_json()
    assert isinstance(data["last_good_ns"], int)
    assert not any(isinstance(value, float) for value in data.values())
    assert data["evidence_against"] == ["the host answers: connections are refused, not dropped"]
