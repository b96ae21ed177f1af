"""Real MariaDB, Redis and nginx under a real station: what their servers do becomes the right codes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from config.loader import LoadedEstate, load_estate
from controller.early_warnings.look import look
from controller.inspection.direct import inspect_directly
from controller.station import Station
from controller.status import service_status
from model.diagnosis import Diagnosis
from tests.mariadb_servers import PASSWORD, MariadbServer, running_pair
from tests.nginx_server import Nginx, running_nginx
from tests.pg_pair import free_port
from tests.redis_servers import LOOPBACK, RedisServer
from tests.supervisor.test_station import station

_HERE = {"configVersion": 1, "sites": {"dc1": {"role": "primary"}}, "nodes": {"here": {"site": "dc1"}}}


def estate_of(directory: Path, more: Mapping[str, Any] = {}, **services: Any) -> LoadedEstate:
    """All of it on this host; the profile that concludes soonest."""
    document = {
        **_HERE,
        "nodes": {"here": {"site": "dc1", "address": LOOPBACK}},
        "daemon": {"state_dir": str(directory / "state"), "socket": str(directory / "s.sock")},
        "people": {"wang": {"name": "Wang", "os_users": ["wang"]}},
        "services": {name: {"profile": "fast", "mode": "ask", **told} for name, told in services.items()},
        **more,
    }
    file = directory / "estate.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    return load_estate(file)


def members(role: str = "", **ports: int) -> dict[str, Any]:
    """The first is the primary, where no other role is told."""
    roles = {name: role or ("standby" if number else "primary") for number, name in enumerate(ports)}
    return {name: {"node": "here", "role": roles[name], "port": port} for name, port in ports.items()}


async def diagnosed(made: Station, service: str, code: str, within_s: float = 30.0) -> Diagnosis:
    """Waits for it; fails with what was diagnosed last."""
    supervisor, last = made.supervisors[service], None
    loop = asyncio.get_running_loop()
    end_s = loop.time() + within_s
    while loop.time() < end_s:
        judged = supervisor.judged
        last = judged.diagnosis if judged is not None else None
        if last is not None and last.code == code and last.confirmed:
            assert judged is not None
            assert judged.decision.verb.value != "act"
            assert judged.decision.runbook in (None, *judged.view.engine.runbooks.values())
            return last
        await asyncio.sleep(0.02)
    told = None if last is None else (last.code, last.confirmed, [e.text for e in last.evidence])
    pytest.fail(f"{service} is {told}, not {code}")


def why(found: Diagnosis) -> str:
    return "\n".join(evidence.text for evidence in found.evidence)


# --- redis


@pytest.fixture
def redis_pair(tmp_path: Path) -> Iterator[tuple[RedisServer, RedisServer]]:
    primary = RedisServer(tmp_path, "r1")
    replica = RedisServer(tmp_path, "r2", f"replicaof {LOOPBACK} {primary.port}")
    try:
        yield primary.start(), replica.start()
    finally:
        primary.kill()
        replica.kill()


@pytest_asyncio.fixture
async def cache(tmp_path: Path, redis_pair: tuple[RedisServer, RedisServer]) -> AsyncIterator[Station]:
    r1, r2 = redis_pair
    told = {"engine": "redis", "redis": {"write_key": "bcm"}, "members": members(r1=r1.port, r2=r2.port)}
    async with station(estate_of(tmp_path, cache=told)) as made:
        await diagnosed(made, "cache", "Healthy")
        yield made


async def test_redis_servers_that_fail_one_after_the_other(
    cache: Station, redis_pair: tuple[RedisServer, RedisServer]
) -> None:
    r1, r2 = redis_pair
    r2.cli("REPLICAOF", LOOPBACK, str(free_port()))
    assert "r2" in why(await diagnosed(cache, "cache", "StandbyDetached"))
    [warned] = look(cache.clock, cache.supervisors, cache.declared).services
    assert warned.missing == ("r2 does not stream",)
    r1.cli("CONFIG", "SET", "min-replicas-to-write", "1")
    assert "NOREPLICAS" in why(await diagnosed(cache, "cache", "TooFewReplicas"))
    r1.cli("CONFIG", "SET", "min-replicas-to-write", "0")
    r1.cli("CONFIG", "SET", "maxmemory", "1")
    assert "OOM" in why(await diagnosed(cache, "cache", "PrimaryMemoryFull"))
    r1.cli("CONFIG", "SET", "maxmemory", "0")
    r2.cli("REPLICAOF", "NO", "ONE")
    assert "r2" in why(await diagnosed(cache, "cache", "SplitBrain"))
    r2.kill()
    await diagnosed(cache, "cache", "AllStandbysDown")
    r1.kill()
    assert (await diagnosed(cache, "cache", "PrimaryProcessDown")).info.level is not None
    status = service_status(cache.supervisors["cache"], cache.supervisors["cache"].wall_ns())
    assert status["health"] == "down"
    assert "nothing proves" in status["readiness"]["why"]


# --- mariadb


@pytest.fixture(scope="module")
def mariadb_pair() -> Iterator[tuple[MariadbServer, MariadbServer]]:
    with running_pair() as pair:
        yield pair


async def test_mariadb_servers_that_are_set_wrong_and_stop(
    tmp_path: Path, mariadb_pair: tuple[MariadbServer, MariadbServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BCM_MONITOR", PASSWORD)
    db1, db2 = mariadb_pair
    settings = {
        "monitor": {"user": "monitor", "password": {"env": "BCM_MONITOR"}},
        "tls": "disable",
    }
    told = {"engine": "mariadb", "mariadb": settings, "members": members(db1=db1.port, db2=db2.port)}
    async with station(estate_of(tmp_path, orders=told)) as made:
        await diagnosed(made, "orders", "Healthy")
        db2.sql("set global read_only=0")
        await diagnosed(made, "orders", "ReplicaWritable")
        db2.sql("insert into bcm_canary.probe values (7, 7, 7)")
        assert "db2 wrote" in why(await diagnosed(made, "orders", "ErrantTransactions"))
        db1.sql("set global read_only=1")
        await diagnosed(made, "orders", "PrimaryReadOnly")
        db1.sql("set global read_only=0")
        db2.stop()
        await diagnosed(made, "orders", "AllStandbysDown")
        db1.stop()
        await diagnosed(made, "orders", "PrimaryProcessDown")


# --- http and generic


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Nginx]:
    root = tmp_path / "nginx"
    root.mkdir()
    with running_nginx(root) as server:
        yield server


def web(nginx: Nginx, second: int, path: str, **http: Any) -> dict[str, Any]:
    http = {"minimum": 1, "path": path, **http}
    return {"engine": "http", "http": http, "members": members("pool", web1=nginx.port, web2=second)}


def tcp(service: str, port: int) -> dict[str, Any]:
    options = {"host": LOOPBACK, "port": port}
    return {"type": "tcp", "service": service, "interval": "0.3s", "timeout": "0.3s", "options": options}


async def test_a_pool_of_web_servers_and_a_service_known_by_its_probes(tmp_path: Path, nginx: Nginx) -> None:
    nobody = free_port()
    loaded = estate_of(
        tmp_path,
        {"probes": {"port": tcp("mail", nginx.port), "other": tcp("mail", nobody)}},
        whole=web(nginx, nginx.other, "/seen", minimum=2),
        short=web(nginx, nobody, "/seen"),
        small=web(nginx, nobody, "/seen", minimum=2),
        out=web(nginx, nobody, "/closed"),
        mail={"engine": "generic", "generic": {"needs": "any"}},
    )
    async with station(loaded) as made:
        await diagnosed(made, "whole", "Healthy")
        assert "web2" in why(await diagnosed(made, "short", "PoolDegraded"))
        await diagnosed(made, "small", "PoolBelowMinimum")
        assert "web2" in why(await diagnosed(made, "out", "PoolDown"))
        assert "port is up" in why(await diagnosed(made, "mail", "ServiceDegraded"))
        scene = look(made.clock, made.supervisors, made.declared)
        assert {watched.about for watched in scene.watched} >= {"service/whole/web1", "service/mail"}
        assert {s.name: s.missing for s in scene.services} == dict.fromkeys(made.supervisors)


# --- the inspection


async def test_every_engine_can_be_inspected(tmp_path: Path, nginx: Nginx) -> None:
    loaded = estate_of(
        tmp_path,
        {"probes": {"port": tcp("mail", nginx.port)}},
        pool=web(nginx, nginx.other, "/seen"),
        cache={"engine": "redis", "members": members(r1=free_port())},
        mail={"engine": "generic"},
    )
    body = await inspect_directly(loaded, None, lambda _done, _of: None)
    told = {(row["about"], row["result"]): row["text"] for row in body["rows"]}
    assert any(about.startswith("service/pool") and result == "ok" for about, result in told), told
    assert any(about.startswith("service/cache") and result == "failed" for about, result in told), told
    assert not [text for text in told.values() if "Error" in text or "Traceback" in text]
