"""A person declares a disaster: what follows for the services that it concerns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from disaster_bench import disaster

from controller.disaster.desk import DisasterDesk, DisasterPorts
from controller.disaster.progress import progress_from_events
from controller.incidents import fold_incidents
from controller.status import disaster_status
from controller.supervisor.requests import Requests
from controller.supervisor.switch_gates import Wish
from controller.supervisor.tap import TappedJournal
from model import events as ev
from model.disaster import Tier
from model.errors import HeldError, UsageError
from model.execution import ExecutionState

CHAIN = {"db": {}, "app": {"depends_on": ["db"]}}


async def test_each_move_is_asked_for_when_those_that_it_needs_have_moved(tmp_path: Path) -> None:
    async with disaster(tmp_path, CHAIN) as bench:
        declared = await bench.declare()
        incident = declared["incident"]
        await bench.live()
        assert bench.states(incident) == {"db": "asked", "app": "waiting"}
        assert bench.waiting("app") is None
        await bench.approve("db")
        await bench.live()
        assert bench.states(incident) == {"db": "done", "app": "asked"}
        await bench.approve("app")
        await bench.live()
        plan = bench.incidents.plan(incident)
        assert (plan["state"], bench.primaries()) == ("done", {"db": "pg3", "app": "pg3"})
        runs = bench.of(ev.EXECUTION_OPENED)
        assert [(r.service, r.data["kind"], r.data["trigger"], r.actor) for r in runs][:2] == [
            ("db", "switchover", "approved", "ada"),
            ("app", "switchover", "approved", "ada"),
        ]


async def test_nobody_is_promoted_at_the_place_that_is_to_be_left(tmp_path: Path) -> None:
    async with disaster(tmp_path, {"db": {}}) as bench:
        assert bench.supervisors["db"].judge_now().outlook.choice.candidate == "pg2"
        declared = await bench.declare()
        assert declared["plan"]["steps"][0]["to"] == "pg3"
        assert bench.supervisors["db"].judge_now().outlook.choice.candidate == "pg3"


async def test_an_outage_in_a_declared_disaster_is_asked_for_and_not_acted_on(tmp_path: Path) -> None:
    async with disaster(tmp_path, {"db": {}}) as bench:
        declared = await bench.declare()
        await bench.crash("db")
        await bench.live()
        assert bench.of(ev.EXECUTION_OPENED) == []
        assert bench.gate_of("db") == "command"
        assert bench.states(declared["incident"]) == {"db": "asked"}
        await bench.approve("db")
        await bench.live()
        assert bench.primaries() == {"db": "pg3"}
        [run, *_] = bench.of(ev.EXECUTION_OPENED)
        assert run.data["kind"] == "failover"
        # The outage has a clock and a verdict of its own, and is a part of the disaster.
        found = fold_incidents(bench.journal.events())
        assert found[run.incident or ""].part_of == declared["incident"]


async def test_without_a_declaration_the_same_outage_is_acted_on(tmp_path: Path) -> None:
    async with disaster(tmp_path, {"db": {}}) as bench:
        await bench.crash("db")
        await bench.live()
        assert bench.primaries() == {"db": "pg2"}


@pytest.mark.parametrize("tier", [Tier.MAN_MADE, Tier.EXTERNAL])
async def test_where_a_switch_may_do_harm_nothing_is_asked_and_nothing_is_switched(
    tmp_path: Path, tier: Tier
) -> None:
    async with disaster(tmp_path, {"db": {}}) as bench:
        declared = await bench.declare(tier)
        assert declared["plan"]["steps"] == []
        await bench.crash("db")
        await bench.live()
        assert bench.gate_of("db") == "command"
        assert bench.waiting("db") is None
        assert bench.of(ev.EXECUTION_OPENED) == []
        closed = await bench.incidents.close(declared["incident"], "all copies are sound", "wang")
        assert closed["still_open"] == [bench.supervisors["db"].ledger.incident_id]
        await bench.live()  # in its own mode again
        assert bench.primaries() == {"db": "pg2"}


async def test_a_site_of_people_is_at_least_of_level_two_and_a_supplier_by_the_rules(tmp_path: Path) -> None:
    async with disaster(tmp_path, {"db": {}}) as bench:
        assert (await bench.declare())["level"] == "II"
        assert (await bench.declare(Tier.MAN_MADE, "service:db"))["level"] == "III"
        assert (await bench.declare(Tier.EXTERNAL, "service:db"))["level"] == "III"
    rules = {"rules": [{"level": "III"}]}  # where they know no sites
    async with disaster(tmp_path, {"db": {}}, levels=rules) as bench:
        assert (await bench.declare())["level"] == "II"
        assert (await bench.declare(Tier.EXTERNAL))["level"] == "III"


async def test_in_command_people_may_switch_and_nobody_is_brought_back_by_itself(tmp_path: Path) -> None:
    async with disaster(tmp_path, {"db": {}}) as bench:
        incident = (await bench.declare(Tier.MAN_MADE))["incident"]
        await bench.crash("db")
        await bench.live()
        moved = await Requests(bench.supervisors["db"]).failover(Wish("pg2", "ada"), dry_run=False)
        await bench.live(3.0)
        assert bench.primaries() == {"db": "pg2"}
        assert [e.execution for e in bench.of(ev.EXECUTION_OPENED)] == [moved["execution"]]
        assert bench.of(ev.APPROVAL_REQUESTED) == []
        await bench.incidents.close(incident, "it was a false alarm", "wang")
        await bench.live(3.0)
        kinds = [e.data["kind"] for e in bench.of(ev.EXECUTION_OPENED)]
        assert kinds == ["failover", "rejoin"]


async def test_what_lasts_grows_graver_and_what_nobody_confirmed_is_told(tmp_path: Path) -> None:
    async with disaster(tmp_path, {"db": {"importance": "high"}}) as bench:
        declared = await bench.declare(ago_s=3.0 * 3600)
        assert declared["level"] == "I"
        await bench.live()
        missed = bench.of(ev.DEADLINE_MISSED, incident=declared["incident"])
        assert {m.data["what"] for m in missed} == {"confirmation", "report"}
        assert len(missed) == 2


async def test_status_says_how_far_it_has_come_and_what_people_owe_it_by_when(tmp_path: Path) -> None:
    async with disaster(tmp_path, CHAIN) as bench:
        incident = (await bench.declare(ago_s=3600.0))["incident"]

        def row() -> dict[str, Any]:
            [declaration] = bench.incidents.declared()
            assert declaration.incident is not None
            progress, elapsed_s = (
                bench.incidents.progress(declaration),
                bench.incidents.elapsed_s(declaration),
            )
            return disaster_status(progress, declaration.incident, bench.estate, elapsed_s)

        await bench.live()
        assert row()["plan"] == {"state": "under way", "moved": 0, "of": 2}
        assert (row()["level"], row()["commander"]) == ("II", "deputy")
        due = {d["what"]: (d["office"], d["left_s"]) for d in row()["due"]}
        assert due["confirmation"][0] == "department manager"
        assert due["report"][0] == "top manager"
        assert all(3590 < left_s <= 3600 for _, left_s in due.values())
        await bench.approve("db")
        await bench.incidents.acknowledge(incident, "seen", "wang")
        await bench.live()
        assert row()["plan"] == {"state": "under way", "moved": 1, "of": 2}
        assert [d["what"] for d in row()["due"]] == ["report"]


OFFICES = {
    "offices": {"deputy": ["wang"], "department manager": ["ada", "li"], "department head": ["bo"]},
    "approvals": {"II": {"persons": 2}},
}


async def test_who_must_agree_to_a_move_comes_from_the_level_of_the_disaster(tmp_path: Path) -> None:
    """A site is of level II: two persons of its offices, though the service has no incident of its own."""
    people = {p: {"name": p, "os_users": [p]} for p in ("wang", "ada", "li", "bo")}
    async with disaster(tmp_path, {"db": {}}, levels=OFFICES, people=people) as bench:
        incident = (await bench.declare())["incident"]
        await bench.live()
        with pytest.raises(HeldError, match="not by bo"):
            await bench.approve("db", "bo")
        await bench.approve("db", "ada")
        await bench.live()
        assert bench.states(incident) == {"db": "asked"}
        await bench.approve("db", "li")
        await bench.live()
        assert bench.primaries() == {"db": "pg3"}
        [used] = bench.of(ev.APPROVAL_USED)
        assert used.data["given_by"] == ["ada", "li"]


async def test_a_no_holds_the_move_and_is_not_asked_again(tmp_path: Path) -> None:
    async with disaster(tmp_path, {"db": {}}) as bench:
        incident = (await bench.declare())["incident"]
        await bench.live()
        waiting = bench.waiting("db")
        assert waiting is not None
        await Requests(bench.supervisors["db"]).reject(waiting.id, "ada", "it is moved by hand tonight")
        await bench.live(3.0)
        assert len(bench.of(ev.APPROVAL_REQUESTED)) == 1
        [told] = [page for page in bench.pages if "site plan" in page and "is held" in page]
        assert "ada said no" in told
        from_store = progress_from_events(bench.journal.events(), incident)  # with the daemon dead
        assert from_store is not None
        for plan in (
            bench.incidents.plan(incident),
            from_store.to_json(),
        ):
            assert plan["state"] == "stuck"
            assert plan["steps"][0]["state"] == "held"
            assert "ada said no: it is moved by hand tonight" in plan["steps"][0]["why"]


async def test_an_answer_that_nobody_gives_in_time_is_asked_for_again(tmp_path: Path) -> None:
    async with disaster(tmp_path, {"db": {"approval": {"expires": "2s"}}}) as bench:
        incident = (await bench.declare())["incident"]
        await bench.live(4.0)
        assert len(bench.of(ev.APPROVAL_REQUESTED)) >= 2
        assert bench.states(incident) == {"db": "asked"}
        assert bench.of(ev.EXECUTION_OPENED) == []


async def test_a_service_in_mode_observe_or_elsewhere_is_not_asked_about(tmp_path: Path) -> None:
    async with disaster(
        tmp_path, {"db": {"mode": "observe"}, "app": {"depends_on": ["db"]}, "far": {}}
    ) as bench:
        bench.servers["far"].promoted("pg3")
        await bench.live(2.0)
        declared = await bench.declare()
        staying = {s["service"]: s["why"] for s in declared["plan"]["staying"]}
        assert staying == {"db": "observed", "far": "elsewhere"}
        await bench.live()
        assert bench.states(declared["incident"]) == {"app": "asked"}  # it does not wait for what stays


async def test_a_move_that_fails_stops_those_that_need_it_and_says_so(tmp_path: Path) -> None:
    async with disaster(tmp_path, {**CHAIN, "alone": {}}) as bench:
        incident = (await bench.declare())["incident"]
        bench.ends["db"] = ExecutionState.FAILED
        await bench.live()
        assert bench.states(incident) == {"alone": "asked", "db": "asked", "app": "waiting"}
        bench.servers["db"].detached.add("pg2")  # redundancy is missing: what failed blocks the next try
        await bench.approve("db")
        await bench.approve("alone")
        await bench.live()
        assert bench.states(incident) == {"alone": "done", "db": "failed", "app": "waiting"}
        assert bench.incidents.plan(incident)["state"] == "partial"
        # Split off, it is waited for no longer.
        await bench.incidents.split(incident, "db", "mended by hand", "wang")
        await bench.live()
        assert bench.states(incident) == {"alone": "done", "app": "asked"}
        assert bench.gate_of("db") != "command"


async def test_a_move_that_failed_and_left_everything_well_is_asked_for_again(tmp_path: Path) -> None:
    async with disaster(tmp_path, {"db": {}}) as bench:
        incident = (await bench.declare())["incident"]
        bench.ends["db"] = ExecutionState.UNDONE
        await bench.live()
        await bench.approve("db")
        await bench.live()
        [step] = bench.incidents.plan(incident)["steps"]
        assert step["state"] == "asked"
        assert "ended undone: scripted; asked again" in step["why"]
        assert len(bench.of(ev.EXECUTION_OPENED)) == 1  # nobody has approved a second one


async def test_a_pause_holds_a_services_move_and_is_told_once(tmp_path: Path) -> None:
    async with disaster(tmp_path, {"db": {}}) as bench:
        db = bench.supervisors["db"]
        until = int((bench.clock.wall_s() + 3) * 1e9)
        await db.append(ev.SERVICE_PAUSED, {"until_wall_ns": until, "reason": "firmware"}, actor="wang")
        declared = await bench.declare()
        assert declared["plan"]["steps"][0]["obstacles"][0]["gate"] == "pause"
        await bench.live(2.0)
        assert bench.states(declared["incident"]) == {"db": "held"}
        assert bench.incidents.plan(declared["incident"])["state"] == "stuck"
        assert len([p for p in bench.pages if "firmware" in p]) == 1
        await bench.live(3.0)
        assert bench.states(declared["incident"]) == {"db": "asked"}


async def test_a_restart_in_the_middle_changes_nothing(tmp_path: Path) -> None:
    async with disaster(tmp_path, CHAIN) as bench:
        incident = (await bench.declare())["incident"]
        await bench.live()
        await bench.approve("db")
        await bench.live()
        servers, store = bench.servers, bench.store

    def as_before(again: object) -> None:
        again.servers = servers  # type: ignore[attr-defined]

    async with disaster(tmp_path, CHAIN, store=store, setup=as_before) as again:
        assert again.states(incident) == {"db": "done", "app": "asked"}
        await again.crash("app")
        await again.live()
        assert again.gate_of("app") == "command"
        await again.approve("app")
        await again.live()
        assert again.primaries()["app"] == "pg3"


async def test_who_leads_next_knows_what_the_one_before_it_was_told(tmp_path: Path) -> None:
    async with disaster(tmp_path, {"db": {}}) as bench:
        leading = []

        def other() -> tuple[DisasterDesk, TappedJournal]:
            """Of another controller on the same journal; it hears only what it writes itself."""
            tap = TappedJournal(bench.memory)
            ports = DisasterPorts(
                clock=bench.clock,
                journal=tap,
                supervisors={},
                estate=lambda: bench.estate,
                page=lambda *_args, **_more: None,
                leads=lambda: bool(leading),
                boot_id="boot-1",
            )
            return DisasterDesk(ports), tap

        (waits, _), (writes, tap) = other(), other()
        incident = (await bench.declare())["incident"]
        assert waits.command_of("db") is None
        leading.append(True)
        command = waits.command_of("db")
        assert command is not None
        assert command.incident == incident
        # Its own record comes after one that it has not read, and does not hide it.
        await tap.append(ev.INCIDENT_REPORTED, {"to": "zhao", "comment": ""}, incident=incident, actor="ada")
        declaration = writes.declarations.known[incident]
        assert declaration.incident is not None
        assert declaration.incident.reported == "ada"


async def test_withdrawn_it_asks_for_nothing_more_and_what_was_asked_is_void(tmp_path: Path) -> None:
    async with disaster(tmp_path, CHAIN) as bench:
        incident = (await bench.declare())["incident"]
        await bench.live()
        asked = bench.waiting("db")
        assert asked is not None
        closed = await bench.incidents.close(incident, "the water falls", "wang")
        assert closed["plan"] == "under way"
        await bench.live()
        with pytest.raises(HeldError, match="expired"):
            await bench.supervisors["db"].approvals.give(asked.id, "ada")
        assert bench.waiting("db") is None
        assert bench.of(ev.EXECUTION_OPENED) == []
        [record] = bench.of(ev.INCIDENT_CLOSED, incident=incident)
        assert (record.actor, record.data["reason"]) == ("wang", "the water falls")
        assert record.data["signature"].startswith("signed")
        assert bench.incidents.plan(incident)["state"] == "withdrawn"
        with pytest.raises(UsageError, match="no open incident"):
            await bench.incidents.close(incident, "again", "wang")


async def test_it_is_not_closed_in_the_middle_of_a_move(tmp_path: Path) -> None:
    async with disaster(tmp_path, {"db": {}}) as bench:
        incident = (await bench.declare())["incident"]
        await bench.live()
        bench.gate.clear()
        await bench.approve("db")
        await bench.live()
        assert bench.states(incident) == {"db": "running"}
        with pytest.raises(HeldError, match="is open"):
            await bench.incidents.close(incident, "enough", "wang")
        bench.gate.set()
        await bench.live()
        assert (await bench.incidents.close(incident, "it is done", "wang"))["plan"] == "done"


async def test_it_is_acknowledged_and_reported_like_any_incident(tmp_path: Path) -> None:
    levels = {"offices": {"department manager": ["ada"]}}
    async with disaster(tmp_path, {"db": {}}, levels=levels) as bench:
        incident = (await bench.declare())["incident"]
        with pytest.raises(HeldError, match="level II is confirmed by the department manager"):
            await bench.incidents.acknowledge(incident, "on it", "wang")
        await bench.incidents.acknowledge(incident, "on it", "ada")
        await bench.incidents.reported(incident, "the top manager", "by telephone", "wang")
        found = fold_incidents(bench.journal.events())[incident]
        assert [(d.kind, d.person) for d in found.duties] == [("acknowledged", "ada"), ("reported", "wang")]


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        ("site:dc9", "no site 'dc9'"),
        ("service:nope", "no service 'nope'"),
        ("site:office", "no service has a member at site office"),
        ("dc1", "not a scope"),
        ("node:db1", "not a scope"),
        ("site:", "not a scope"),
    ],
)
async def test_a_scope_that_is_none_is_refused_and_the_known_ones_are_named(
    tmp_path: Path, scope: str, said: str
) -> None:
    async with disaster(tmp_path, {"db": {}}) as bench:
        with pytest.raises(UsageError, match=said):
            await bench.declare(scope=scope)
        assert bench.of(ev.INCIDENT_DECLARED) == []


async def test_the_same_is_not_declared_twice(tmp_path: Path) -> None:
    async with disaster(tmp_path, {"db": {}}) as bench:
        incident = (await bench.declare())["incident"]
        with pytest.raises(UsageError, match=f"{incident} has declared that already"):
            await bench.declare()
