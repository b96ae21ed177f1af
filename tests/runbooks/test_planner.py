"""Plans: variables checked before anything runs, and what a dry run shows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from config.schema import Estate
from model.errors import RunbookError
from model.execution import Mode
from runbooks import template
from runbooks.planner import Plan, make_plan
from tests.runbooks.runbook_stage import HEAD, LOCK, Stage, behave, runbook_of, set_step

VARS = """vars:
  to: {type: member, required: true}
  others: {type: members, default: []}
  note: {type: string, default: none}
  count: {type: integer}
"""
READ = '  - {id: look, action: test.read, timeout: 2s, with: {cell: "{{ to }}"}}\n'


@dataclass(frozen=True)
class Took:
    p50_ms: int
    p95_ms: int
    samples: int = 3


def plan_of(estate: Estate, steps: str = READ, **variables: Any) -> Plan:
    return make_plan(runbook_of(steps, HEAD + VARS), estate=estate, service="orders", vars=variables)


def test_variables_are_defaulted_and_the_service_is_always_known(estate: Estate) -> None:
    assert plan_of(estate, to="pg2").vars == {
        "service": "orders",
        "to": "pg2",
        "others": [],
        "note": "none",
        "count": None,
    }


@pytest.mark.parametrize(
    ("variables", "what"),
    [
        ({}, "'to' is required"),
        ({"to": "pg9"}, "pg9, no member of orders"),
        ({"to": 3}, "is no member"),
        ({"to": "pg2", "others": ["pg1", "pg8"]}, "pg8"),
        ({"to": "pg2", "count": True}, "is no integer"),
        ({"to": "pg2", "not": "x"}, "no variable 'not'; did you mean 'note'?"),
    ],
)
def test_wrong_variables_are_refused_before_anything_runs(
    estate: Estate, variables: dict[str, Any], what: str
) -> None:
    with pytest.raises(RunbookError) as caught:
        plan_of(estate, **variables)
    assert what in str(caught.value)


def test_an_undefined_name_in_any_step_is_refused_before_anything_runs(estate: Estate) -> None:
    with pytest.raises(RunbookError, match="there is no variable 'nobody'"):
        plan_of(estate, READ + set_step("a", value='"{{ nobody }}"'), to="pg2")


def test_all_problems_are_told_at_once(estate: Estate) -> None:
    with pytest.raises(RunbookError) as caught:
        plan_of(estate, READ + set_step("a", value='"{{ nobody }}"'), to="pg9", count="x")
    assert all(text in str(caught.value) for text in ("pg9", "'count'", "nobody"))


def test_an_unknown_service_and_a_foreign_engine_are_named(estate: Estate) -> None:
    runbook = runbook_of(LOCK)
    with pytest.raises(RunbookError, match="did you mean 'orders'"):
        make_plan(runbook, estate=estate, service="order", vars={})
    assert (
        make_plan(runbook, estate=estate, service=estate.services["orders"], vars={}).service.name == "orders"
    )


def test_the_plans_digest_changes_with_its_variables_and_its_mode(estate: Estate) -> None:
    runbook = runbook_of(READ, HEAD + VARS)
    plans = [
        make_plan(runbook, estate=estate, service="orders", vars=v, mode=m)
        for v, m in (({"to": "pg2"}, Mode.REAL), ({"to": "pg3"}, Mode.REAL), ({"to": "pg2"}, Mode.DRILL))
    ]
    assert len({p.digest for p in plans}) == 3


def test_a_plan_has_its_templates_compiled_before_they_are_needed(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = READ + set_step("a", "when: \"to == 'pg3'\"", value='"{{ steps.look.list }}"')
    plan = plan_of(estate, steps, to="pg2")

    def refuse(*_args: object, **_more: object) -> object:
        raise AssertionError("compiled when it was needed")

    monkeypatch.setattr(template._ENVIRONMENT, "compile_expression", refuse)
    assert template.evaluate("to == 'pg3'", plan.vars) is False
    assert template.render("{{ to }}", plan.vars) == "pg2"
    assert template.render("{{ steps.look.list }}", {"steps": {"look": {"list": [1]}}}) == [1]


async def test_a_plan_shows_resolved_commands_and_live_prechecks_and_changes_nothing(stage: Stage) -> None:
    life = stage.process()
    plan = make_plan(
        runbook_of(LOCK + READ + set_step("a", value='"{{ steps.look.value }}"'), HEAD + VARS),
        estate=stage.estate, service="orders", vars={"to": "pg2"},
    )  # fmt: skip
    shown = await plan.describe(life.ports)
    lock, look, later = shown.rows
    assert look.commands == ("test.read {'cell': 'pg2', 'expect': None}",)
    assert [c.what for c in look.prechecks] == ["cell"]
    assert (later.decided_by, later.commands) == (("look",), ())
    assert (lock.changing, look.changing, look.timeout_ms) == (True, False, 2000)
    assert stage.world.effects == []
    assert stage.world.seen == []
    assert stage.store.events == []
    json.dumps(shown.to_json())


async def test_prechecks_can_be_left_out(stage: Stage) -> None:
    plan = plan_of(stage.estate, to="pg2")
    shown = await plan.describe(stage.process().ports, with_prechecks=False)
    assert shown.rows[0].prechecks == ()


async def test_a_precheck_that_does_not_answer_is_not_known(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.runbooks.runbook_world import Read

    async def broken(*_args: object) -> object:
        raise OSError("no route")

    monkeypatch.setattr(Read, "precheck", broken)
    shown = await plan_of(stage.estate, to="pg2").describe(stage.process().ports)
    check = shown.rows[0].prechecks[0]
    assert (check.ok, check.result) == (None, "OSError: no route")
    assert shown.failed_prechecks == (("look", check),)


async def test_a_condition_is_shown_as_far_as_it_is_settled(stage: Stage) -> None:
    steps = READ + set_step("a", "when: \"to == 'pg3'\"") + set_step("b", 'when: "steps.look.value == 1"')
    shown = await plan_of(stage.estate, steps, to="pg2").describe(stage.process().ports)
    assert [row.runs for row in shown.rows] == ["yes", "no", "decided by step look"]


async def test_expected_times_are_summed_along_the_steps_that_follow_each_other(stage: Stage) -> None:
    steps = (
        LOCK
        + behave("slow", "ok", "beside: true", "5s")
        + set_step("a", "parallel: g")
        + set_step("b", "parallel: g")
        + set_step("c", "retry: {attempts: 2, wait: 500ms}")
    )
    plan = make_plan(runbook_of(steps), estate=stage.estate, service="orders", vars={})
    expected = {
        "lock": Took(5, 10),
        "a": Took(20, 30),
        "b": Took(40, 50),
        "c": Took(1, 2),
        "slow": Took(7, 9),
    }
    shown = await plan.describe(stage.process().ports, expected=expected)
    assert (shown.expected_p50_ms, shown.expected_p95_ms) == (46, 62)
    assert shown.at_most_ms == 6000  # the step beside: from its start after 1 s
    assert (shown.rto_ms, shown.within_rto) == (60_000, True)
    slow = await plan.describe(stage.process().ports, expected={**expected, "slow": Took(1, 90_000)})
    assert (slow.expected_p95_ms, slow.within_rto) == (90_010, False)


async def test_without_a_past_no_time_is_made_up(stage: Stage) -> None:
    shown = await plan_of(stage.estate, to="pg2").describe(stage.process().ports)
    assert (shown.expected_p50_ms, shown.within_rto, shown.unmeasured) == (None, None, ("look",))
