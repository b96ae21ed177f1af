"""The decision: every gate on record, in one order, and nothing acts that a gate can't vouch for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.codes import CODES
from controller.decide import decide, decision_key, granted_overrides, would_text
from controller.diagnose import with_runbook
from controller.engines import POSTGRESQL
from controller.gates import DecisionInput, evaluate_gates
from controller.order import Claim, Stage, Turn
from model.canonical import canonical_json
from model.decision import Verb
from model.diagnosis import Diagnosis, Stance
from model.disaster import Command, Scope, Tier
from model.quorum import Choice, Proof

GATES = [
    "mode",
    "pause",
    "command",
    "leadership",
    "observer",
    "observers",
    "diagnosis",
    "confirmed",
    "flapping",
    "blocked",
    "pingpong",
    "order",
    "budget",
    "execution",
    "candidate",
    "rpo",
    "dr",
    "approval",
]


def diagnosis(code: str = "PrimaryProcessDown", *, confirmed: bool = True) -> Diagnosis:
    return Diagnosis("orders", with_runbook(CODES[code], POSTGRESQL), "pg1", confirmed, 10.0, 9.0, 9.1)


GOOD = DecisionInput(
    service="orders",
    diagnosis=diagnosis(),
    mode="act",
    paused=None,
    leader=True,
    epoch=3,
    observer_sane=True,
    observer_why="",
    blocked=None,
    budget_left=2,
    open_execution=None,
    choice=Choice("pg2", None, "preferred"),
    proof=Proof(True, "2 readable, 2 needed", 2, ("pg2", "pg3"), None),
    rpo_s=0.0,
    canary_age_ms=None,
    candidate_site_role="standby",
)
NATURAL = Command("INC-7", Tier.NATURAL, Scope("site", "dc1"), "wang", moves=True)
UNPROVEN = Proof(False, "needs 2 readable", 2, ("pg2",), None)

# One for each gate that stops.
STOPS: list[tuple[str, dict[str, Any]]] = [
    ("mode", {"mode": "observe"}),
    ("mode", {"mode": "something new"}),
    ("mode", {"auto_refusals": ("`*`",)}),
    ("pause", {"paused": "patching"}),
    ("command", {"command": replace(NATURAL, tier=Tier.MAN_MADE)}),
    ("command", {"command": replace(NATURAL, tier=Tier.EXTERNAL)}),
    ("command", {"command": replace(NATURAL, waits_for=("db",))}),
    ("leadership", {"leader": False}),
    ("observer", {"observer_sane": False}),
    ("observers", {"diagnosis": diagnosis("PrimaryPartitioned")}),
    ("diagnosis", {"diagnosis": diagnosis("PrimarySyncBlocked")}),
    ("confirmed", {"diagnosis": diagnosis(confirmed=False)}),
    ("confirmed", {"primary_was_seen": False}),
    ("flapping", {"flapping": "orders/pg1 flaps"}),
    ("blocked", {"blocked": "EXE-5"}),
    ("execution", {"open_execution": "EXE-9"}),
    ("candidate", {"choice": Choice(None, None, "none left")}),
    ("rpo", {"proof": UNPROVEN}),
    ("rpo", {"proof": UNPROVEN, "rpo_s": 5.0, "canary_age_ms": 100}),
    ("rpo", {"proof": UNPROVEN, "rpo_s": 5.0, "canary_age_ms": None, "fenceable": True}),
    ("rpo", {"proof": UNPROVEN, "rpo_s": 5.0, "canary_age_ms": 5001, "fenceable": True}),
]
# Of what is done by itself: a person's yes is no automatic failover, and comes in no order.
STOPS_AUTOMATICALLY: list[tuple[str, dict[str, Any]]] = [
    ("order", {"turn": Turn(waits_for=(Claim("ldap", Stage.MOVING, 0.0, 0.0),))}),
    ("order", {"turn": Turn(yields_to=(Claim("billing", Stage.CONFIRMING, 0.0, 0.0),))}),
    ("budget", {"budget_left": 0}),
]
ASKS: list[tuple[str, dict[str, Any]]] = [
    ("diagnosis", {"diagnosis": diagnosis("PrimaryListenerHung")}),
    ("dr", {"candidate_site_role": "dr"}),
    ("approval", {"mode": "ask"}),
    ("pingpong", {"lost_by": "EXE-5", "lost_ago_ms": 60_000, "no_return_ms": 3_600_000}),
    ("command", {"command": NATURAL}),
]


def test_all_gates_pass_and_it_acts() -> None:
    decision = decide(GOOD)
    assert (decision.verb, decision.runbook, decision.candidate) == (Verb.ACT, "postgresql-failover", "pg2")
    assert [g.name for g in decision.gates] == GATES
    assert all(g.passed for g in decision.gates)
    assert decision.stopped_by is None


@pytest.mark.parametrize(("gate", "change"), STOPS + STOPS_AUTOMATICALLY)
def test_each_gate_holds_by_itself(gate: str, change: dict[str, Any]) -> None:
    decision = decide(replace(GOOD, **change))
    assert decision.verb is Verb.HOLD
    assert decision.stopped_by == gate
    assert [g.name for g in decision.gates] == GATES


@pytest.mark.parametrize(("gate", "change"), ASKS)
def test_each_question_asks_by_itself_and_is_settled_by_an_approval(
    gate: str, change: dict[str, Any]
) -> None:
    asked = decide(replace(GOOD, **change))
    assert (asked.verb, asked.stopped_by) == (Verb.ASK, gate)
    assert decide(replace(GOOD, **change, approved=True)).verb is Verb.ACT


@pytest.mark.parametrize(("gate", "change"), STOPS)
def test_an_approval_opens_no_gate_that_stops(gate: str, change: dict[str, Any]) -> None:
    assert decide(replace(GOOD, **change, approved=True)).stopped_by == gate


@pytest.mark.parametrize(("gate", "change"), STOPS_AUTOMATICALLY)
def test_what_a_person_decides_is_asked_for_and_done_though_it_would_be_held_by_itself(
    gate: str, change: dict[str, Any]
) -> None:
    for asks, question in ASKS:
        asked = decide(replace(GOOD, **change, **question))
        assert (asked.verb, asked.stopped_by) == (Verb.ASK, asks)
        assert decide(replace(GOOD, **change, **question, approved=True)).verb is Verb.ACT, gate


def test_within_the_rpo_a_fenced_asynchronous_service_acts() -> None:
    change = {"proof": UNPROVEN, "rpo_s": 5.0, "canary_age_ms": 5000, "fenceable": True}
    assert decide(replace(GOOD, **change)).verb is Verb.ACT


def test_no_reference_targets_is_no_reason_to_stop() -> None:
    assert decide(replace(GOOD, observer_sane=None)).verb is Verb.ACT


@pytest.mark.parametrize("code", sorted(c for c, row in CODES.items() if row.stance is not Stance.ACT))
def test_only_a_code_whose_remedy_is_a_failover_fails_over(code: str) -> None:
    decision = decide(replace(GOOD, diagnosis=diagnosis(code)))
    assert decision.verb is not Verb.ACT or decision.runbook == "postgresql-rejoin"


@pytest.mark.parametrize(
    ("change", "verb"),
    [
        ({}, Verb.ACT),
        ({"auto_refusals": ("`*`",), "blocked": "EXE-5", "budget_left": 0, "proof": UNPROVEN}, Verb.ACT),
        ({"mode": "observe"}, Verb.HOLD),
        ({"mode": "ask"}, Verb.ASK),
        ({"mode": "ask", "paused": "patching"}, Verb.HOLD),
        ({"paused": "patching"}, Verb.HOLD),
        ({"leader": False}, Verb.HOLD),
        ({"open_execution": "EXE-9"}, Verb.HOLD),
    ],
)
def test_a_member_is_brought_back_where_the_service_may_be_touched(
    change: dict[str, Any], verb: Verb
) -> None:
    decision = decide(replace(GOOD, diagnosis=diagnosis("OldPrimaryReturned"), **change))
    assert (decision.verb, decision.runbook) == (verb, "postgresql-rejoin")
    assert decision.would is (change.get("mode") == "observe")


def test_while_nothing_is_wrong_all_gates_are_told_all_the_same() -> None:
    decision = decide(replace(GOOD, diagnosis=diagnosis("Healthy"), choice=Choice(None, None, "none left")))
    assert decision.verb is Verb.NONE
    failed = [g.name for g in decision.gates if not g.passed]
    assert failed == ["diagnosis", "candidate"]


def test_observe_says_what_it_would_have_done() -> None:
    would = decide(replace(GOOD, mode="observe"))
    assert (would.verb, would.would, would.candidate) == (Verb.HOLD, True, "pg2")
    assert "in mode act it would run postgresql-failover to pg2" in would_text(would)
    asks = decide(replace(GOOD, mode="observe", candidate_site_role="dr"))
    assert "ask a person first" in would_text(asks)
    never = decide(replace(GOOD, mode="observe", proof=UNPROVEN))
    assert not never.would
    assert "needs 2 readable" in never.reason


def test_a_reason_names_everything_that_stops_it() -> None:
    reason = decide(replace(GOOD, paused="patching", blocked="EXE-5 failed over")).reason
    assert reason == "patching; EXE-5 failed over"


def test_ages_and_counts_make_no_new_decision() -> None:
    base = replace(GOOD, proof=UNPROVEN, rpo_s=5.0, fenceable=True, canary_age_ms=6000)
    older = replace(base, canary_age_ms=6100)
    assert decide(base).reason != decide(older).reason
    assert decision_key(decide(base)) == decision_key(decide(older))
    assert decision_key(decide(base)) != decision_key(decide(replace(base, canary_age_ms=100)))
    assert decision_key(decide(GOOD)) != decision_key(decide(replace(GOOD, choice=Choice("pg3", None, ""))))


def test_a_full_disk_answers_and_is_out_all_the_same() -> None:
    assert granted_overrides(diagnosis("PrimaryDiskFull"), answers=True) == ("S6",)
    others = {granted_overrides(diagnosis(c), answers=True) for c in CODES if c != "PrimaryDiskFull"}
    assert others == {()}


def test_a_full_disk_that_panics_may_say_that_it_starts_and_no_more() -> None:
    assert granted_overrides(diagnosis("PrimaryDiskFull"), answers=False) == ("P13",)


def test_a_panic_loop_of_a_full_disk_is_no_reason_to_wait() -> None:
    assert decide(replace(GOOD, diagnosis=diagnosis("PrimaryDiskFull"), flapping="it flaps")).verb is Verb.ACT


def test_a_member_is_brought_back_though_the_primary_flaps() -> None:
    decision = decide(replace(GOOD, diagnosis=diagnosis("OldPrimaryReturned"), flapping="it flaps"))
    assert decision.verb is Verb.ACT


def test_json_has_every_gate_with_its_rule() -> None:
    data = decide(replace(GOOD, paused="patching")).to_json()
    assert data["stopped_by"] == "pause"
    told = {"name": "pause", "passed": False, "reason": "patching", "rule": "S7", "asks": False}
    assert {**told, "inputs": {"paused": True, "left_ms": None}} in data["gates"]


INPUTS = st.fixed_dictionaries(
    {
        "diagnosis": st.builds(diagnosis, st.sampled_from(sorted(CODES)), confirmed=st.booleans()),
        "mode": st.sampled_from(["observe", "ask", "act"]),
        "paused": st.sampled_from([None, "patching"]),
        "leader": st.booleans(),
        "observer_sane": st.sampled_from([None, True, False]),
        "blocked": st.sampled_from([None, "EXE-5"]),
        "budget_left": st.integers(-1, 2),
        "open_execution": st.sampled_from([None, "EXE-9"]),
        "choice": st.sampled_from([Choice("pg2", None, ""), Choice(None, None, "none left")]),
        "proof": st.sampled_from([GOOD.proof, UNPROVEN]),
        "rpo_s": st.sampled_from([0.0, 5.0]),
        "canary_age_ms": st.sampled_from([None, 10, 9000]),
        "candidate_site_role": st.sampled_from([None, "standby", "dr"]),
        "third_observers": st.sampled_from([(), ("ops3",)]),
        "auto_refusals": st.sampled_from([(), ("`*`",)]),
        "approved": st.booleans(),
        "primary_was_seen": st.booleans(),
        "fenceable": st.booleans(),
        "flapping": st.sampled_from([None, "orders/pg1 flaps"]),
    }
)


@given(INPUTS)
def test_it_acts_only_where_every_gate_passed(change: dict[str, Any]) -> None:
    given_ = replace(GOOD, **change)
    decision = decide(given_)
    assert [g.name for g in evaluate_gates(given_)] == GATES
    if decision.verb is Verb.ACT and decision.runbook != "postgresql-rejoin":
        assert all(g.passed for g in decision.gates)
        assert given_.diagnosis.confirmed
        assert given_.leader
        assert given_.rpo_s > 0 or given_.proof.complete
    if decision.verb is Verb.ASK and decision.runbook != "postgresql-rejoin":
        assert all(g.passed or g.asks for g in decision.gates)
    if decision.verb is Verb.HOLD:
        assert any(not g.passed and not g.asks for g in decision.gates)
    assert would_text(decision)


# --- what each gate looked at

EVERY_CHANGE = [change for _gate, change in [*STOPS, *ASKS]]


@pytest.mark.parametrize("change", EVERY_CHANGE)
def test_what_a_gate_looked_at_is_journal_data_with_the_same_keys_whatever_it_says(
    change: dict[str, Any],
) -> None:
    passed, changed = evaluate_gates(GOOD), evaluate_gates(replace(GOOD, **change))
    for before, after in zip(passed, changed, strict=True):
        assert list(before.inputs) == list(after.inputs), before.name
        assert before.inputs, before.name
        canonical_json(after.to_json())  # raises on a float


@pytest.mark.parametrize(("gate", "change"), [*STOPS, *ASKS])
def test_the_gate_that_stops_shows_an_input_that_differs(gate: str, change: dict[str, Any]) -> None:
    inputs = {g.name: g.inputs for g in evaluate_gates(GOOD)}
    changed = {g.name: g.inputs for g in evaluate_gates(replace(GOOD, **change))}
    assert changed[gate] != inputs[gate]


def test_ages_are_inputs_and_make_no_new_decision() -> None:
    earlier, later = decide(replace(GOOD, at_s=10.5)), decide(replace(GOOD, at_s=12.0, canary_age_ms=7))
    ages = [{g.name: g.inputs for g in d.gates}["confirmed"]["last_good_age_ms"] for d in (earlier, later)]
    assert ages == [1500, 3000]
    assert decision_key(earlier) == decision_key(later)
