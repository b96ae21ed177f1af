"""Helpers of judgement: why `act` is refused, what redundancy lacks, who is primary, what may be mended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from supervisor_bench import SYSTEM, estate

from config.schema import Service
from controller.codes import CODES
from controller.supervisor.judgement import primary_to_adopt, redundancy_missing, refusals_of_act
from controller.supervisor.ledger import Ledger
from controller.supervisor.recovery import accepts_writes, may_mend
from controller.views import CANARY, PG, MemberView, ServiceView
from model.diagnosis import Diagnosis
from model.health import PROFILES, Health, ProbeState
from model.observation import Failure, Observation, Outcome
from model.quorum import parse_synchronous_standby_names


def observation(member: str, probe: str = PG, failure: Failure | None = None, **facts: Any) -> Observation:
    outcome = Outcome.SUCCEEDED if failure is None else Outcome.FAILED
    if failure in (Failure.LOCK_BLOCKED, Failure.CREDENTIALS):
        outcome = Outcome.UNKNOWN
    return Observation(f"orders/{member}", probe, "test", outcome, 9.0, 9.1, 9.1, failure, "", facts)


def member(name: str, health: Health = Health.UP, **facts: Any) -> MemberView:
    primary = name == "pg1"
    known = {
        "in_recovery": not primary,
        "walreceiver": not primary,
        "timeline": 1,
        "system_identifier": SYSTEM,
        **facts,
    }
    good = observation(name, **known)
    state = ProbeState(f"orders/{name}", PG, health, last=good, last_good=good, why=health.value)
    return MemberView(name, name, "standby", f"db-{name}", "dc1", 100, False, {PG: state})


def canary(health: Health, last: Observation | None, good: Observation | None = None) -> ProbeState:
    return ProbeState("orders/pg1", CANARY, health, last=last, last_good=good)


def view(*members: MemberView, settings: tuple[str, ...] = ("ANY 1 (pg2, pg3)",)) -> ServiceView:
    return ServiceView(
        "orders",
        PROFILES["balanced"],
        0.0,
        "pg1",
        members or (member("pg1"), member("pg2"), member("pg3")),
        settings=tuple(parse_synchronous_standby_names(s) for s in settings),
    )


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return estate(tmp_path).services["orders"]


# --- P1


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("ANY 1 (*)", "ambiguous"),
        ("ANY 1 (pg2, PG2)", "ambiguous"),
        ("ANY 1 (pg2, reporting)", "'reporting', which is no member"),
    ],
)
def test_act_is_refused_for_names_that_are_not_one_known_server_each(
    service: Service, setting: str, said: str
) -> None:
    assert any(said in reason for reason in refusals_of_act(service, view(settings=(setting,))))


def test_act_is_refused_while_a_name_streams_twice(service: Service) -> None:
    rows = [{"application_name": n} for n in ("pg2", "PG2", "pg3", "reporting", "reporting")]
    seen = view(member("pg1", standbys=rows), member("pg2"), member("pg3"))
    assert refusals_of_act(service, seen) == ["'pg2' streams more than once"]


def test_act_is_refused_while_something_streams_in_a_members_name(service: Service) -> None:
    [reason] = refusals_of_act(service, view(), {"pg2"})
    assert "streams in its name" in reason


def test_nothing_is_refused_where_all_is_well_or_nobody_acts(service: Service, tmp_path: Path) -> None:
    assert refusals_of_act(service, view()) == []
    observing = estate(tmp_path, mode="observe").services["orders"]
    assert refusals_of_act(observing, view(settings=("*",))) == []


# --- redundancy


def test_redundancy_is_there_when_every_member_streams_on_the_primarys_timeline(service: Service) -> None:
    assert redundancy_missing(service, Ledger("orders"), view()) == []


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ((member("pg1", Health.DOWN), member("pg2"), member("pg3")), "no primary that answers"),
        ((member("pg1", in_recovery=True), member("pg2"), member("pg3")), "no primary that answers"),
        ((member("pg1"), member("pg2", Health.DOWN), member("pg3")), "pg2: down"),
        ((member("pg1"), member("pg2", walreceiver=False), member("pg3")), "pg2 does not stream"),
        ((member("pg1", timeline=2), member("pg2", timeline=2), member("pg3")), "pg3 is on timeline 1"),
    ],
)
def test_each_copy_that_is_missing_is_named(
    service: Service, members: tuple[MemberView, ...], said: str
) -> None:
    [missing] = redundancy_missing(service, Ledger("orders"), view(*members))
    assert said in missing


def test_a_retired_member_and_an_asynchronous_setting_are_missing_redundancy(service: Service) -> None:
    ledger = Ledger("orders", retired=("pg3", "gone"))
    assert redundancy_missing(service, ledger, view(settings=("",))) == [
        "pg3 has not rejoined",
        "replication is not synchronous",
    ]


# --- who is primary


def test_the_one_that_accepts_writes_on_the_newest_timeline_is_primary() -> None:
    assert primary_to_adopt(view()) == "pg1"


@pytest.mark.parametrize(
    "members",
    [
        (member("pg1"), member("pg2", in_recovery=False), member("pg3")),
        (member("pg1"), member("pg2", timeline=2), member("pg3")),
        (member("pg1"), member("pg2", system_identifier="8"), member("pg3")),
        (member("pg1", Health.DOWN), member("pg2"), member("pg3")),
        (
            member("pg1"),
            member("pg2"),
            replace(member("pg3"), probes={PG: ProbeState("orders/pg3", PG)}),
        ),
    ],
)
def test_nobody_is_taken_for_the_primary_while_that_is_not_clear(members: tuple[MemberView, ...]) -> None:
    assert primary_to_adopt(view(*members)) is None


# --- recovery


def with_canary(state: ProbeState | None, **facts: Any) -> MemberView:
    base = member("pg1", **facts)
    return replace(base, probes={**base.probes, **({CANARY: state} if state else {})})


ACKED = observation("pg1", CANARY, canary_n=1)
NO_TABLE = replace(observation("pg1", CANARY), outcome=Outcome.UNKNOWN)


@pytest.mark.parametrize(
    ("primary", "accepts"),
    [
        (with_canary(canary(Health.UP, ACKED, ACKED)), True),
        (with_canary(canary(Health.UP, ACKED, ACKED), in_recovery=True), False),
        (with_canary(None), False),
        (with_canary(canary(Health.UNKNOWN, None)), False),
        (with_canary(canary(Health.SUSPECT, observation("pg1", CANARY, Failure.SYNC_BLOCKED), ACKED)), False),
        (with_canary(canary(Health.UNKNOWN, NO_TABLE)), True),
        (with_canary(canary(Health.UNKNOWN, NO_TABLE, ACKED)), False),
        (with_canary(canary(Health.UNKNOWN, observation("pg1", CANARY, Failure.LOCK_BLOCKED))), False),
        (None, False),
    ],
)
def test_writes_are_accepted_when_one_was_acknowledged(primary: MemberView | None, accepts: bool) -> None:
    assert accepts_writes(primary) is accepts


@pytest.mark.parametrize("code", ["Healthy", "StandbyDown", "OldPrimaryReturned", "PrimarySyncBlocked"])
def test_members_are_brought_back_while_that_can_only_help(code: str) -> None:
    diagnosis = Diagnosis("orders", CODES[code], None, True, 0.0, None, None)
    assert may_mend(diagnosis, Ledger("orders"))
    assert not may_mend(diagnosis, Ledger("orders", split=True))


@pytest.mark.parametrize(
    "code", ["SplitBrain", "PrimaryWentBack", "OtherManagerPresent", "PrimaryProcessDown", "SwitchedOutside"]
)
def test_nobody_is_brought_back_while_it_is_not_clear_to_whom(code: str) -> None:
    assert not may_mend(Diagnosis("orders", CODES[code], None, True, 0.0, None, None), Ledger("orders"))
