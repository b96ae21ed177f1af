"""The supervisor's loop: what is seen becomes an incident, a decision and, where it may be, an execution."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from supervisor_bench import Bench, ends, running

from controller.supervisor.requests import Requests
from model import events as ev
from model.execution import ExecutionState
from model.observation import Failure


async def test_the_only_primary_is_adopted_once_everybody_was_looked_at(tmp_path: Path) -> None:
    async with running(tmp_path, calm=False) as bench:
        await bench.clock.advance(0.5)
        bench.see("pg1", "postgresql", bench.servers.read("pg1"))
        await bench.clock.advance(0.5)
        assert bench.supervisor.ledger.primary is None
        await bench.live(1.0)
        assert bench.supervisor.ledger.primary == "pg1"
        assert bench.watched[-1] == "pg1"
        assert len(bench.of(ev.SERVICE_PRIMARY)) == 1


async def test_nobody_is_adopted_where_two_call_themselves_primary_and_somebody_is_told(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, calm=False) as bench:
        bench.servers.rogue["pg3"] = 1
        await bench.live(31.0, step_s=0.25)
        assert bench.supervisor.ledger.primary is None
        assert len([p for p in bench.paged() if p.startswith("no primary can be told")]) == 1


async def test_a_crash_is_failed_over_once_and_mended_and_its_incident_closed(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        await bench.crash()
        await bench.live(2.0)
        assert bench.opened() == [("failover", "automatic"), ("rejoin", "automatic")]
        assert bench.supervisor.ledger.primary == "pg2"
        assert bench.watched[-1] == "pg2"
        story = [t for t in bench.types() if t.startswith(("incident", "service", "member.re", "rpo"))]
        assert story == [
            ev.SERVICE_PRIMARY,
            ev.INCIDENT_OPENED,
            ev.MEMBER_RETIRED,
            ev.SERVICE_BLOCKED,
            ev.SERVICE_PRIMARY,
            ev.RPO_VERDICT,
            ev.MEMBER_REJOINED,
            ev.INCIDENT_RECOVERED,
            ev.SERVICE_UNBLOCKED,
            ev.INCIDENT_CLOSED,
        ]
        assert bench.supervisor.ledger.incident is None
        assert bench.supervisor.ledger.blocked is None
        marks = [e.data["mark"] for e in bench.of(ev.CLOCK_MARK)]
        assert marks == ["T1", "T2", "T3", "T9"]


async def test_a_reading_from_before_the_promotion_makes_no_diagnosis_of_the_new_primary(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as bench:
        began_s = bench.clock.monotonic_s()
        standby = bench.servers.read("pg2")
        await bench.crash()
        bench.see("pg2", "postgresql", standby, began_s=began_s)
        await bench.clock.advance(0.3)
        await bench.live(1.0)
        codes = [e.data["code"] for e in bench.of(ev.DIAGNOSIS_CHANGED)]
        assert not {"PrimaryReadOnly", "SplitBrain", "SwitchedOutside"} & set(codes)
        assert bench.of(ev.SERVICE_PRIMARY)[-1].data["timeline"] == 2


async def test_mode_observe_touches_nothing_and_says_once_what_it_would_do(tmp_path: Path) -> None:
    async with running(tmp_path, mode="observe") as bench:
        await bench.crash()
        await bench.live(5.0)
        assert bench.opened() == []
        decisions = bench.of(ev.DECISION_MADE)
        assert [(d.data["verb"], d.data["would"]) for d in decisions] == [("hold", True)]
        assert len([p for p in bench.paged() if "in mode act it would have failed over" in p]) == 1


async def test_mode_observe_brings_nobody_back_and_sees_who_was_brought_back(tmp_path: Path) -> None:
    async with running(tmp_path, mode="observe") as bench:
        await bench.supervisor.append(ev.MEMBER_RETIRED, {"member": "pg2"})
        bench.servers.rogue["pg2"] = 0
        await bench.live(20.0, step_s=0.25)
        assert bench.opened() == []
        assert bench.of(ev.APPROVAL_REQUESTED) == []
        assert "pg2 is to be brought back; in mode act it would be done" in bench.paged("warning")
        assert bench.supervisor.ledger.retired == ("pg2",)
        bench.servers.rogue.clear()
        await bench.live(0.5)
        assert bench.supervisor.ledger.retired == ()


async def test_mode_ask_asks_and_acts_once_a_person_has_approved(tmp_path: Path) -> None:
    async with running(tmp_path, mode="ask") as bench:
        await bench.crash()
        await bench.live(1.0)
        assert bench.opened() == []
        [asked] = bench.of(ev.APPROVAL_REQUESTED)
        assert (asked.data["to"], asked.data["runbook"]) == ("pg2", "postgresql-failover")
        assert len([p for p in bench.paged() if "Waits for approval" in p]) == 1
        await Requests(bench.supervisor).approve(asked.data["approval"], "wang")
        await bench.live(0.5)
        assert bench.opened() == [("failover", "approved")]
        assert bench.of(ev.EXECUTION_OPENED)[0].actor == "wang"
        assert bench.of(ev.EXECUTION_OPENED)[0].data["vars"]["candidate"] == "pg2"


async def test_an_approval_is_good_for_one_try(tmp_path: Path) -> None:
    async with running(tmp_path, mode="ask") as bench:
        bench.script = ends(ExecutionState.UNDONE)
        await bench.crash()
        await bench.live(0.5)
        [asked] = bench.of(ev.APPROVAL_REQUESTED)
        await Requests(bench.supervisor).approve(asked.data["approval"], "wang")
        await bench.live(10.0)
        assert bench.opened() == [("failover", "approved")]
        assert len(bench.of(ev.APPROVAL_REQUESTED)) == 2


async def test_what_can_not_be_judged_is_not_acted_on(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        for _ in range(20):
            for member in bench.service.members:
                bench.see(member, "postgresql", failure=Failure.LOCAL)
            await bench.clock.advance(0.25)
        assert bench.code == "EverythingUnknown"
        assert bench.opened() == []
        assert bench.of(ev.INCIDENT_OPENED) == []


async def test_a_primary_that_comes_back_by_itself_recovers_and_closes_the_incident(tmp_path: Path) -> None:
    async with running(tmp_path, mode="observe") as bench:
        await bench.crash()
        await bench.live(1.0)
        assert bench.supervisor.ledger.incident is not None
        bench.servers.down.clear()
        await bench.live(1.0)
        assert [e.data["primary"] for e in bench.of(ev.INCIDENT_RECOVERED)] == ["pg1"]
        [closed] = bench.of(ev.INCIDENT_CLOSED)
        assert closed.data["signature"] == f"signed {closed.data['head_seq']}"
        assert bench.supervisor.ledger.incident is None


async def test_an_incident_is_not_over_while_the_canary_is_not_acknowledged(tmp_path: Path) -> None:
    async with running(tmp_path, mode="observe") as bench:
        await bench.crash()
        bench.servers.down.clear()
        bench.servers.canary_failure = Failure.IO_BLOCKED
        await bench.live(1.0)
        assert bench.of(ev.INCIDENT_RECOVERED) == []


async def test_an_incident_stays_open_until_redundancy_is_back(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.script = _failover_then_failing_rejoins
        await bench.crash()
        await bench.live(3.0)
        assert len(bench.of(ev.INCIDENT_RECOVERED)) == 1
        assert bench.of(ev.INCIDENT_CLOSED) == []
        assert bench.supervisor.ledger.blocked is not None


async def _failover_then_failing_rejoins(bench: Bench, opened: object) -> ExecutionState:
    from supervisor_bench import succeeds

    if opened.plan.runbook.kind.value == "rejoin":  # type: ignore[attr-defined]
        return ExecutionState.FAILED
    return await succeeds(bench, opened)  # type: ignore[arg-type]


async def test_a_new_outage_before_redundancy_is_back_has_an_incident_of_its_own(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.script = _failover_then_failing_rejoins
        await bench.crash()
        await bench.live(3.0)
        await bench.crash("pg2")
        await bench.live(3.0)
        first, second = bench.of(ev.INCIDENT_OPENED)
        assert [e.incident for e in bench.of(ev.INCIDENT_CLOSED)] == [first.incident]
        assert second.data["t0_ns"] > first.data["t0_ns"]
        # S8: nobody is failed over a second time by itself.
        assert [kind for kind, _ in bench.opened() if kind == "failover"] == ["failover"]
        assert any("blocked until redundancy is restored" in p for p in bench.paged())


async def test_a_person_who_acknowledges_lifts_the_block(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.script = _failover_then_failing_rejoins
        await bench.crash()
        await bench.live(3.0)
        await bench.crash("pg2")
        await bench.live(1.0)
        bench.servers.down.discard("pg1")  # it stands as a standby again, by whatever hand
        bench.servers.detached.add("pg1")
        await bench.live(1.0)
        before = len(bench.opened())
        await bench.supervisor.append(ev.SERVICE_UNBLOCKED, {"reason": "seen"}, "wang")
        await bench.live(0.5)
        assert bench.opened()[before:][:1] == [("failover", "automatic")]


async def test_a_failover_that_is_taken_back_is_not_tried_again_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.script = ends(ExecutionState.UNDONE)
        await bench.crash()
        await bench.live(0.5)
        assert len(bench.opened()) == 1
        await bench.live(1.0)
        assert len(bench.opened()) == 2
        assert any("was taken back" in p for p in bench.paged())
        bench.budget = 0
        await bench.live(30.0, step_s=0.25)
        assert len(bench.opened()) == 2
        assert any("automatic failovers left" in p for p in bench.paged())


@pytest.mark.parametrize("state", [ExecutionState.FAILED, ExecutionState.UNKNOWN])
async def test_a_failover_whose_end_is_not_known_is_followed_by_no_other(
    tmp_path: Path, state: ExecutionState
) -> None:
    async with running(tmp_path) as bench:
        bench.script = ends(state)
        await bench.crash()
        await bench.live(30.0, step_s=0.25)
        assert bench.opened() == [("failover", "automatic")]
        assert any("a person must look" in p for p in bench.paged())


async def test_a_paused_service_is_not_touched(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        until_ns = bench.supervisor.wall_ns() + 10**12
        await bench.supervisor.append(ev.SERVICE_PAUSED, {"until_wall_ns": until_ns, "reason": "disk"})
        await bench.supervisor.append(ev.MEMBER_RETIRED, {"member": "pg3"})
        await bench.live(1.0)
        await bench.crash()
        await bench.live(2.0)
        assert bench.opened() == []
        assert len([p for p in bench.paged() if "paused" in p]) == 1


async def test_a_pause_ends_by_the_clock_and_the_service_is_acted_on(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        until_ns = bench.supervisor.wall_ns() + 3 * 10**9
        await bench.supervisor.append(ev.SERVICE_PAUSED, {"until_wall_ns": until_ns, "reason": "disk"})
        await bench.crash()
        await bench.live(2.0)
        assert bench.opened() == []
        await bench.live(2.0)
        assert bench.opened()[0] == ("failover", "automatic")


async def test_a_quiet_supervisor_launches_nothing_by_itself(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.supervisor.quiet = True
        await bench.supervisor.append(ev.MEMBER_RETIRED, {"member": "pg3"})
        await bench.live(1.0)
        await bench.crash()
        await bench.live(2.0)
        assert bench.opened() == []


async def test_a_switch_by_hand_is_followed_once_the_old_primary_is_surely_out(tmp_path: Path) -> None:
    async with running(tmp_path, mode="observe") as bench:
        bench.servers.promoted("pg3")
        bench.servers.rogue["pg1"] = 1
        bench.servers.facts["pg1"] = {"in_recovery": True, "walreceiver": True, "timeline": 2}
        await bench.live(1.0)
        assert bench.supervisor.ledger.primary == "pg3"
        assert [e.data["code"] for e in bench.of(ev.DIAGNOSIS_CHANGED)][-1] == "Healthy"
        opened = bench.of(ev.INCIDENT_OPENED)
        assert [e.data["diagnosis"]["code"] for e in opened] == ["SwitchedOutside"]
        assert bench.watched[-1] == "pg3"


async def test_a_clone_that_is_promoted_in_a_moment_of_silence_is_not_taken_for_the_primary(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as bench:
        bench.servers.rogue["pg3"] = 2
        bench.see("pg1", "postgresql", failure=Failure.SILENT)
        for member in ("pg2", "pg3"):
            bench.see(member, "postgresql", bench.servers.read(member))
        await bench.clock.advance(0.05)
        assert bench.supervisor.ledger.primary == "pg1"
        await bench.live(1.0)
        assert bench.supervisor.ledger.primary == "pg1"
        assert bench.opened() == []


async def test_after_two_primaries_a_person_decides_whom_to_follow(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.servers.rogue["pg3"] = 2
        await bench.live(1.0)
        assert bench.code == "SplitBrain"
        await bench.crash()
        await bench.live(2.0)
        assert bench.supervisor.ledger.primary == "pg1"
        assert bench.opened() == []
        bench.servers.primary, bench.servers.timeline = "pg3", 2
        bench.servers.rogue.clear()
        await bench.supervisor.append(ev.SERVICE_UNBLOCKED, {"reason": "pg3 is right"}, "wang")
        await bench.live(0.5)
        assert bench.supervisor.ledger.primary == "pg3"


async def test_an_old_primary_that_returns_is_brought_back_whatever_the_journal_said_of_it(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as bench:
        bench.servers.timeline = 2
        await bench.live(0.5)
        bench.servers.rogue["pg3"] = 1
        await bench.live(0.5)
        assert bench.opened() == [("rejoin", "automatic")]
        assert bench.of(ev.EXECUTION_OPENED)[0].data["vars"]["member"] == "pg3"


async def test_members_are_brought_back_while_writes_wait_for_one(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.servers.down.add("pg3")
        await bench.live(1.0)
        await bench.supervisor.append(ev.MEMBER_RETIRED, {"member": "pg2"})
        bench.servers.canary_failure = Failure.SYNC_BLOCKED
        bench.servers.detached.add("pg2")
        bench.gate.clear()
        await bench.live(4.0)
        assert ("rejoin", "automatic") in bench.opened()


async def test_a_rejoin_gives_way_when_the_primary_is_lost(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.servers.detached.add("pg3")
        bench.gate.clear()
        await bench.live(16.0, step_s=0.25)
        assert bench.opened() == [("rejoin", "automatic")]
        await bench.crash()
        await bench.live(1.0)
        assert bench.executor.aborts == bench.executed
        assert any("is open" in p for p in bench.paged())
        bench.script = ends(ExecutionState.FAILED)
        bench.gate.set()
        await bench.clock.advance(0.01)
        bench.gate.clear()
        await bench.live(0.5)
        assert bench.opened()[-1] == ("failover", "automatic")


async def test_rejoins_that_fail_are_spaced_and_told_once(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.script = ends(ExecutionState.FAILED)
        await bench.supervisor.append(ev.MEMBER_RETIRED, {"member": "pg3"})
        bench.servers.detached.add("pg3")
        await bench.live(60.0, step_s=0.25)
        assert 3 <= len(bench.opened()) <= 5
        assert len([p for p in bench.paged() if "postgresql-rejoin" in p]) == 1


async def test_rejoin_ask_waits_for_a_person(tmp_path: Path) -> None:
    async with running(tmp_path, postgresql={"rejoin": "ask"}) as bench:
        await bench.supervisor.append(ev.MEMBER_RETIRED, {"member": "pg3"})
        bench.servers.detached.add("pg3")
        await bench.live(1.0)
        assert bench.opened() == []
        [asked] = bench.of(ev.APPROVAL_REQUESTED)
        assert (asked.data["runbook"], asked.data["to"]) == ("postgresql-rejoin", "pg3")
        await Requests(bench.supervisor).approve(asked.data["approval"], "wang")
        await bench.live(0.5)
        assert bench.opened() == [("rejoin", "approved")]


async def test_the_primary_is_never_brought_back_whatever_the_journal_says(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        await bench.supervisor.append(ev.MEMBER_RETIRED, {"member": "pg1"})
        await bench.supervisor.append(ev.MEMBER_RETIRED, {"member": "gone"})
        await bench.live(30.0, step_s=0.25)
        assert bench.opened() == []
        assert bench.paged() == []


async def test_a_member_of_another_system_is_left_alone(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        await bench.supervisor.append(ev.MEMBER_RETIRED, {"member": "pg3"})
        bench.servers.facts["pg3"] = {"system_identifier": "8"}
        await bench.live(2.0)
        assert bench.opened() == []


async def test_a_setting_that_is_about_to_be_loosened_counts_before_it_is_and_after_a_restart(
    tmp_path: Path,
) -> None:
    """P2: a member that is brought back is named again, and then a write may be on it alone."""
    narrow, wide = 'ANY 1 ("pg3")', 'ANY 1 ("pg1", "pg2", "pg3")'
    async with running(tmp_path) as bench:
        supervisor = bench.supervisor
        for member in ("pg1", "pg2", "pg3"):
            bench.servers.facts[member] = {"sync_names": narrow}
        bench.canary_names = narrow
        await bench.live(1.0)
        assert supervisor.knowledge.settings.texts == (narrow,)
        about = {"service": "orders", "execution": "EXE-7"}
        intent = {"step": "widen", "action": "postgresql.widen", "attempt": 1}
        await bench.journal.append(ev.EXECUTION_OPENED, {"kind": "rejoin"}, **about)
        await bench.journal.append(ev.STEP_INTENT, intent, **about)
        await bench.live(1.0)
        assert wide in supervisor.knowledge.settings.texts
        again = Bench(bench.estate, tmp_path, bench.store)
        assert wide in again.supervisor.knowledge.settings.texts
        again.supervisor.close()
        bench.memory = bench.store.open()  # the one above has taken the leadership
        supervisor.knowledge.expect(None, bench.clock.monotonic_s())
        await bench.live(1.0)
        assert supervisor.knowledge.settings.texts == (narrow,)


async def test_the_dr_site_is_asked_for_also_where_only_the_proof_would_choose_it(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        await bench.crash()
        await bench.live(0.3)
        assert bench.of(ev.EXECUTION_OPENED)[0].data["vars"]["not_asked"] == ["pg3"]


async def test_a_person_who_approves_the_dr_site_has_been_asked(tmp_path: Path) -> None:
    async with running(tmp_path, postgresql={"synchronous_standby_names": "ANY 2 (pg1, pg2, pg3)"}) as bench:
        bench.canary_names = "ANY 2 (pg1, pg2, pg3)"
        for member in ("pg1", "pg2", "pg3"):
            bench.servers.facts[member] = {"sync_names": bench.canary_names}
        await bench.live(1.0)
        bench.servers.down.add("pg2")
        await bench.live(1.0)
        await bench.crash()
        await bench.live(0.5)
        [asked] = bench.of(ev.APPROVAL_REQUESTED)
        assert asked.data["to"] == "pg3"
        await Requests(bench.supervisor).approve(asked.data["approval"], "wang")
        await bench.live(0.3)
        variables = bench.of(ev.EXECUTION_OPENED)[0].data["vars"]
        assert (variables["candidate"], variables["not_asked"]) == ("pg3", [])


async def test_a_split_in_the_aftermath_of_an_outage_is_remembered_too(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.script = _failover_then_failing_rejoins
        await bench.crash()
        await bench.live(3.0)
        assert bench.of(ev.INCIDENT_RECOVERED) != []
        bench.servers.rogue["pg3"] = 3
        await bench.live(1.0)
        assert len(bench.of(ev.INCIDENT_OPENED)) == 2
        assert bench.supervisor.ledger.split


async def test_an_execution_that_is_just_being_settled_is_no_failure_of_the_turn(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.servers.detached.add("pg3")
        bench.gate.clear()
        await bench.live(16.0, step_s=0.25)
        settle = bench.executor.settle
        settling = asyncio.Event()

        async def slowly(*args: Any) -> Any:
            await settling.wait()
            return await settle(*args)

        bench.executor.settle = slowly  # type: ignore[method-assign]
        bench.script = ends(ExecutionState.FAILED)
        bench.gate.set()
        await bench.crash()
        await bench.live(0.5)
        assert bench.supervisor.busy
        assert not [p for p in bench.paged() if "can't be handled" in p]
        bench.executor.settle = settle  # type: ignore[method-assign]
        settling.set()
        await bench.live(0.5)
        assert bench.opened()[-1] == ("failover", "automatic")
