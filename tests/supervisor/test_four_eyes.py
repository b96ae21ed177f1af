"""Two persons where the rule says two: for what the daemon asks, and for what a person asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from supervisor_bench import Bench, running

from controller.report import report_json, report_markdown
from controller.supervisor.requests import Requests
from controller.supervisor.switch_gates import Wish
from model import events as ev
from model.errors import HeldError
from model.events import Event

TWO = {"persons": 2}
PEOPLE = ("wang", "ada", "li")


def asked(bench: Bench) -> list[Event]:
    return bench.of(ev.APPROVAL_REQUESTED)


async def approve(bench: Bench, person: str, number: int = -1) -> dict[str, Any]:
    return await Requests(bench.supervisor).approve(asked(bench)[number].data["approval"], person)


async def reject(bench: Bench, person: str, reason: str = "wait for the storage") -> dict[str, Any]:
    return await Requests(bench.supervisor).reject(asked(bench)[-1].data["approval"], person, reason)


async def switchover(bench: Bench, person: str = "wang", to: str = "pg2") -> dict[str, Any]:
    return await Requests(bench.supervisor).switchover(Wish(to, person), dry_run=False)


# --- what the daemon asks


async def test_the_daemon_waits_for_the_second_person(tmp_path: Path) -> None:
    async with running(tmp_path, mode="ask", approval=TWO) as bench:
        await bench.crash()
        await bench.live(0.5)
        first = await approve(bench, "wang")
        assert (first["state"], first["needs"]) == (
            "waiting_for_approval",
            "APR-orders-1 waits for 1 more person (level III); wang agreed",
        )
        with pytest.raises(HeldError, match="counts once"):
            await approve(bench, "wang")
        await bench.live(1.0)
        assert bench.opened() == []
        assert len(asked(bench)) == 1
        assert (await approve(bench, "ada"))["state"] == "approved"
        await bench.live(0.5)
        assert bench.opened() == [("failover", "approved")]


async def test_the_decision_and_the_page_say_who_is_still_needed(tmp_path: Path) -> None:
    offices = {"deputy": ["wang"], "department head": ["ada"]}
    levels = {"approvals": {"III": TWO}, "offices": offices}
    async with running(tmp_path, mode="ask", levels=levels, people=PEOPLE) as bench:
        await bench.crash()
        await bench.live(0.5)
        assert "APR-orders-1 waits for 2 persons of wang, ada (level III)" in bench.judged.decision.reason
        with pytest.raises(HeldError, match="given by the deputy or department head"):
            await approve(bench, "li")
        await approve(bench, "ada")
        [gate] = [g for g in bench.judged.decision.gates if g.name == "approval"]
        request = gate.inputs["request"]
        assert (request["given"], request["missing"], request["may_approve"]) == (["ada"], 1, ["wang"])


async def test_while_it_waits_the_rule_of_a_higher_level_takes_over(tmp_path: Path) -> None:
    levels = {
        "approvals": {
            "III": {"persons": 2, "offices": ["operators"]},
            "II": {"persons": 2, "offices": ["managers"]},
        },
        "rules": [{"level": "III"}, {"level": "II", "after": "10s"}],
        "offices": {"operators": ["wang", "ada"], "managers": ["li", "ada"]},
    }
    async with running(tmp_path, mode="ask", levels=levels, people=PEOPLE) as bench:
        await bench.crash()
        await bench.live(0.5)
        await approve(bench, "wang")
        await bench.live(12.0)
        assert bench.supervisor.ledger.incident.level == "II"  # type: ignore[union-attr]
        [(_approval, state)] = bench.supervisor.approvals.waiting()
        assert (state.missing, state.may_approve) == (2, ("li", "ada"))
        await approve(bench, "ada")
        assert bench.opened() == []
        await approve(bench, "li")
        await bench.live(0.5)
        assert bench.opened() == [("failover", "approved")]


async def test_also_mode_act_waits_where_the_rule_says_so(tmp_path: Path) -> None:
    async with running(tmp_path, mode="act", approval={"in_mode_act": True}) as bench:
        await bench.crash()
        await bench.live(1.0)
        assert bench.opened() == []
        assert bench.judged.decision.stopped_by == "approval"
        await approve(bench, "ada")
        await bench.live(0.5)
        assert bench.opened() == [("failover", "approved"), ("rejoin", "automatic")]


async def test_an_answer_after_its_time_counts_for_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, mode="ask", approval={"persons": 2, "expires": "20s"}) as bench:
        await bench.crash()
        await bench.live(0.5)
        await approve(bench, "wang")
        await bench.live(21.0)
        with pytest.raises(HeldError, match="expired"):
            await approve(bench, "ada", number=0)
        assert len(asked(bench)) == 2
        await approve(bench, "ada")
        await bench.live(0.5)
        assert bench.opened() == [], "what was said of the first counts for the second"


async def test_what_was_asked_and_answered_outlives_the_process(tmp_path: Path) -> None:
    async with running(tmp_path, mode="ask", approval=TWO) as bench:
        await bench.crash()
        await bench.live(0.5)
        await approve(bench, "wang")
        again = Bench(bench.estate, tmp_path, bench.store)
        [(_approval, state)] = again.supervisor.approvals.waiting()
        assert (state.given, state.missing) == (("wang",), 1)
        again.supervisor.close()


# --- a no


async def test_a_no_is_a_record_and_the_same_is_not_asked_again(tmp_path: Path) -> None:
    async with running(tmp_path, mode="ask") as bench:
        await bench.crash()
        await bench.live(0.5)
        answer = await reject(bench, "wang")
        assert (answer["state"], answer["needs"]) == (
            "rejected",
            "APR-orders-1 was refused: wang said no: wait for the storage",
        )
        pages = len(bench.paged())
        await bench.live(60.0)
        assert bench.opened() == []
        assert len(asked(bench)) == 1
        assert bench.judged.decision.verb.value == "hold"
        assert len(bench.paged()) == pages + 1, "that it now holds, and why"
        with pytest.raises(HeldError, match="was refused"):
            await approve(bench, "ada")
        report = report_markdown(bench.memory.events(), bench.supervisor.ledger.incident_id or "")
        assert "wang: wait for the storage" in report


async def test_after_a_no_another_candidate_is_asked_for(tmp_path: Path) -> None:
    async with running(tmp_path, mode="ask") as bench:
        await bench.crash()
        await bench.live(0.5)
        await reject(bench, "wang")
        bench.servers.facts["pg2"] = {"replay_paused": True}
        await bench.live(1.0)
        assert [a.data["to"] for a in asked(bench)] == ["pg2", "pg3"]


async def test_after_a_no_a_higher_level_is_asked_again(tmp_path: Path) -> None:
    levels = {"rules": [{"level": "III"}, {"level": "II", "after": "10s"}]}
    async with running(tmp_path, mode="ask", levels=levels) as bench:
        await bench.crash()
        await bench.live(0.5)
        await reject(bench, "wang")
        await bench.live(5.0)
        assert len(asked(bench)) == 1
        await bench.live(6.0)
        assert [a.data["level"] for a in asked(bench)] == ["III", "II"]


async def test_only_who_may_say_yes_may_say_no(tmp_path: Path) -> None:
    levels = {"offices": {"deputy": ["wang"]}}
    async with running(tmp_path, mode="ask", levels=levels, people=PEOPLE) as bench:
        await bench.crash()
        await bench.live(0.5)
        with pytest.raises(HeldError, match="given by the deputy"):
            await reject(bench, "li")


# --- what a person asks


async def test_with_one_person_a_persons_own_request_begins_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        assert (await switchover(bench))["state"] == "running"
        assert asked(bench) == []


async def test_what_a_person_asks_begins_when_another_agrees(tmp_path: Path) -> None:
    async with running(tmp_path, approval=TWO) as bench:
        answer = await switchover(bench)
        assert (answer["state"], answer["execution"]) == ("waiting_for_approval", None)
        assert bench.paged() == ["wang asks for approval: switchover to pg2"]
        with pytest.raises(HeldError, match="can't approve it"):
            await approve(bench, "wang")
        await bench.live(1.0)
        assert bench.of(ev.INCIDENT_OPENED) == []
        begun = await approve(bench, "ada")
        assert begun["state"] == "running"
        await bench.live(0.5)
        [opened] = bench.of(ev.EXECUTION_OPENED)
        assert (opened.data["trigger"], opened.actor) == ("manual", "wang")
        assert opened.data["vars"]["candidate"] == "pg2"
        [used] = bench.of(ev.APPROVAL_USED)
        assert (used.data["given_by"], used.incident) == (["ada"], begun["incident"])
        with pytest.raises(HeldError, match="given and used"):
            await approve(bench, "ada")
        report = report_json(bench.memory.events(), begun["incident"])
        assert report["approvals"][0]["given_by"] == ["ada"]


async def test_the_overrides_that_were_asked_for_are_those_that_are_approved(tmp_path: Path) -> None:
    async with running(tmp_path, approval=TWO) as bench:
        requests = Requests(bench.supervisor)
        await requests.failover(Wish("pg2", "wang", ("s6",), "fire in the room"), dry_run=False)
        assert asked(bench)[0].data["what"] == "failover to pg2, overriding S6: fire in the room"
        await approve(bench, "ada")
        await bench.live(0.5)
        [override] = bench.of(ev.OVERRIDE_RECORDED)
        assert (override.data["rule"], override.data["person"]) == ("S6", "wang")
        assert bench.opened()[0] == ("failover", "manual")


async def test_a_yes_is_not_kept_for_later_where_a_gate_holds(tmp_path: Path) -> None:
    async with running(tmp_path, approval=TWO) as bench:
        await switchover(bench)
        bench.servers.detached.add("pg2")
        await bench.live(0.5)
        with pytest.raises(HeldError) as held:
            await approve(bench, "ada")
        assert held.value.gate == "candidate"
        bench.servers.detached.clear()
        await bench.live(1.0)
        assert bench.opened() == []
        assert bench.supervisor.approvals.waiting() == []
        assert bench.of(ev.INCIDENT_OPENED) == []


async def test_what_waits_is_not_asked_twice_and_something_else_takes_its_place(tmp_path: Path) -> None:
    async with running(tmp_path, approval=TWO) as bench:
        first = await switchover(bench)
        assert (await switchover(bench))["approval"] == first["approval"]
        assert (await switchover(bench, "ada"))["approval"] == first["approval"]
        other = await switchover(bench, to="pg3")
        assert [a.id for a, _state in bench.supervisor.approvals.waiting()] == [other["approval"]]


async def test_whoever_asked_may_take_it_back(tmp_path: Path) -> None:
    async with running(tmp_path, approval=TWO) as bench:
        await switchover(bench)
        await reject(bench, "wang", "not today")
        with pytest.raises(HeldError, match="not today"):
            await approve(bench, "ada")
        assert (await switchover(bench))["state"] == "waiting_for_approval"


async def test_a_plan_says_that_another_person_is_needed_and_is_not_stopped_by_it(tmp_path: Path) -> None:
    async with running(tmp_path, approval=TWO) as bench:

        async def describe(order: object, mode: object) -> dict[str, object]:
            return {"steps": []}

        bench.executor.describe = describe  # type: ignore[method-assign,assignment]
        plan = await Requests(bench.supervisor).switchover(Wish("pg2", "wang"), dry_run=True)
        assert plan["stopped_by"] is None
        [gate] = [g for g in plan["gates"] if g["name"] == "approval"]
        assert (gate["passed"], gate["asks"]) == (False, True)
        assert "1 other person must approve" in gate["reason"]


async def test_break_glass_waits_for_nobody_and_says_so_in_the_evidence(tmp_path: Path) -> None:
    async with running(tmp_path, mode="observe", approval=TWO) as bench:
        await bench.crash()
        await bench.live(0.5)
        await Requests(bench.supervisor, alone=True).failover(Wish(None, "wang"), dry_run=False)
        await bench.live(0.5)
        assert bench.opened() == [("failover", "manual")]
        [override] = bench.of(ev.OVERRIDE_RECORDED)
        assert override.data["rule"] == "S7"
        assert "another person was not waited for" in override.data["reason"]
