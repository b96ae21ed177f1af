"""An inspection of a real cluster, by the daemon and without one; and the early warnings beside it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from config.loader import LoadedEstate, load_estate
from controller.adapters.clock import SystemClock
from controller.control import DaemonControl
from controller.demo.cluster import Cluster
from controller.demo.estate import SERVICE, demo_estate
from controller.inspection.direct import inspect_directly
from controller.station import Station
from controller.store.sqlite import SqliteStore
from model import events as ev
from tests.supervisor.test_station import until

pytestmark = pytest.mark.postgres


def estate_of(cluster: Cluster, directory: Path, change: Callable[[dict[str, Any]], None]) -> LoadedEstate:
    text = demo_estate(cluster, state_dir=directory / "state", socket=directory / "s", mode="observe")
    document = yaml.safe_load(text)
    change(document)
    file = directory / "estate.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    return load_estate(file)


def unchanged(_document: dict[str, Any]) -> None:
    """As the demo declares it."""


def results(body: dict[str, Any], check: str) -> dict[str, str]:
    return {row["about"]: row["result"] for row in body["rows"] if row["check"] == check}


def texts(body: dict[str, Any], check: str) -> str:
    return "\n".join(row["text"] for row in body["rows"] if row["check"] == check)


@pytest_asyncio.fixture
async def station(shared_cluster: Cluster, tmp_path: Path) -> AsyncIterator[Station]:
    def warn_always(document: dict[str, Any]) -> None:
        document["warnings"] = {"disk_free_percent": 100}
        document["probes"] = {"os": {"type": "host", "node": "node1", "interval": "0.5s", "timeout": "5s"}}

    loaded = estate_of(shared_cluster, tmp_path, warn_always)
    store = SqliteStore.open(loaded.estate.daemon.state_dir, owner="test", clock=SystemClock())
    made = Station(loaded, store, SystemClock())
    made.start()
    try:
        yield made
    finally:
        await made.stop()
        store.close()


def healthy(station: Station) -> bool:
    judged = station.supervisors[SERVICE].judged
    return (
        judged is not None and all(m.fresh for m in judged.view.members) and judged.view.primary is not None
    )


async def test_the_daemon_inspects_journals_and_compares(station: Station) -> None:
    await until(lambda: healthy(station))
    first = await station.inspections.inspect(None, trigger="person", actor="wang")
    members = {f"service/{SERVICE}/pg{n}" for n in (1, 2, 3)}
    assert set(results(first, "probes")) == {*members, "node/node1"}
    assert "os (host) answers" in texts(first, "probes")
    assert "DiskFilling: os: " in texts(first, "probes")
    assert results(first, "rewind") == dict.fromkeys(members, "ok")
    assert results(first, "room").keys() == members
    assert set(results(first, "room").values()) == {"warning"}  # by the threshold of this estate
    assert results(first, "candidate") == {f"service/{SERVICE}": "ok"}
    assert results(first, "copies") == {f"service/{SERVICE}": "ok"}
    assert "failed" not in results(first, "sync").values(), texts(first, "sync")
    assert results(first, "standing") == {f"service/{SERVICE}": "ok"}
    assert results(first, "access") == {f"node/node{n}": "ok" for n in (1, 2, 3)}
    assert results(first, "clocks") == {f"node/node{n}": "ok" for n in (1, 2, 3)}
    assert results(first, "secrets") == {f"service/{SERVICE}": "ok"}
    assert results(first, "leadership") == {"estate": "ok"}
    assert set(results(first, "journal").values()) == {"ok"}
    assert results(first, "pager") == {"estate": "failed"}  # the demo names none
    assert results(first, "known-hosts") == {"estate": "skipped"}
    assert (first["since"], first["journaled"]) == (None, True)
    (event,) = station.journal.events(types=(ev.INSPECTION_DONE,))
    assert (event.actor, event.data["trigger"], event.data["scope"]) == ("wang", "person", None)

    second = await station.inspections.inspect(SERVICE, trigger="person", actor="wang")
    assert second["scope"] == SERVICE
    assert second["since"]["at"] == event.wall_utc
    assert [second["since"][word] for word in ("new", "gone", "changed")] == [[], [], []]
    assert not results(second, "pager")  # of the estate, not of the service
    assert station.inspections.last() == first

    # No secret is shown by whatever was found.
    password = station.estate.services[SERVICE].postgresql.roles.monitor.password
    assert password is not None
    assert Path(str(password.file)).read_text().strip() not in json.dumps([first, second])


async def test_early_warnings_of_real_servers_reach_status_and_journal(station: Station) -> None:
    await until(lambda: len(station.warnings.open()) >= 3)
    wanted = {*(f"service/{SERVICE}/pg{n}" for n in (1, 2, 3)), "node/node1"}
    await until(lambda: {w.key.about for w in station.warnings.open()} >= wanted)
    abouts = {w.key.about for w in station.warnings.open() if w.key.code == "DiskFilling"}
    assert abouts == wanted
    await until(lambda: len(station.journal.events(types=(ev.WARNING_RAISED,))) >= 3)

    async def reload() -> dict[str, Any]:
        return {}

    control = DaemonControl(
        station.supervisors,
        station.clock,
        about=dict,
        reload=reload,
        signals=station.signals(),
        incidents=station.incidents(),
    )
    status = control.status()
    assert {w["about"] for w in status["warnings"]} >= abouts
    assert {w["about"] for w in status["services"][0]["warnings"]} >= abouts
    assert "free" in control.explain(SERVICE)["warnings"][0]["sentence"]
    assert station.supervisors[SERVICE].judge_now().decision.verb.value != "act"


async def test_without_a_daemon_the_same_is_found_from_this_process(
    shared_cluster: Cluster, tmp_path: Path
) -> None:
    loaded = estate_of(shared_cluster, tmp_path, unchanged)
    seen: list[tuple[int, int]] = []
    body = await inspect_directly(loaded, None, lambda done, total: seen.append((done, total)))
    assert seen[0][0] == 0
    assert seen[-1][0] == seen[-1][1]
    assert results(body, "leadership") == {"estate": "failed"}
    assert results(body, "copies") == {f"service/{SERVICE}": "ok"}, texts(body, "copies")
    assert set(results(body, "probes").values()) <= {"ok", "warning"}, texts(body, "probes")
    assert body["worst"] == "failed"
    assert body["rows"][0]["result"] == "failed"  # the worst first
    assert all(row["why"] and row["how"] and row["what"] for row in body["rows"])
    assert all(row["todo"] for row in body["rows"] if row["result"] in ("failed", "warning", "unknown"))


async def test_what_is_wrong_is_found_where_it_is(shared_cluster: Cluster, tmp_path: Path) -> None:
    def spoil(document: dict[str, Any]) -> None:
        service = document["services"][SERVICE]
        service["members"]["pg3"]["port"] = 1  # nobody listens
        service["postgresql"]["roles"]["control"]["password"] = {"file": str(tmp_path / "gone")}
        document["nodes"]["node2"] = {
            **document["nodes"]["node2"], "access": "ssh", "ssh": {"known_hosts": str(tmp_path / "known")},
        }  # fmt: skip
        document["probes"] = {
            "web": {"type": "tcp", "service": SERVICE, "options": {"host": "127.0.0.1", "port": 1}}
        }

    (tmp_path / "known").write_text("")
    loaded = estate_of(shared_cluster, tmp_path, spoil)
    body = await inspect_directly(loaded, SERVICE, lambda _done, _total: None)
    assert results(body, "known-hosts") == {"node/node2": "failed"}
    assert results(body, "access")["node/node2"] == "failed"
    assert "web (tcp) fails" in texts(body, "probes")
    assert results(body, "probes")[f"service/{SERVICE}/pg3"] == "failed"
    assert "gone: " in texts(body, "secrets")
    assert results(body, "copies") == {f"service/{SERVICE}": "failed"}
    assert "pg3" in texts(body, "copies")
    assert results(body, "rewind")[f"service/{SERVICE}/pg3"] == "unknown"
    assert results(body, "room")[f"service/{SERVICE}/pg2"] == "unknown"
