"""The station on a real store: reloads, journals that can't be had, and what several services share."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from config.loader import LoadedEstate, load_estate
from controller.adapters.clock import SystemClock
from controller.arrivals import Batch
from controller.disaster.requests import Declaring
from controller.station import Station
from controller.store.sqlite import SqliteStore, StoreState
from model import events as ev
from model.disaster import Scope, Tier
from model.errors import EstateError, HeldError
from model.health import Health
from model.observation import Observation, Outcome
from probes.awareness import MOST, UNFIT_FROM

_PORTS = itertools.count(1)
ROLES = {role: {"user": role} for role in ("monitor", "control", "replication")}


def service(*nodes: str, **more: Any) -> dict[str, Any]:
    """Members on ports where nobody listens."""
    members = {
        f"m{i}": {
            "node": node,
            "role": "primary" if i == 0 else "standby",
            "port": next(_PORTS),
            "data_dir": f"/data/{i}",
            "bin_dir": "/usr/bin",
            "control": "pg_ctl",
        }
        for i, node in enumerate(nodes)
    }
    postgresql = {"roles": ROLES, "synchronous_standby_names": "ANY 1 (m0, m1)"}
    return {"engine": "postgresql", "postgresql": postgresql, "members": members, **more}


def write(path: Path, more: Mapping[str, Any] = {}, /, **services: Any) -> LoadedEstate:
    nodes = sorted({m["node"] for s in services.values() for m in s["members"].values()})
    estate = {
        "configVersion": 1,
        "daemon": {"state_dir": str(path.parent / "state"), "socket": str(path.parent / "s.sock")},
        "sites": {"dc1": {"role": "primary"}},
        "nodes": {node: {"site": "dc1", "address": "127.0.0.1"} for node in nodes},
        "people": {"wang": {"name": "Wang", "os_users": ["wang"]}},
        "services": services,
        **more,
    }
    path.write_text(yaml.safe_dump(estate), encoding="utf-8")
    return load_estate(path)


@asynccontextmanager
async def station(loaded: LoadedEstate, *, start: bool = True) -> AsyncIterator[Station]:
    clock = SystemClock()
    store = SqliteStore.open(loaded.estate.daemon.state_dir, owner="test", clock=clock)
    made = Station(loaded, store, clock)
    try:
        if start:
            made.start()
        yield made
    finally:
        if start:
            await made.stop()
        store.close()


async def until(true: Callable[[], bool], within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.01)


async def test_a_reload_takes_services_away_and_adds_others(tmp_path: Path) -> None:
    loaded = write(tmp_path / "estate.yaml", orders=service("db1", "db2"))
    async with station(loaded) as made:
        await until(lambda: made.supervisors["orders"].judged is not None)
        old = made.supervisors["orders"]
        await made.apply(write(tmp_path / "estate.yaml", billing=service("db1", "db2")))
        assert list(made.supervisors) == ["billing"]
        assert old.closed
        await until(lambda: made.supervisors["billing"].judged is not None)
        assert {target.partition("/")[0] for target, _ in made.scheduler.watched()} == {"billing"}


async def test_its_services_share_one_order_and_one_budget_also_after_a_reload(tmp_path: Path) -> None:
    loaded = write(tmp_path / "estate.yaml", orders=service("db1", "db2"))
    async with station(loaded, start=False) as made:
        one = made._world()
        assert one.claims.order.needs == {"orders": ()}
        needy = service("db1", "db2", depends_on=["orders"])
        made._bind(write(tmp_path / "estate.yaml", orders=service("db1", "db2"), shop=needy))
        other = made._world()
        assert (one.claims, one.launching) == (other.claims, other.launching)
        assert other.claims.order.needs["shop"] == ("orders",)


async def test_a_reload_waits_for_nobody_and_is_refused_in_the_middle_of_an_execution(
    tmp_path: Path,
) -> None:
    loaded = write(tmp_path / "estate.yaml", orders=service("db1", "db2"))
    async with station(loaded) as made:
        supervisor = made.supervisors["orders"]
        await until(lambda: supervisor.judged is not None and not supervisor.busy)
        opened = {"kind": "rejoin", "runbook": "x"}
        await made.journal.append(ev.EXECUTION_OPENED, opened, service="orders", execution="new")
        without = write(tmp_path / "other.yaml", billing=service("db1", "db2"))
        with pytest.raises(HeldError, match="is open"):
            await made.apply(without)
        assert made.supervisors["orders"] is supervisor
        assert not supervisor.closed
        await made.apply(loaded)
        assert made.supervisors["orders"] is not supervisor


async def test_a_reload_waits_for_the_turn_that_is_being_taken(tmp_path: Path) -> None:
    loaded = write(tmp_path / "estate.yaml", orders=service("db1", "db2"))
    async with station(loaded) as made:
        supervisor = made.supervisors["orders"]
        await until(lambda: supervisor.judged is not None and not supervisor.busy)
        launched = asyncio.create_task(asyncio.sleep(60))
        async with supervisor.turn:
            reload = asyncio.create_task(made.apply(loaded))
            await asyncio.sleep(0)
            supervisor.runs._running = launched
        with pytest.raises(HeldError, match="is running"):
            await reload
        assert made.supervisors["orders"] is supervisor
        launched.cancel()
        await asyncio.wait({launched})


async def test_a_disk_that_does_not_answer_is_told_and_one_that_has_room_again_is_written(
    tmp_path: Path,
) -> None:
    loaded = write(tmp_path / "estate.yaml", orders=service("db1", "db2"))
    async with station(loaded, start=False) as made:
        pages: list[str] = []
        made.trouble._page = lambda _severity, summary: pages.append(summary)
        store, made.store = made.store, SimpleNamespace(stalled_s=6.0)  # type: ignore[assignment]
        await made._look_after_journal()
        await made._look_after_journal()
        assert pages == [
            "the journal's disk does not answer: observing only: a record has been waiting for 6 s"
        ]
        made.store = SimpleNamespace(stalled_s=0.0, state=StoreState.WAITING)  # type: ignore[assignment]
        await made._look_after_journal()
        assert [e.type for e in store.events(types=(ev.DAEMON_STARTED,))] == [ev.DAEMON_STARTED]
        assert pages[1:] == ["over: the journal's disk does not answer: observing only"]
        made.store = store
        await made.scheduler.aclose()
        await made.pager.aclose()


async def test_an_estate_that_can_not_be_watched_leaves_the_old_one_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = write(tmp_path / "estate.yaml", orders=service("db1", "db2"))
    async with station(loaded) as made:
        real = Station._watch_all

        def refuse(self: Station) -> None:
            monkeypatch.setattr(Station, "_watch_all", real)
            raise ValueError("a probe's options can't be used")

        monkeypatch.setattr(Station, "_watch_all", refuse)
        with pytest.raises(EstateError, match="options"):
            await made.apply(write(tmp_path / "other.yaml", billing=service("db1", "db2")))
        assert list(made.supervisors) == ["orders"]
        assert made.loaded is loaded
        await until(lambda: made.supervisors["orders"].judged is not None)


async def test_a_reload_takes_the_new_pager(tmp_path: Path) -> None:
    loaded = write(tmp_path / "estate.yaml", orders=service("db1", "db2"))
    async with station(loaded) as made:
        said = tmp_path / "said"
        text = (tmp_path / "estate.yaml").read_text(encoding="utf-8")
        text += f"pager: {{exec: {{command: [/usr/bin/tee, '{said}']}}}}\n"
        (tmp_path / "estate.yaml").write_text(text, encoding="utf-8")
        await made.apply(load_estate(tmp_path / "estate.yaml"))
        made.pager.page("page", "heard")
        await until(lambda: said.exists() and "heard" in said.read_text(encoding="utf-8"))


async def test_an_observer_says_once_that_another_leads(tmp_path: Path) -> None:
    loaded = write(tmp_path / "estate.yaml", orders=service("db1", "db2"), billing=service("db1", "db2"))
    clock = SystemClock()
    owner = SqliteStore.open(loaded.estate.daemon.state_dir, owner="leader", clock=clock)
    try:
        async with station(loaded) as made:
            pages: list[str] = []
            made.trouble._page = lambda _severity, summary: pages.append(summary)
            await until(lambda: all(s.judged is not None for s in made.supervisors.values()))
            await until(lambda: bool(pages))
            assert len(pages) == 1
            assert pages[0].startswith("another controller leads: observing only: ")
            assert not any(type_ == "postgresql-canary" for _, type_ in made.scheduler.watched())
    finally:
        owner.close()


async def test_an_incidents_pages_are_for_those_who_hold_the_offices_of_its_level(tmp_path: Path) -> None:
    offices = {"department head": ["wang"], "top manager": ["zhao"], "deputy": ["li"]}
    levels = {"levels": {"offices": offices}}
    people = {p: {"name": p, "os_users": [p]} for p in ("wang", "zhao", "li")}
    loaded = write(tmp_path / "estate.yaml", {**levels, "people": people}, orders=service("db1", "db2"))
    async with station(loaded) as made:
        opened = {"t0_ns": None, "level": "III", "diagnosis": {"code": "PrimaryHung"}, "manual": False}
        event = await made.journal.append(ev.INCIDENT_OPENED, opened, service="orders", incident="new")
        incident = event.incident
        made.pager.page("page", "it is out", incident=incident)
        raised = {"level": "I", "from": "III", "why": "it lasts"}
        await made.journal.append(ev.INCIDENT_LEVEL, raised, service="orders", incident=incident)
        made.pager.page("page", "it lasts", incident=incident)

        def told() -> dict[str, Any]:
            queued = made.journal.events(types=(ev.PAGE_QUEUED,), incident=incident)
            return {e.data["summary"]: (e.data["level"], e.data["people"]) for e in queued}

        await until(lambda: {"it is out", "it lasts"} <= set(told()))
        assert told()["it is out"] == ("III", ["li", "wang"])
        assert told()["it lasts"] == ("I", ["zhao", "li"])


async def test_a_site_plan_names_what_can_only_be_moved_by_hand(tmp_path: Path) -> None:
    members = {"r1": {"node": "db1", "role": "pool"}}
    cache = {"engine": "http", "mode": "ask", "http": {"minimum": 1}, "members": members}
    orders = service("db1", "db2", mode="ask", depends_on=["cache"])
    loaded = write(tmp_path / "estate.yaml", orders=orders, cache=cache)
    async with station(loaded, start=False) as made:
        made._watch_all()
        wish = Declaring(Tier.NATURAL, Scope("site", "dc1"), "the river rises", "wang")
        found = await made.incidents().declare(wish, dry_run=False)
        await made.disaster.turn()
        plan = made.incidents().plan(found["incident"])
        assert [(s["service"], s["why"]) for s in plan["staying"]] == [("cache", "by hand")]
        assert [(s["service"], s["after"]) for s in plan["steps"]] == [("orders", [])]
        for name in list(made.supervisors):
            await made._unsupervise(name)
        await made.scheduler.aclose()
        await made.pager.aclose()


async def test_a_node_is_seen_by_every_service_that_has_a_member_on_it(tmp_path: Path) -> None:
    loaded = write(
        tmp_path / "estate.yaml",
        orders=service("db1", "db2"),
        billing=service("db2", "db3"),
        audit=service("db3", "db4"),
    )
    async with station(loaded, start=False) as made:
        made._watch_all()
        made._observed(Observation("node/db2", "icmp", "test", Outcome.SUCCEEDED, 1.0, 1.0, 1.0))
        knows = {
            name
            for name, s in made.supervisors.items()
            if any(state.target == "node/db2" for state in s.knowledge.states())
        }
        assert knows == {"orders", "billing"}
        for name in list(made.supervisors):
            await made._unsupervise(name)
        await made.scheduler.aclose()
        await made.pager.aclose()


async def test_the_budget_is_of_the_whole_estate(tmp_path: Path) -> None:
    loaded = write(tmp_path / "estate.yaml", orders=service("db1", "db2"), billing=service("db1", "db2"))
    async with station(loaded, start=False) as made:
        for name, trigger in (("orders", "automatic"), ("billing", "automatic"), ("orders", "manual")):
            opened = {"kind": "failover", "trigger": trigger}
            await made.journal.append(ev.EXECUTION_OPENED, opened, service=name, execution="new")
        assert made._budget_left() == loaded.estate.daemon.failover_budget.count - 2
        await made.pager.aclose()
        await made.scheduler.aclose()


async def test_a_service_depends_on_one_that_is_out_and_not_on_one_that_lacks_a_copy(tmp_path: Path) -> None:
    loaded = write(
        tmp_path / "estate.yaml",
        orders=service("db1", "db2"),
        billing=service("db1", "db2", depends_on=["orders"]),
    )
    async with station(loaded, start=False) as made:
        made._watch_all()
        orders, billing = made.supervisors["orders"], made.estate.services["billing"]
        orders.judged = orders.judge_now()
        assert made._broken_dependencies(billing) == ()
        from controller.codes import CODES
        from controller.views import PG
        from model.health import Health, ProbeState

        view = orders.judged.view
        up = ProbeState("orders/m0", PG, Health.UP)
        view = replace(
            view, primary="m0", members=[replace(view.members[0], probes={PG: up}), *view.members[1:]]
        )
        for code, broken in (("PrimaryWritesBlocked", ("orders",)), ("AllStandbysDown", ())):
            diagnosis = replace(orders.judged.diagnosis, info=CODES[code], confirmed=True)
            outlook = replace(orders.judged.outlook, view=view, diagnosis=diagnosis)
            orders.judged = replace(orders.judged, outlook=outlook)
            assert made._broken_dependencies(billing) == broken
        for name in list(made.supervisors):
            await made._unsupervise(name)
        await made.scheduler.aclose()
        await made.pager.aclose()


async def test_a_process_in_trouble_holds_every_service_and_a_reload_keeps_its_score(tmp_path: Path) -> None:
    loaded = write(tmp_path / "estate.yaml", orders=service("a", "b"))
    async with station(loaded) as made:
        supervisor = made.supervisors["orders"]
        for _ in range(MOST):
            made.scheduler.awareness.end_round(1.0, 0.9, awaited=False)
        made._observed(Observation("orders/m0", "postgresql", "me", Outcome.SUCCEEDED, 1.0, 1.1, 1.1))
        gates = {g.name: g for g in supervisor.judge_now().decision.gates}
        assert not gates["observer"].passed
        assert gates["observer"].reason.startswith("this process is in trouble itself")
        await made.apply(loaded)
        assert made.observer.score >= UNFIT_FROM  # a good round of the scheduler's own may have lowered it
        assert made.observer.judge(1.2)[0] is False


async def test_a_declared_reference_vouches_for_the_own_network(tmp_path: Path) -> None:
    gateway = {"type": "tcp", "reference": True, "options": {"host": "127.0.0.1", "port": 1}}
    loaded = write(tmp_path / "estate.yaml", orders=service("a", "b"))
    estate = yaml.safe_load((tmp_path / "estate.yaml").read_text(encoding="utf-8"))
    (tmp_path / "estate.yaml").write_text(yaml.safe_dump({**estate, "probes": {"gw": gateway}}))
    async with station(loaded, start=False) as made:
        assert made.observer.judge(1.2)[0] is None
    async with station(load_estate(tmp_path / "estate.yaml"), start=False) as made:
        assert made.observer.judge(1.2)[0] is False
        made._observed(Observation("probe/gw", "tcp", "me", Outcome.SUCCEEDED, 1.0, 1.1, 1.1))
        assert made.observer.judge(1.2)[0] is True
        assert made.declared.states()["gw"].last is not None


async def test_what_another_observer_saw_reaches_its_service_and_a_reload_renames_this_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "estate.yaml"
    loaded = write(path, orders=service("a", "b"))
    estate = yaml.safe_load(path.read_text(encoding="utf-8"))
    estate["observers"] = {"ops1": {"site": "dc1"}, "ops2": {"site": "dc1"}}
    path.write_text(yaml.safe_dump({**estate, "daemon": {**estate["daemon"], "name": "ops1"}}))
    async with station(loaded) as made:
        await made.apply(load_estate(path))
        assert made.scheduler.observer == "ops1"
        seen = Observation("orders/m0", "postgresql", "ops2", Outcome.SUCCEEDED, 1.0, 1.1, 1.1)
        made.observed_elsewhere(Batch("ops2", "boot", 1, 1.2, True, seen=(seen,)))
        [other] = made.supervisors["orders"].judge_now().view.elsewhere
        assert (other.name, other.sane, other.members["m0"].health) == ("ops2", True, Health.UP)
