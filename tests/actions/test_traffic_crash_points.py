"""The controller dies at every record of every runbook that moves traffic, before and after it is written;
whoever resumes leaves the world as an undisturbed run does, or as it was before (S5)."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.schema import Estate
from model import events as ev
from model.execution import ExecutionResult, ExecutionState
from runbooks.engine import Engine
from runbooks.library import load_runbook
from runbooks.planner import make_plan
from runbooks.recorded import recorded_from_events
from tests.action_stand import ActionStand, pool_estate
from tests.bind_server import KEY, SECRET, Zone, running_zone
from tests.haproxy_server import BACKEND, Haproxy, running_haproxy
from tests.memory_journal import MemoryJournal, MemoryStore, ProcessDiedError
from tests.vip_nodes import LINK, Ethernet, ethernet

MOST_RECORDS = 30
DONE, UNDONE = ExecutionState.SUCCEEDED, ExecutionState.UNDONE


class Stage(ActionStand):
    """Runs a runbook in a process that dies, and resumes it in the next."""

    async def resumed(
        self, name: str, number: int, *, written: bool, **variables: Any
    ) -> ExecutionResult | None:
        """number, written: the record at which it dies, before or after it is on disk. None: it did not."""
        store, estate = MemoryStore(), self.ctx.estate
        plan = make_plan(load_runbook(name), estate=estate, service=self.ctx.service, vars=variables)
        dying = store.open()

        def hook(present: int, _type: str) -> None:
            if present == number:
                dying.die()

        setattr(dying, "after" if written else "before", hook)
        try:
            await self._engine(dying).run(plan, incident=None, actor="daemon", trigger="automatic")
        except ProcessDiedError:
            pass
        else:
            return None
        opened = store.of(ev.EXECUTION_OPENED)
        if not opened:
            return ExecutionResult("", UNDONE, "never opened")
        if store.of(ev.EXECUTION_CLOSED):
            return ExecutionResult("", ExecutionState(store.events[-1].data["state"]), "closed")
        recorded = recorded_from_events(store.events, opened[0].execution or "")
        return await self._engine(store.open()).resume(recorded)

    def _engine(self, journal: MemoryJournal) -> Engine:
        ports = replace(self.ctx.ports, journal=journal, lease=journal)
        return Engine(ports, self.ctx.estate)


async def every_point(
    stage: Stage,
    name: str,
    *,
    arrange: Callable[[], None],
    shape: Callable[[], object],
    done: object,
    before: object,
    **variables: Any,
) -> int:
    """Number of points."""
    points = 0
    for written in (False, True):
        for number in range(1, MOST_RECORDS):
            arrange()
            assert shape() == before
            result = await stage.resumed(name, number, written=written, **variables)
            if result is None:
                break
            points += 1
            about = f"record {number}, {'after' if written else 'before'}: {result}"
            assert result.state in (DONE, UNDONE), about
            assert shape() == (done if result.state is DONE else before), about
        else:
            pytest.fail("it has no end")
    return points


# --- HAProxy


@pytest.fixture(scope="module")
def haproxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haproxy]:
    with running_haproxy(tmp_path_factory.mktemp("h"), {"a": 1, "b": 2}) as running:
        yield running


@pytest.fixture
async def balanced(haproxy: Haproxy) -> AsyncIterator[Stage]:
    endpoint = {
        "type": "haproxy", "host": "127.0.0.1", "port": haproxy.port, "sockets": [haproxy.socket],
        "backend": BACKEND,
    }  # fmt: skip
    async with Stage(pool_estate(endpoint=endpoint)) as stage:
        yield stage


def states(haproxy: Haproxy) -> dict[str, str]:
    return {name: haproxy.state(name) for name in ("a", "b")}


def set_to(haproxy: Haproxy, **wanted: str) -> Callable[[], None]:
    def arrange() -> None:
        for name, state in wanted.items():
            haproxy.say(f"set server {BACKEND}/{name} state {state}")

    return arrange


async def test_a_member_is_drained(haproxy: Haproxy, balanced: Stage) -> None:
    points = await every_point(
        balanced, "http-pool-drain", member="a",
        arrange=set_to(haproxy, a="ready", b="ready"), shape=lambda: states(haproxy),
        before={"a": "no check", "b": "no check"}, done={"a": "MAINT", "b": "no check"},
    )  # fmt: skip
    assert points >= 8


async def test_a_member_is_restored(haproxy: Haproxy, balanced: Stage) -> None:
    points = await every_point(
        balanced, "http-pool-restore", member="a",
        arrange=set_to(haproxy, a="maint", b="ready"), shape=lambda: states(haproxy),
        before={"a": "MAINT", "b": "no check"}, done={"a": "no check", "b": "no check"},
    )  # fmt: skip
    assert points >= 8


async def test_clients_are_led_to_another_member(haproxy: Haproxy, balanced: Stage) -> None:
    points = await every_point(
        balanced, "endpoint-haproxy", member="b",
        arrange=set_to(haproxy, a="ready", b="maint"), shape=lambda: states(haproxy),
        before={"a": "no check", "b": "MAINT"}, done={"a": "MAINT", "b": "no check"},
    )  # fmt: skip
    assert points >= 8


# --- an address


@pytest.fixture(scope="module")
def lan() -> Iterator[Ethernet]:
    if shutil.which("arping") is None:
        pytest.skip("arping is not installed (Debian: apt-get install iputils-arping)")
    with ethernet(["n-a", "n-b"]) as made:
        yield made


def with_endpoint(estate: Estate, endpoint: dict[str, Any]) -> Estate:
    """As a service of an engine that has such an endpoint."""
    from config.endpoints import KINDS

    service = estate.service("shop")
    made = KINDS[endpoint["type"]].model_validate(endpoint)
    moved = service.model_copy(update={"endpoint": made})
    return estate.model_copy(update={"services": {"shop": moved}})


@pytest.mark.slow
async def test_an_address_is_moved(lan: Ethernet) -> None:
    vip = "10.7.0.200"

    def holders() -> list[str]:
        return [n for n in lan.access if f" {vip}/" in lan.run(n, "ip", "address", "show", "dev", LINK)]

    def arrange() -> None:
        for node in holders():
            lan.run(node, "ip", "address", "del", f"{vip}/24", "dev", LINK)
        lan.run("n-a", "ip", "address", "add", f"{vip}/24", "dev", LINK)

    endpoint = {"type": "vip", "address": f"{vip}/24", "interface": LINK}
    async with Stage(with_endpoint(pool_estate(), endpoint)) as stage:
        stage.ctx.ports = replace(stage.ctx.ports, node=lambda name: lan.access[name])
        points = await every_point(
            stage, "endpoint-vip", member="b", arrange=arrange, shape=holders, before=["n-a"], done=["n-b"]
        )
    arrange()
    lan.run("n-a", "ip", "address", "del", f"{vip}/24", "dev", LINK)
    assert points >= 8


# --- a name


@pytest.fixture(scope="module")
def zone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zone]:
    with running_zone(tmp_path_factory.mktemp("zone")) as running:
        yield running


async def test_a_name_is_given_another_address(zone: Zone, tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    endpoint = {
        "type": "dns", "name": "db.dyn.example", "zone": "dyn.example", "primary": zone.primary, "ttl": "1s",
        "key": {"name": KEY, "secret": {"file": str(secret)}},
    }  # fmt: skip
    async with Stage(with_endpoint(pool_estate(), endpoint)) as stage:
        points = 0
        for written in (False, True):
            for number in range(1, MOST_RECORDS):
                back = stage.action("dns.update", addresses=["192.0.2.10"])
                await stage.ok(back)
                result = await stage.resumed("endpoint-dns", number, written=written, member="a")
                if result is None:
                    break
                points += 1
                seen = await stage.check(stage.action("dns.update", addresses=["127.0.0.1"]))
                about = f"record {number}, {'after' if written else 'before'}: {result}"
                assert (seen.effect.value == "done") == (result.state is DONE), about
                assert result.state in (DONE, UNDONE), about
            else:
                pytest.fail("it has no end")
    assert points >= 8
