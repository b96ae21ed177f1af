"""What a restarted daemon knows is what the journal says."""

from __future__ import annotations

from supervisor_events import SERVICE, event

from controller.approval_rules import Rule
from controller.supervisor.consent import Question, consent
from controller.supervisor.ledger import SEEN_LATELY_NS, Ledger
from controller.supervisor.open_incident import CRASH_SEEN_S
from model import events as ev

FIRST_NS = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z


def ledger(*events: object) -> Ledger:
    return Ledger.read(SERVICE, events)  # type: ignore[arg-type]


def test_events_of_other_services_change_nothing() -> None:
    assert ledger(event(ev.SERVICE_PRIMARY, {"member": "x"}, service="other")) == Ledger(SERVICE)


def test_the_last_primary_counts_and_is_no_longer_retired() -> None:
    known = ledger(
        event(ev.SERVICE_PRIMARY, {"member": "pg1", "timeline": 1, "system_identifier": "7"}),
        event(ev.MEMBER_RETIRED, {"member": "pg1"}),
        event(ev.SERVICE_PRIMARY, {"member": "pg2", "timeline": 2}),
    )
    assert (known.primary, known.timeline, known.system_identifier) == ("pg2", 2, "7")
    assert known.retired == ("pg1",)
    assert known.apply(event(ev.SERVICE_PRIMARY, {"member": "pg1", "timeline": 3})).retired == ()


def test_a_retired_member_stays_retired_until_it_rejoined() -> None:
    retired = ledger(event(ev.MEMBER_RETIRED, {"member": "pg1"}), event(ev.MEMBER_RETIRED, {"member": "pg1"}))
    assert retired.retired == ("pg1",)
    assert retired.apply(event(ev.MEMBER_REJOINED, {"member": "pg1"})).retired == ()


def test_an_unconfirmed_setting_counts_beside_the_confirmed_one_after_a_restart() -> None:
    known = ledger(
        event(ev.SYNC_SETTING, {"value": "ANY 2 (pg2, pg3)", "confirmed": True}),
        event(ev.SYNC_SETTING, {"value": "ANY 1 (pg2, pg3)", "confirmed": False}, seq=2),
    )
    assert known.history("boot").texts == ("ANY 2 (pg2, pg3)", "ANY 1 (pg2, pg3)")


def test_the_age_of_a_setting_read_in_another_boot_is_not_known() -> None:
    known = ledger(event(ev.SYNC_SETTING, {"value": "ANY 1 (pg2)"}, seq=5))
    assert known.history("boot").read_ns == 5_000_000_000
    assert known.history("another boot").read_ns is None
    assert known.history("another boot").texts == ("ANY 1 (pg2)",)


def test_a_pause_ends_by_the_clock_and_by_a_person() -> None:
    paused = ledger(event(ev.SERVICE_PAUSED, {"until_wall_ns": FIRST_NS + 60_000_000_000, "reason": "disk"}))
    assert paused.paused(FIRST_NS) == "paused for 60 s more: disk"
    assert paused.paused(FIRST_NS + 60_000_000_000) is None
    assert paused.apply(event(ev.SERVICE_RESUMED)).paused(FIRST_NS) is None


def test_a_block_outlives_the_process_until_it_is_lifted() -> None:
    blocked = ledger(event(ev.SERVICE_BLOCKED, {"reason": "EXE-9 failed over"}))
    assert blocked.blocked == "EXE-9 failed over"
    assert blocked.apply(event(ev.SERVICE_UNBLOCKED, {"reason": "fine"})).blocked is None


def test_an_incident_is_open_until_it_is_closed_and_only_by_its_own_records() -> None:
    opened = ledger(
        event(ev.INCIDENT_OPENED, {"diagnosis": {"code": "PrimaryHung"}, "level": "III"}, incident="INC-1")
    )
    assert opened.incident is not None
    assert (opened.incident.code, opened.incident.recovered) == ("PrimaryHung", False)
    assert opened.apply(event(ev.INCIDENT_CLOSED, incident="INC-0")).incident == opened.incident
    recovered = opened.apply(event(ev.INCIDENT_RECOVERED, incident="INC-1"))
    assert recovered.incident is not None
    assert recovered.incident.recovered
    assert recovered.apply(event(ev.INCIDENT_CLOSED, incident="INC-1")).incident is None


def test_open_executions_are_those_without_an_end() -> None:
    known = ledger(
        event(ev.EXECUTION_OPENED, execution="EXE-1"),
        event(ev.EXECUTION_OPENED, execution="EXE-2"),
        event(ev.EXECUTION_CLOSED, execution="EXE-1"),
    )
    assert known.open_executions == ("EXE-2",)


ASKED = event(
    ev.APPROVAL_REQUESTED,
    {
        "approval": "APR-1",
        "runbook": "postgresql-failover",
        "to": "pg2",
        "requester": "daemon",
        "expires_wall_ns": FIRST_NS,
    },
    incident="INC-1",
)
GIVEN = event(ev.APPROVAL_GIVEN, {"approval": "APR-1", "person": "wang"})
FOR = ("INC-1", "postgresql-failover", "pg2")


RULE = Rule("III")


def stands(
    known: Ledger, about: tuple[str, str, str] = FOR, wall_ns: int = 0, code: str = "PrimaryHung"
) -> str:
    state = consent(known, RULE, Question(*about, code), wall_ns)
    return "not asked" if state is None else state.standing.value


def test_an_approval_is_given_once_and_expires() -> None:
    asked = ledger(ASKED)
    assert stands(asked) == "waits"
    given = asked.apply(GIVEN)
    assert stands(given, wall_ns=FIRST_NS - 1) == "granted"
    assert stands(given, wall_ns=FIRST_NS) == "not asked"
    assert stands(asked.apply(event(ev.APPROVAL_EXPIRED, {"approval": "APR-1"}))) == "not asked"


def test_an_approval_is_for_one_incident_one_runbook_and_one_member() -> None:
    given = ledger(ASKED, GIVEN)
    assert stands(given, ("INC-2", "postgresql-failover", "pg2")) == "not asked"
    assert stands(given, ("INC-1", "postgresql-switchover", "pg2")) == "not asked"
    assert stands(given, ("INC-1", "postgresql-failover", "pg3")) == "not asked"


def test_an_approval_is_used_up_by_the_execution_that_was_launched_with_it() -> None:
    opened = {"trigger": "approved", "kind": "failover", "runbook": "postgresql-failover"}
    used = ledger(ASKED, GIVEN, event(ev.EXECUTION_OPENED, opened, execution="EXE-1", incident="INC-1"))
    assert stands(used) == "not asked"


def test_an_approval_is_void_once_what_it_was_for_is_over() -> None:
    opened = event(ev.INCIDENT_OPENED, {"diagnosis": {"code": "PrimaryHung"}}, incident="INC-1")
    for over in (ev.INCIDENT_RECOVERED, ev.INCIDENT_CLOSED):
        assert stands(ledger(opened, ASKED, GIVEN, event(over, incident="INC-1"))) == "not asked"
        assert stands(ledger(opened, ASKED, event(over, incident="INC-1"))) == "not asked"


NO = {"approval": "APR-1", "person": "wang", "reason": "wait", "level": "III", "code": "PrimaryHung"}


def test_a_no_counts_in_the_circumstances_in_which_it_was_said() -> None:
    refused = ledger(ASKED, event(ev.APPROVAL_REJECTED, NO))
    assert stands(refused) == "refused"
    assert stands(refused, code="PrimaryProcessDown") == "not asked"
    assert stands(refused, ("INC-1", "postgresql-failover", "pg3")) == "not asked"
    assert consent(refused, Rule("II"), Question(*FOR, "PrimaryHung"), 0) is None
    assert stands(refused.apply(GIVEN)) == "refused", "a yes after the no"


def test_a_no_to_bringing_a_member_back_ends_when_it_is_lost_again() -> None:
    about = {"approval": "APR-1", "runbook": "postgresql-rejoin", "to": "pg2", "requester": "daemon"}
    asked = event(ev.APPROVAL_REQUESTED, {**about, "expires_wall_ns": FIRST_NS}, incident="INC-1")
    refused = ledger(asked, event(ev.APPROVAL_REJECTED, {**NO, "code": ""}))
    rejoin = ("INC-1", "postgresql-rejoin", "pg2")
    assert stands(refused, rejoin, code="") == "refused"
    assert stands(refused.apply(event(ev.MEMBER_RETIRED, {"member": "pg3"})), rejoin, code="") == "refused"
    assert stands(refused.apply(event(ev.MEMBER_RETIRED, {"member": "pg2"})), rejoin, code="") == "not asked"


def failed_over(kind: str, state: str) -> Ledger:
    return ledger(
        event(ev.EXECUTION_OPENED, {"kind": kind}, execution="EXE-1"),
        event(ev.EXECUTION_CLOSED, {"state": state}, execution="EXE-1"),
    )


def test_a_move_that_did_not_get_through_blocks_the_next_until_a_person_has_looked() -> None:
    for state in ("failed", "unknown"):
        blocked = failed_over("failover", state)
        assert blocked.blocked == f"EXE-1 ended {state}: a person must look, then acknowledge"
        assert blocked.apply(event(ev.SERVICE_UNBLOCKED)).blocked is None
        assert failed_over("rejoin", state).blocked is None
    assert failed_over("failover", "undone").blocked is None
    assert failed_over("failover", "succeeded").blocked is None


def test_two_primaries_are_remembered_until_a_person_has_said_which_side_is_right() -> None:
    split = ledger(event(ev.DIAGNOSIS_CHANGED, {"code": "SplitBrain", "confirmed": True}))
    assert split.split
    assert split.blocked is not None
    healthy = split.apply(event(ev.DIAGNOSIS_CHANGED, {"code": "Healthy", "confirmed": True}))
    assert healthy.split
    assert (
        healthy.apply(event(ev.INCIDENT_OPENED, incident="INC-1"))
        .apply(event(ev.INCIDENT_CLOSED, incident="INC-1"))
        .split
    )
    acknowledged = healthy.apply(event(ev.SERVICE_UNBLOCKED))
    assert (acknowledged.split, acknowledged.blocked) == (False, None)


def test_only_what_changes_the_primary_is_a_move() -> None:
    for kind, moves in (("rejoin", False), ("failover", True), ("switchover", True), ("", True)):
        opened = ledger(event(ev.EXECUTION_OPENED, {"kind": kind}, execution="EXE-1"))
        assert opened.moving is moves
        assert not opened.apply(event(ev.EXECUTION_CLOSED, execution="EXE-1")).moving


def test_a_primary_counts_as_seen_for_three_missed_records_and_no_longer() -> None:
    known = ledger(event(ev.HIGH_WATER, {"members": {"pg1": {"timeline": 1, "lsn": 9}}}))
    assert known.high_water == {"pg1": (1, 9)}
    assert known.seen_lately(FIRST_NS + SEEN_LATELY_NS - 1)
    assert not known.seen_lately(FIRST_NS + SEEN_LATELY_NS)
    assert not Ledger(SERVICE).seen_lately(FIRST_NS)


def lost(kind: str) -> object:
    data = {"member": "pg1", "why": "pg2 was promoted", "kind": kind}
    return event(ev.MEMBER_RETIRED, data, execution="EXE-4", seq=5)


def test_who_lost_the_role_to_a_failover_is_known_though_it_has_rejoined() -> None:
    known = ledger(lost("failover"), event(ev.MEMBER_REJOINED, {"member": "pg1"}))
    assert known.retired == ()
    assert known.lost["pg1"].execution == "EXE-4"
    assert not ledger(lost("switchover")).lost  # a person moved it, and nothing was wrong with it


def test_redundancy_says_nothing_of_why_the_role_was_lost_and_a_person_does() -> None:
    known = ledger(lost("failover"), event(ev.SERVICE_BLOCKED, {"reason": "EXE-4 failed over"}))
    by_redundancy = known.apply(event(ev.SERVICE_UNBLOCKED, {"reason": "redundancy is back"}))
    assert (by_redundancy.blocked, list(by_redundancy.lost)) == (None, ["pg1"])
    assert not known.apply(event(ev.SERVICE_UNBLOCKED, {"reason": "a PSU"}, actor="wang")).lost


def test_how_long_ago_the_role_was_lost_does_not_jump_with_the_clock_on_the_wall() -> None:
    then = ledger(lost("failover")).lost["pg1"]
    a_day_ns = 86_400_000_000_000
    assert then.ago_ms("boot", 65.0, then.wall_ns + a_day_ns) == 60_000
    assert then.ago_ms("boot", 65.0, then.wall_ns - a_day_ns) == 60_000
    assert then.ago_ms("another boot", 1.0, then.wall_ns + 60_000_000_000) == 60_000


def test_a_crash_that_was_seen_just_now_need_not_be_seen_again() -> None:
    opened = event(
        ev.INCIDENT_OPENED,
        {"diagnosis": {"code": "PrimaryProcessDown"}, "level": "III"},
        incident="INC-1",
        seq=7,
    )
    known = ledger(opened)
    assert known.crash_seen_s("boot", 8.0) == 7.0
    assert known.crash_seen_s("another boot", 8.0) is None
    assert known.crash_seen_s("boot", 7.0 + CRASH_SEEN_S) is None
    assert known.apply(event(ev.INCIDENT_RECOVERED, incident="INC-1")).crash_seen_s("boot", 8.0) is None


def test_an_outage_of_another_kind_tells_nothing_of_a_crash() -> None:
    opened = event(ev.INCIDENT_OPENED, {"diagnosis": {"code": "PrimaryHung"}}, incident="INC-1", seq=7)
    assert ledger(opened).crash_seen_s("boot", 8.0) is None
