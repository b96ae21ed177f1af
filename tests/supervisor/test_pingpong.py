"""A service is not failed back and forth: to the member that just lost the role only with a person's yes."""

from __future__ import annotations

from pathlib import Path

from supervisor_bench import Bench, ends, running

from controller.supervisor.requests import Requests
from model import events as ev
from model.execution import ExecutionState


async def failed_over_and_mended(bench: Bench) -> None:
    """pg1 was lost, pg2 leads, pg1 follows it; the incident is over and nothing is blocked."""
    await bench.crash()
    await bench.live(4.0)
    assert (bench.servers.primary, bench.supervisor.ledger.blocked) == ("pg2", None)
    assert bench.of(ev.INCIDENT_CLOSED) != []
    assert bench.opened() == [("failover", "automatic"), ("rejoin", "automatic")]


async def test_whoever_just_lost_the_role_gets_it_back_with_a_persons_yes_only(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        await failed_over_and_mended(bench)
        await bench.crash("pg2")
        await bench.live(2.0)
        assert len(bench.of(ev.EXECUTION_OPENED)) == 2
        decision = bench.judged.decision
        # The DR site does not come before it: for both people are asked, and this one is near.
        assert (decision.verb.value, decision.stopped_by, decision.candidate) == ("ask", "pingpong", "pg1")
        [asked] = bench.of(ev.APPROVAL_REQUESTED)
        await Requests(bench.supervisor).approve(asked.data["approval"], "wang")
        await bench.live(0.5)
        opened = bench.of(ev.EXECUTION_OPENED)[2].data
        assert (opened["kind"], opened["trigger"]) == ("failover", "approved")
        assert (opened["vars"]["candidate"], opened["vars"]["not_asked"]) == ("pg1", [])
        assert opened["vars"]["returning"] == ["pg1"]
        assert bench.servers.primary == "pg1"


async def test_the_proof_may_not_choose_it_either_where_nobody_was_asked(tmp_path: Path) -> None:
    """Another local standby is there; by the time of the proof it may be gone."""
    members = {
        name: {
            "node": "db-pg1" if name == "pg1" else "db-pg2",
            "role": "primary" if name == "pg1" else "standby",
            "port": 5432 + number,
            "data_dir": f"/data/{name}",
            "bin_dir": "/usr/bin",
            "control": "pg_ctl",
        }
        for number, name in enumerate(("pg1", "pg2", "pg3"))
    }
    async with running(tmp_path, members=members) as bench:
        await failed_over_and_mended(bench)
        bench.script = ends(ExecutionState.UNDONE)
        await bench.crash("pg2")
        await bench.live(0.5)
        assert bench.judged.decision.candidate == "pg3"
        opened = bench.of(ev.EXECUTION_OPENED)[2].data
        assert (opened["trigger"], opened["vars"]["not_asked"]) == ("automatic", ["pg1"])


async def test_a_person_who_has_acknowledged_the_cause_lets_it_go_back_by_itself(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        await failed_over_and_mended(bench)
        await bench.supervisor.append(ev.SERVICE_UNBLOCKED, {"reason": "a power supply"}, actor="wang")
        await bench.crash("pg2")
        await bench.live(0.5)
        assert bench.opened()[2] == ("failover", "automatic")
        assert bench.of(ev.EXECUTION_OPENED)[2].data["vars"]["not_asked"] == ["pg3"]


async def test_after_no_return_it_goes_back_by_itself(tmp_path: Path) -> None:
    async with running(tmp_path, no_return="30s") as bench:
        await failed_over_and_mended(bench)
        await bench.live(28.0, step_s=0.25)
        await bench.crash("pg2")
        await bench.live(0.5)
        assert bench.opened()[2] == ("failover", "automatic")


async def test_the_way_back_is_remembered_by_a_restarted_daemon(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        await failed_over_and_mended(bench)
    async with running(tmp_path, store=bench.store) as again:
        again.servers = bench.servers
        await again.live(2.0)
        [gate] = [g for g in again.judged.decision.gates if g.name == "pingpong"]
        assert (gate.passed, gate.asks) == (False, True)


async def test_what_others_launch_counts_for_the_budget_before_the_journal_has_it(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.budget = 1
        with bench.launching.one(1):
            await bench.crash()
            await bench.live(1.0)
            assert bench.judged.decision.stopped_by == "budget"
            assert bench.opened() == []
        await bench.live(1.0)
        assert bench.opened()[0] == ("failover", "automatic")


async def test_the_last_of_the_budget_is_not_given_to_two_that_were_judged_at_once(tmp_path: Path) -> None:
    """Between this judgement, by which it may act, and its launch another service takes what was left."""
    async with running(tmp_path) as bench:
        bench.budget = 1
        written = bench.supervisor.desk.decided
        other = bench.launching.one(1)

        async def decided(*told: object) -> None:
            bench.supervisor.desk.decided = written  # type: ignore[method-assign]
            await written(*told)  # type: ignore[arg-type]
            assert other.__enter__()

        bench.supervisor.desk.decided = decided  # type: ignore[method-assign]
        await bench.crash()
        await bench.live(1.0)
        assert bench.launching.count == 1
        assert bench.opened() == []
        other.__exit__(None, None, None)
        await bench.live(1.0)
        assert bench.opened()[0] == ("failover", "automatic")
