"""What a person asks for: the same gates, but for those that a person answers; overrides are on record."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from supervisor_bench import Bench, ends, running

from controller.adapters.secrets import SecretStore
from controller.alerts import AlertBox
from controller.api.control import Caller
from controller.control import DaemonControl
from controller.declared import DeclaredProbes
from controller.disaster.desk import DisasterDesk, DisasterPorts
from controller.disaster.requests import DisasterRequests
from controller.early_warnings.desk import DeskPorts, WarningDesk
from controller.early_warnings.look import look
from controller.incident_control import IncidentControl
from controller.inspection.desk import InspectionDesk
from controller.probe_runs import ProbeRuns
from controller.signals import Signals
from controller.supervisor.probing import ProbeFactory
from controller.supervisor.requests import Requests
from controller.supervisor.switch_gates import Wish
from model import events as ev
from model.errors import HeldError, UsageError
from model.execution import ExecutionState
from model.observation import Failure


def incident_control(bench: Bench) -> IncidentControl:
    supervisors = {"orders": bench.supervisor}
    ports = DisasterPorts(
        clock=bench.clock,
        journal=bench.journal,
        supervisors=supervisors,
        estate=lambda: bench.estate,
        page=lambda *_args, **_more: None,
        leads=lambda: True,
        boot_id="boot-1",
    )
    desk = DisasterDesk(ports)
    requests = DisasterRequests(
        desk, supervisors, bench.journal, bench.clock, lambda *_head: "signed", version="1", digest="d"
    )
    return IncidentControl(
        supervisors,
        bench.journal,
        desk,
        requests=lambda: requests,
        estate=lambda: bench.estate,
        leads=lambda: True,
    )


WANG = Caller("wang", "wang")


def control(bench: Bench) -> DaemonControl:
    async def reload() -> dict[str, object]:
        return {}

    secrets = SecretStore()
    declared = DeclaredProbes(bench.estate, bench.clock, secrets, {})
    factory = ProbeFactory(bench.estate, bench.clock, secrets)
    return DaemonControl(
        {"orders": bench.supervisor},
        bench.clock,
        about=dict,
        reload=reload,
        incidents=incident_control(bench),
        signals=Signals(
            clock=bench.clock,
            alerts=AlertBox(bench.clock, bench.estate.alerts, bench.estate.services),
            runs=lambda: ProbeRuns(bench.estate, bench.clock, factory, declared, {}),
            declared=lambda: declared,
            warnings=WarningDesk(
                DeskPorts(
                    clock=bench.clock,
                    journal=bench.journal,
                    page=lambda *_args, **_more: None,
                    look=lambda: look(bench.clock, {"orders": bench.supervisor}, declared),
                    limits=lambda: bench.estate.warnings,
                    leads=lambda: True,
                    another_leads=lambda: False,
                )
            ),
            inspections=InspectionDesk(
                clock=bench.clock,
                journal=bench.journal,
                estate=lambda: bench.estate,
                make=lambda _service: None,  # type: ignore[arg-type, return-value]
                page=lambda *_args, **_more: None,
                leads=lambda: True,
            ),
        ),
    )


async def failover(bench: Bench, *overrides: str, to: str | None = None, reason: str = "fire") -> object:
    wish = Wish(to, "wang", overrides, reason)
    return await Requests(bench.supervisor).failover(wish, dry_run=False)


async def test_a_healthy_primary_is_not_failed_over_without_an_override_by_name(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        with pytest.raises(HeldError) as held:
            await failover(bench)
        assert held.value.gate == "diagnosis"
        assert bench.of(ev.INCIDENT_OPENED) == []
        await failover(bench, "s6")
        [override] = bench.of(ev.OVERRIDE_RECORDED)
        assert dict(override.data) == {"rule": "S6", "reason": "fire", "person": "wang"}
        assert override.incident == bench.of(ev.INCIDENT_OPENED)[0].incident
        [opened] = bench.of(ev.EXECUTION_OPENED)
        assert (opened.data["trigger"], opened.actor) == ("manual", "wang")
        assert opened.data["vars"]["overrides"] == ["S6"]


async def test_an_override_needs_a_reason_and_a_rule_that_can_be_overridden(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        with pytest.raises(UsageError, match="needs a reason"):
            await failover(bench, "S6", reason="  ")
        with pytest.raises(UsageError, match="S1"):
            await failover(bench, "S1")
        assert bench.opened() == []


async def test_mode_pause_block_and_budget_are_no_gates_for_a_person(tmp_path: Path) -> None:
    async with running(tmp_path, mode="observe") as bench:
        bench.budget = 0
        until_ns = bench.supervisor.wall_ns() + 10**12
        await bench.supervisor.append(ev.SERVICE_PAUSED, {"until_wall_ns": until_ns, "reason": "disk"})
        await bench.supervisor.append(ev.SERVICE_BLOCKED, {"reason": "EXE-1 failed over"})
        await bench.crash()
        await bench.live(0.5)
        await failover(bench)
        await bench.live(0.5)
        assert bench.opened() == [("failover", "manual")]
        assert bench.supervisor.ledger.primary == "pg2"


async def test_a_failover_by_hand_does_not_block_and_its_incident_has_its_clock(tmp_path: Path) -> None:
    async with running(tmp_path, mode="observe") as bench:
        await bench.crash()
        await bench.live(0.5)
        await failover(bench)
        await bench.live(0.5)
        assert bench.of(ev.SERVICE_BLOCKED) == []
        marks = [e.data["mark"] for e in bench.of(ev.CLOCK_MARK)]
        assert "T3" in marks


async def test_no_override_opens_the_gates_of_leadership_and_of_an_open_execution(tmp_path: Path) -> None:
    every = ("S2", "S3", "S6", "S9")
    async with running(tmp_path, mode="observe") as bench:
        await bench.crash()
        await bench.live(0.5)
        bench.gate.clear()
        await failover(bench)
        with pytest.raises(HeldError) as held:
            await failover(bench, *every)
        assert held.value.gate == "execution"
        bench.gate.set()
        await bench.live(0.5)
        bench.store.open()
        with pytest.raises(HeldError) as held:
            await failover(bench, *every)
        assert held.value.gate == "leadership"


async def test_two_requests_at_once_open_one_execution(tmp_path: Path) -> None:
    async with running(tmp_path, mode="observe") as bench:
        await bench.crash()
        await bench.live(0.5)
        bench.gate.clear()
        both = await asyncio.gather(failover(bench), failover(bench), return_exceptions=True)
        assert [type(answer) for answer in both].count(HeldError) == 1
        assert bench.opened() == [("failover", "manual")]


async def test_the_incident_of_a_request_is_not_closed_before_its_execution_opens(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.gate.clear()
        # A turn is due while a slow disk takes each record: the service is healthy, and its incident would
        # be over at once.
        append = bench.memory.append

        async def slow(*record: Any, **about: Any) -> Any:
            bench.supervisor.wake()
            for _ in range(50):
                await asyncio.sleep(0)
            return await append(*record, **about)

        bench.memory.append = slow  # type: ignore[method-assign]
        await Requests(bench.supervisor).switchover(Wish("pg2", "wang"), dry_run=False)
        await bench.live(1.0)
        assert bench.of(ev.INCIDENT_CLOSED) == []
        opened = bench.of(ev.EXECUTION_OPENED)[0]
        assert opened.incident == bench.of(ev.INCIDENT_OPENED)[0].incident


async def test_a_planned_switchover_counts_from_the_moment_at_which_writes_stop(tmp_path: Path) -> None:
    async def script(bench: Bench, opened: object) -> ExecutionState:
        from supervisor_bench import succeeds

        await bench.step(opened, "quiesce", {})  # type: ignore[arg-type]
        return await succeeds(bench, opened)  # type: ignore[arg-type]

    async with running(tmp_path) as bench:
        bench.script = script  # type: ignore[assignment]
        await Requests(bench.supervisor).switchover(Wish(None, "wang"), dry_run=False)
        await bench.live(1.0)
        [opened] = bench.of(ev.INCIDENT_OPENED)
        assert (opened.data["t0_ns"], opened.data["manual"]) == (None, True)
        assert opened.data["diagnosis"]["code"] == "PlannedSwitchover"
        began = next(e for e in bench.of(ev.STEP_INTENT) if e.data["step"] == "quiesce")
        [t0] = [e for e in bench.of(ev.CLOCK_MARK) if e.data["mark"] == "T0"]
        assert t0.data["at_ns"] == began.mono_ns
        # Nobody crashed: the service is not blocked, and the old primary is a standby again.
        assert bench.supervisor.ledger.blocked is None
        assert bench.opened() == [("switchover", "manual")]


async def test_a_switchover_that_is_the_remedy_of_an_outage_counts_from_the_outage(tmp_path: Path) -> None:
    async def script(bench: Bench, opened: object) -> ExecutionState:
        from supervisor_bench import succeeds

        bench.servers.canary_failure = None
        await bench.step(opened, "quiesce", {})  # type: ignore[arg-type]
        return await succeeds(bench, opened)  # type: ignore[arg-type]

    async with running(tmp_path, mode="observe") as bench:
        bench.script = script  # type: ignore[assignment]
        bench.servers.canary_failure = Failure.SYNC_BLOCKED
        await bench.live(4.0)
        [opened] = bench.of(ev.INCIDENT_OPENED)
        await Requests(bench.supervisor).switchover(Wish("pg2", "wang"), dry_run=False)
        await bench.live(1.0)
        assert bench.of(ev.EXECUTION_OPENED)[0].incident == opened.incident
        assert not [e for e in bench.of(ev.CLOCK_MARK) if e.data["mark"] == "T0"]
        assert opened.data["t0_ns"] is not None


@pytest.mark.parametrize(
    ("spoil", "gate"),
    [
        (lambda b: b.servers.down.add("pg1"), "primary"),
        (lambda b: b.servers.detached.add("pg2"), "candidate"),
        (lambda b: b.servers.rogue.update(pg3=2), "diagnosis"),
    ],
)
async def test_a_switchover_needs_both_sides_alive_and_nothing_unclear(
    tmp_path: Path, spoil: object, gate: str
) -> None:
    async with running(tmp_path, mode="observe") as bench:
        spoil(bench)  # type: ignore[operator]
        await bench.live(0.5)
        with pytest.raises(HeldError) as held:
            await Requests(bench.supervisor).switchover(Wish("pg2", "wang"), dry_run=False)
        assert held.value.gate == gate
        assert bench.opened() == []


async def test_a_target_that_is_none_is_a_usage_error(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        for to, what in (("pg9", "no member"), ("pg1", "primary already")):
            with pytest.raises(UsageError, match=what):
                await Requests(bench.supervisor).switchover(Wish(to, "wang"), dry_run=True)


# --- through the control


async def test_only_a_person_who_did_not_ask_can_approve_and_only_in_time(tmp_path: Path) -> None:
    async with running(tmp_path, mode="ask") as bench:
        door = control(bench)
        await bench.crash()
        await bench.live(0.5)
        [waiting] = door.status()["approvals"]
        assert waiting["service"] == "orders"
        with pytest.raises(HeldError, match="asked for it"):
            await door.approve(waiting["id"], caller=Caller("daemon", "root"))
        with pytest.raises(UsageError, match="no approval"):
            await door.approve("APR-9", caller=WANG)
        bench.script = ends(ExecutionState.UNDONE)
        answer = await door.approve(waiting["id"], caller=WANG)
        assert answer["state"] == "approved"
        with pytest.raises(HeldError, match="is approved by wang already"):
            await door.approve(waiting["id"], caller=Caller("ada", "ada"))


async def test_an_approval_that_came_too_late_means_no_and_is_asked_for_again(tmp_path: Path) -> None:
    async with running(tmp_path, mode="ask") as bench:
        door = control(bench)
        await bench.crash()
        await bench.live(0.5)
        first = door.status()["approvals"][0]["id"]
        await bench.live(901.0, step_s=1.0)
        with pytest.raises(HeldError, match="expired"):
            await door.approve(first, caller=WANG)
        assert [a["id"] for a in door.status()["approvals"]] != [first]
        assert len([p for p in bench.paged() if "Waits for approval" in p]) == 2
        assert bench.opened() == []


async def test_a_pause_and_its_end(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        door = control(bench)
        with pytest.raises(UsageError, match="not paused"):
            await door.resume("orders", reason="", caller=WANG)
        await door.pause("orders", for_s=60, reason="patching", caller=WANG)
        assert door.status()["services"][0]["paused"] == "paused for 60 s more: patching"
        await door.resume("orders", reason="done", caller=WANG)
        assert door.status()["services"][0]["paused"] is None


async def test_a_block_is_acknowledged_by_name(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        door = control(bench)
        with pytest.raises(UsageError, match="not blocked"):
            await door.acknowledge("orders", comment="?", caller=WANG)
        bench.servers.down.add("pg3")
        await bench.supervisor.append(ev.SERVICE_BLOCKED, {"reason": "EXE-1 failed over"})
        await door.acknowledge("orders", comment="looked", caller=WANG)
        [event] = bench.of(ev.SERVICE_UNBLOCKED)
        assert (event.actor, event.data["reason"]) == ("wang", "looked")


async def test_an_execution_is_aborted_where_it_runs_and_given_up_where_nobody_runs_it(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as bench:
        door = control(bench)
        bench.gate.clear()
        await bench.crash()
        [execution] = bench.supervisor.ledger.open_executions
        with pytest.raises(HeldError):
            await door.resume_execution(execution, caller=WANG)
        await door.abort_execution(execution, reason="stop", caller=WANG)
        assert bench.executor.aborts == [execution]
        bench.end_is_lost = True
        bench.gate.set()
        await bench.clock.advance(0.05)
        del bench.executor.engine.request_abort  # the engine's own: it runs nothing
        await door.abort_execution(execution, reason="stop", caller=WANG)
        assert bench.supervisor.ledger.open_executions == ()
        with pytest.raises(UsageError, match="no open execution"):
            await door.resume_execution(execution, caller=WANG)


async def test_an_execution_is_not_resumed_by_who_does_not_lead(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.end_is_lost = True
        await bench.crash()
        await bench.live(0.3)
        [execution] = bench.supervisor.ledger.open_executions
        bench.store.open()
        with pytest.raises(HeldError) as held:
            await control(bench).resume_execution(execution, caller=WANG)
        assert held.value.gate == "leadership"


async def test_status_and_explain_keep_their_shape(tmp_path: Path) -> None:
    async with running(tmp_path, mode="ask") as bench:
        door = control(bench)
        status = door.status()
        assert set(status) >= {"daemon", "services", "probes", "incidents_open", "approvals"}
        [service] = status["services"]
        wanted = {
            "name", "health", "code", "sentence", "sentence_zh", "mode", "paused", "blocked", "primary",
            "profile", "rpo_s", "rto_s", "tolerance", "incident", "execution", "members", "decision",
            "readiness",
        }  # fmt: skip
        assert wanted <= set(service)
        assert (service["health"], service["primary"]) == ("up", "pg1")
        wanted = {
            "name", "role", "node", "site", "health", "why", "age_ms", "in_recovery", "timeline", "position",
            "lag_bytes", "sync_state", "canary_n",
        }  # fmt: skip
        assert [m["name"] for m in service["members"]] == ["pg1", "pg2", "pg3"]
        assert all(wanted <= set(m) for m in service["members"])
        await bench.crash()
        await bench.live(0.5)
        [service] = door.status()["services"]
        assert (service["health"], service["code"]) == ("down", "PrimaryProcessDown")
        assert door.status()["incidents_open"][0]["code"] == "PrimaryProcessDown"
        told = door.explain("orders")
        assert set(told) >= {"service", "diagnosis", "decision", "would", "view"}
        assert told["would"].startswith("asks a person")
        with pytest.raises(UsageError, match="no service"):
            door.explain("other")


async def test_before_the_first_reading_the_health_is_unknown(tmp_path: Path) -> None:
    async with running(tmp_path, calm=False) as bench:
        [service] = control(bench).status()["services"]
        assert (service["health"], service["code"], service["primary"]) == ("unknown", "NotObservedYet", None)


async def test_a_plan_names_the_gate_that_would_stop_it(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:

        async def describe(order: object, mode: object) -> dict[str, object]:
            return {"steps": []}

        bench.executor.describe = describe  # type: ignore[method-assign,assignment]
        door = control(bench)
        plan = await door.failover("orders", to=None, override=[], reason="", dry_run=True, caller=WANG)
        assert plan["stopped_by"] == "diagnosis"
        plan = await door.switchover("orders", to="pg2", dry_run=True, caller=WANG)
        assert plan["stopped_by"] is None
        assert bench.opened() == []
        assert bench.of(ev.INCIDENT_OPENED) == []
