"""Leadership, a journal that can't be written, and executions that a dead process left open (S1, S4, S5)."""

from __future__ import annotations

import asyncio
from pathlib import Path

from memory_journal import MemoryStore
from supervisor_bench import SERVICE, Bench, ends, estate, running

from controller.supervisor.world import Observing
from model import events as ev
from model.errors import RunbookError
from model.execution import ExecutionState


async def test_without_leadership_nothing_is_journaled_or_done_and_the_canary_stops(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.observing = Observing(another_leads=True, why="ops2 has taken over")
        bench.store.open()
        records = len(bench.store.events)
        await bench.crash()
        await bench.live(3.0)
        assert len(bench.store.events) == records
        assert bench.opened() == []
        assert bench.watched[-1] is None
        assert bench.paged() == ["another controller leads: observing only: ops2 has taken over"]


async def test_who_observes_follows_what_the_leader_writes(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.observing = Observing(another_leads=True, why="ops2 leads")
        other = bench.store.open()
        await other.append(ev.SERVICE_PRIMARY, {"member": "pg2", "timeline": 2}, service=SERVICE)
        await bench.live(2.0)
        assert bench.supervisor.ledger.primary == "pg2"


async def test_where_nobody_can_lead_an_outage_is_paged_all_the_same(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.memory.held = lambda: False  # type: ignore[method-assign]
        await bench.live(0.5)
        await bench.crash()
        await bench.live(5.0)
        assert bench.opened() == []
        assert len([p for p in bench.paged() if p.startswith("the journal can't be used")]) == 1
        [paged] = [p for p in bench.paged() if p.startswith("PrimaryProcessDown")]
        assert paged.endswith("Held: the disk is full")


async def test_leadership_that_comes_back_is_taken_up_where_the_journal_stands(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        held, bench.memory.held = bench.memory.held, lambda: False  # type: ignore[method-assign]
        await bench.live(0.5)
        assert bench.watched[-1] is None
        bench.memory.held = held  # type: ignore[method-assign]
        await bench.live(0.5)
        assert bench.watched[-1] == "pg1"


async def test_a_look_at_the_lease_that_fails_once_does_not_resume_what_is_running(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.gate.clear()
        await bench.crash()
        bench.memory.held_answers = [False] * 6
        await bench.live(1.0)
        assert bench.supervisor.busy
        assert bench.resumed == []
        bench.gate.set()
        await bench.live(1.0)
        assert bench.supervisor.ledger.primary == "pg2"
        assert bench.watched[-1] == "pg2"


async def test_a_full_journal_is_said_once_and_acted_on_again_when_there_is_room(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.memory.full = True
        await bench.crash()
        await bench.live(5.0)
        assert bench.opened() == []
        assert bench.code == "PrimaryProcessDown"
        assert len([p for p in bench.paged() if p.startswith("the journal can't be written")]) == 1
        bench.memory.full = False
        await bench.live(1.0)
        assert bench.opened()[0] == ("failover", "automatic")
        assert "over: the journal can't be written: observing only" in bench.paged("info")
        downs = [e for e in bench.of(ev.HEALTH_CHANGED) if e.data["to"] == "down"]
        assert downs[0].data["target"] == f"{SERVICE}/pg1"


async def test_an_execution_whose_end_could_not_be_recorded_is_gone_on_with_by_itself(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as bench:
        bench.end_is_lost = True
        await bench.crash()
        await bench.live(0.5)
        [execution] = bench.supervisor.ledger.open_executions
        assert len([p for p in bench.paged() if "is left open" in p]) == 1
        await bench.live(10.0)
        tries = len(bench.resumed)
        assert 2 <= tries <= 4
        assert len([p for p in bench.paged() if "is left open" in p]) == 1
        bench.end_is_lost = False
        await bench.live(10.0)
        assert bench.resumed[0] == (execution, "its end could not be recorded")
        assert execution not in bench.supervisor.ledger.open_executions


def dead(tmp_path: Path, *events: tuple[str, dict[str, object], str | None]) -> MemoryStore:
    """What a process left in the journal before it died."""
    store = MemoryStore()
    journal = store.open()

    async def write() -> None:
        await journal.append(
            ev.SERVICE_PRIMARY,
            {"member": "pg1", "timeline": 1, "system_identifier": "7000000000000000001"},
            service=SERVICE,
        )
        for type_, data, execution in events:
            await journal.append(type_, data, service=SERVICE, incident="INC-9", execution=execution)

    asyncio.run(write())
    return store


OPENED = (
    ev.EXECUTION_OPENED,
    {
        "kind": "failover",
        "runbook": "postgresql-failover",
        "trigger": "automatic",
        "vars": {"primary": "pg1"},
        "steps": [{"id": "promote", "action": "postgresql.promote"}],
    },
    "EXE-9",
)
PROMOTED = (
    ev.STEP_RESULT,
    {"step": "promote", "attempt": 1, "outcome": "succeeded", "output": {"member": "pg2", "timeline": 2}},
    "EXE-9",
)
SUCCEEDED = (ev.EXECUTION_CLOSED, {"state": "succeeded", "reason": ""}, "EXE-9")
RETIRED = (ev.MEMBER_RETIRED, {"member": "pg1", "why": ""}, "EXE-9")
BLOCKED = (ev.SERVICE_BLOCKED, {"reason": "EXE-9 failed over"}, "EXE-9")
PRIMARY = (ev.SERVICE_PRIMARY, {"member": "pg2", "timeline": 2}, None)
VERDICT = (ev.RPO_VERDICT, {"verdict": "UNPROVEN"}, "EXE-9")


def test_what_a_dead_process_left_open_is_resumed_before_anything_else(tmp_path: Path) -> None:
    store = dead(tmp_path, OPENED)

    async def check() -> None:
        async with running(tmp_path, calm=False, store=store) as bench:
            bench.gate.clear()
            await bench.live(1.0)
            assert bench.resumed == [("EXE-9", "the process that ran it is gone")]
            assert bench.watched == []
            await bench.crash()
            await bench.live(1.0)
            assert bench.opened() == [("failover", "automatic")]
            bench.gate.set()
            await bench.clock.advance(0.1)
            assert bench.watched[0] == "pg1"
            assert bench.of(ev.EXECUTION_CLOSED)[0].execution == "EXE-9"

    asyncio.run(check())


def test_an_execution_that_can_not_be_resumed_is_no_reason_not_to_look(tmp_path: Path) -> None:
    store = dead(tmp_path, OPENED)

    async def check() -> None:
        bench = Bench(estate(tmp_path), tmp_path, store)
        bench.resume_error = RunbookError("its action is gone")
        bench.start()
        await bench.live(1.0)
        assert bench.watched == ["pg1"]
        assert any("its action is gone" in p for p in bench.paged())
        await bench.stop()

    asyncio.run(check())


def test_a_death_at_any_record_of_the_settling_is_made_good_at_the_next_start(tmp_path: Path) -> None:
    """Whatever of it was journaled: in the end the journal says it all, each thing once."""
    settling = [RETIRED, BLOCKED, PRIMARY, VERDICT]
    died = [*(settling[:kept] for kept in range(len(settling) + 1)), [RETIRED, BLOCKED, VERDICT]]
    for kept in died:
        store = dead(tmp_path, OPENED, PROMOTED, SUCCEEDED, *kept)

        async def check(store: MemoryStore = store, kept: object = kept) -> None:
            bench = Bench(estate(tmp_path, mode="observe"), tmp_path, store)
            bench.servers.promoted("pg2")
            bench.servers.down.add("pg1")
            bench.start()
            await bench.live(1.0)
            ledger = bench.supervisor.ledger
            assert (ledger.primary, ledger.timeline) == ("pg2", 2), kept
            assert ledger.retired == ("pg1",), kept
            assert ledger.blocked is not None, kept
            assert len(bench.of(ev.RPO_VERDICT)) == 1, kept
            assert bench.watched[-1] == "pg2", kept
            again = len(bench.of(ev.SERVICE_PRIMARY))
            await bench.supervisor.runs.settle("EXE-9")
            assert len(bench.of(ev.SERVICE_PRIMARY)) == again
            assert len(bench.of(ev.RPO_VERDICT)) == 1
            await bench.stop()

        asyncio.run(check())


def test_a_verdict_that_is_missing_does_not_bring_an_older_primary_back(tmp_path: Path) -> None:
    """Somebody switched again since: the older execution is past."""
    later = (ev.SERVICE_PRIMARY, {"member": "pg3", "timeline": 3}, None)
    store = dead(tmp_path, OPENED, PROMOTED, SUCCEEDED, PRIMARY, later)

    async def check() -> None:
        bench = Bench(estate(tmp_path, mode="observe"), tmp_path, store)
        bench.servers.primary, bench.servers.timeline = "pg3", 3
        bench.start()
        await bench.live(1.0)
        told = [e.data["member"] for e in bench.of(ev.SERVICE_PRIMARY)]
        assert told == ["pg1", "pg2", "pg3"]
        await bench.stop()

    asyncio.run(check())


async def test_a_planned_switch_leaves_nobody_retired_who_streams_already(tmp_path: Path) -> None:
    from controller.supervisor.requests import Requests
    from controller.supervisor.switch_gates import Wish

    async with running(tmp_path, mode="observe") as bench:
        answer = await Requests(bench.supervisor).switchover(Wish("pg2", "wang"), dry_run=False)
        assert answer["state"] == "running"
        await bench.live(1.0)
        assert bench.supervisor.ledger.primary == "pg2"
        [rejoined] = bench.of(ev.MEMBER_REJOINED)
        assert rejoined.execution == answer["execution"]
        assert bench.supervisor.ledger.retired == ()
        assert bench.supervisor.ledger.blocked is None
        assert bench.supervisor.ledger.incident is None
        assert len(bench.of(ev.INCIDENT_CLOSED)) == 1


async def test_giving_up_an_open_execution_settles_what_it_had_changed_and_blocks(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.end_is_lost = True
        await bench.crash()
        await bench.live(0.3)
        [execution] = bench.supervisor.ledger.open_executions
        await bench.supervisor.give_up(execution, "the node is gone", "wang")
        assert bench.supervisor.ledger.open_executions == ()
        assert bench.supervisor.ledger.primary == "pg2"
        assert bench.supervisor.ledger.blocked is not None
        [closed] = bench.of(ev.EXECUTION_CLOSED)
        assert (closed.data["state"], closed.actor) == ("unknown", "wang")


async def test_a_turn_that_fails_is_told_once_and_the_next_is_taken(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:

        def broken(*_args: object, **_more: object) -> None:
            raise RunbookError("postgresql-failover: no such variable")

        plan, bench.executor.plan = bench.executor.plan, broken  # type: ignore[method-assign,assignment]
        await bench.crash()
        await bench.live(10.0)
        assert len([p for p in bench.paged() if "no such variable" in p]) == 1
        assert len([e for e in bench.of(ev.CLOCK_MARK) if e.data["mark"] == "T3"]) <= 5
        bench.executor.plan = plan  # type: ignore[method-assign]
        await bench.live(20.0, step_s=0.25)
        assert bench.opened()[0] == ("failover", "automatic")


async def test_executions_end_when_the_supervisor_is_closed(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.gate.clear()
        bench.script = ends(ExecutionState.UNDONE)
        await bench.crash()
        assert bench.supervisor.busy
        bench.supervisor.close()
        await bench.clock.advance(0.1)
        assert not bench.supervisor.busy
        assert bench.of(ev.EXECUTION_CLOSED) == []


async def test_a_record_that_is_heard_twice_counts_once(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        await bench.crash()
        await bench.live(1.0)
        assert bench.supervisor.ledger.open_executions == ()
        bench.supervisor._journaled(bench.of(ev.EXECUTION_OPENED)[0])
        assert bench.supervisor.ledger.open_executions == ()
