"""Who must agree, who may, and what a yes is worth: one function says it for everybody."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from supervisor_bench import SERVICE, estate

from controller.approval_rules import (
    DAEMON,
    ApprovalState,
    Rule,
    Standing,
    judge_approval,
    may_not,
    rule_for,
)

ANYBODY = Rule("III")
TWO = Rule("II", persons=2, offices=("deputy",), approvers=("ada", "bo", "wang"))


def state(rule: Rule, *given_by: str, requester: str = DAEMON, **options: Any) -> ApprovalState:
    options = {"expires_ns": 10, "wall_ns": 0, **options}
    return judge_approval(rule, approval="APR-1", requester=requester, given=given_by, **options)


def test_one_person_suffices_where_nothing_else_is_said() -> None:
    assert state(ANYBODY).reason == "APR-1 waits for 1 person (level III)"
    assert state(ANYBODY, "wang").standing is Standing.GRANTED
    assert state(ANYBODY, "wang").reason == "approved by wang"


def test_two_persons_are_two_persons() -> None:
    assert state(TWO, "wang", "wang").standing is Standing.WAITS
    one = state(TWO, "wang")
    assert (one.missing, one.may_approve) == (1, ("ada", "bo"))
    assert one.reason == "APR-1 waits for 1 more person of ada, bo (level II); wang agreed"
    assert state(TWO, "wang", "bo").standing is Standing.GRANTED


def test_who_holds_no_office_does_not_count() -> None:
    assert state(TWO, "wang", "eve").standing is Standing.WAITS
    assert may_not(TWO, DAEMON, "eve") == (
        "an approval at level II is given by the deputy (ada, bo, wang), not by eve"
    )


def test_whoever_asks_is_one_pair_of_eyes_and_never_approves() -> None:
    asked = state(TWO, requester="wang")
    assert (asked.needed, asked.may_approve) == (1, ("ada", "bo"))
    assert state(TWO, "wang", requester="wang").standing is Standing.WAITS
    assert state(TWO, "ada", requester="wang").standing is Standing.GRANTED
    assert may_not(TWO, "wang", "wang") == "wang asked for it and can't approve it"
    assert state(ANYBODY, requester="wang").reason == "no other person is needed"


def test_nobody_left_who_may_is_said() -> None:
    alone = Rule("I", persons=2, offices=("top manager",), approvers=("wang",))
    assert state(alone, requester="wang").reason == (
        "APR-1 waits for 1 person of the top manager, and nobody is left: it can't be granted"
    )


def test_no_answer_in_time_is_a_no_also_where_all_had_agreed() -> None:
    assert state(TWO, "wang", "bo", wall_ns=9).standing is Standing.GRANTED
    late = state(TWO, "wang", "bo", wall_ns=10)
    assert (late.standing, late.reason) == (Standing.REFUSED, "APR-1 has expired, which means no")
    assert state(TWO, "wang", "bo", expired=True).standing is Standing.REFUSED


def test_one_no_ends_it() -> None:
    refused = state(TWO, "wang", "bo", rejected="ada said no: wait")
    assert (refused.standing, refused.reason) == (Standing.REFUSED, "APR-1 was refused: ada said no: wait")


def test_by_the_rule_of_a_higher_level_who_agreed_may_count_no_more() -> None:
    higher = Rule("I", persons=2, offices=("top manager",), approvers=("li", "zhao"))
    assert state(TWO, "wang", "bo").standing is Standing.GRANTED
    risen = state(higher, "wang", "bo")
    assert (risen.standing, risen.missing, risen.given) == (Standing.WAITS, 2, ())


# --- the rule of a level and of a service


def rule(tmp_path: Any, level: str, levels: dict[str, Any], **service: Any) -> Rule:
    declared = estate(tmp_path, levels=levels, people=("ada", "bo", "wang"), **service)
    return rule_for(declared.levels, declared.services[SERVICE], level)


OFFICES = {"deputy": ["wang"], "department manager": ["ada"], "guards": ["bo"]}


def test_those_who_command_and_confirm_at_a_level_approve(tmp_path: Any) -> None:
    found = rule(tmp_path, "II", {"offices": OFFICES})
    assert (found.offices, found.approvers) == (("deputy", "department manager"), ("wang", "ada"))
    assert found.expires_s == 900.0


def test_where_nobody_holds_the_offices_everybody_may(tmp_path: Any) -> None:
    assert rule(tmp_path, "II", {}).approvers is None
    named = {"II": {"offices": ["nobody"]}}
    assert rule(tmp_path, "II", {"offices": OFFICES, "approvals": named}).approvers is None


def test_a_rule_holds_from_its_level_upwards(tmp_path: Any) -> None:
    approvals = {"II": {"persons": 2, "expires": "5m"}}
    found = [rule(tmp_path, level, {"approvals": approvals}) for level in ("III", "II", "I")]
    assert [(r.persons, r.expires_s) for r in found] == [(1, 900.0), (2, 300.0), (2, 300.0)]
    own = {**approvals, "I": {"persons": 1}}
    assert rule(tmp_path, "I", {"approvals": own}).persons == 1


@pytest.mark.parametrize(
    ("of_level", "of_service", "found"),
    [
        ({}, {}, (1, ("wang",), 900.0, False)),
        ({"persons": 2}, {}, (2, ("wang",), 900.0, False)),
        ({}, {"persons": 2, "expires": "5m"}, (2, ("wang",), 300.0, False)),
        ({"persons": 2, "expires": "1m"}, {"persons": 1}, (2, ("wang",), 60.0, False)),
        ({"offices": ["guards", "deputy"]}, {}, (1, ("bo", "wang"), 900.0, False)),
        ({"offices": ["deputy"]}, {"offices": ["guards"]}, (1, ("bo",), 900.0, False)),
        ({"in_mode_act": True}, {}, (1, ("wang",), 900.0, True)),
        ({}, {"in_mode_act": True}, (1, ("wang",), 900.0, True)),
    ],
)
def test_the_stricter_of_level_and_service_counts(
    tmp_path: Any, of_level: dict[str, Any], of_service: dict[str, Any], found: tuple[object, ...]
) -> None:
    levels = {"offices": {**OFFICES, "department manager": []}, "approvals": {"II": of_level}}
    got = rule(tmp_path, "II", levels, approval=of_service)
    assert (got.persons, got.approvers, got.expires_s, got.in_mode_act) == found


# --- properties

PEOPLE = ("ada", "bo", "eve", "li", "wang")
RULES = st.builds(
    Rule,
    level=st.sampled_from(["III", "II", "I"]),
    persons=st.sampled_from([1, 2]),
    offices=st.just(("deputy",)),
    approvers=st.none() | st.lists(st.sampled_from(PEOPLE), min_size=1, unique=True).map(tuple),
)
GIVEN = st.lists(st.sampled_from(PEOPLE), max_size=6)
REQUESTERS = st.sampled_from([DAEMON, *PEOPLE])


@given(RULES, GIVEN, REQUESTERS)
def test_granted_means_enough_distinct_persons_who_may_and_did_not_ask(
    rule: Rule, given_by: list[str], requester: str
) -> None:
    found = state(rule, *given_by, requester=requester)
    count = {p for p in given_by if p != requester and (rule.approvers is None or p in rule.approvers)}
    needed = rule.persons if requester == DAEMON else rule.persons - 1
    assert (found.standing is Standing.GRANTED) == (len(count) >= needed)
    assert set(found.given) == count
    if rule.persons == 2:
        eyes = count | ({requester} - {DAEMON})
        assert found.standing is not Standing.GRANTED or len(eyes) >= 2


@given(RULES, GIVEN, REQUESTERS, st.randoms(use_true_random=False))
def test_the_order_in_which_people_answer_does_not_matter(
    rule: Rule, given_by: list[str], requester: str, random: Any
) -> None:
    shuffled = list(given_by)
    random.shuffle(shuffled)
    one, other = (state(rule, *given, requester=requester) for given in (given_by, shuffled))
    assert (one.standing, set(one.given), one.may_approve) == (
        other.standing,
        set(other.given),
        other.may_approve,
    )


@given(RULES, GIVEN, REQUESTERS, st.integers(0, 20), st.integers(0, 20))
def test_nothing_is_granted_after_its_time(
    rule: Rule, given_by: list[str], requester: str, wall_ns: int, expires_ns: int
) -> None:
    found = state(rule, *given_by, requester=requester, wall_ns=wall_ns, expires_ns=expires_ns)
    if wall_ns >= expires_ns:
        assert found.standing is Standing.REFUSED
    assert (found.left_ms > 0) <= (wall_ns < expires_ns)


@given(RULES, GIVEN, REQUESTERS, st.sampled_from(PEOPLE))
def test_one_more_yes_never_takes_a_grant_away_and_the_requesters_own_changes_nothing(
    rule: Rule, given_by: list[str], requester: str, person: str
) -> None:
    before = state(rule, *given_by, requester=requester)
    after = state(rule, *given_by, person, requester=requester)
    assert before.standing is not Standing.GRANTED or after.standing is Standing.GRANTED
    if may_not(rule, requester, person) is not None:
        assert after == before
