"""pool.drain and pool.restore, and their runbooks through the engine: nginx behind HAProxy."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.schema import Estate
from model.execution import Effect, ExecutionState, StepState
from model.health import Health
from model.ports import Sighting
from runbooks.engine import Engine, ExecutionResult
from runbooks.library import load_runbook
from runbooks.planner import make_plan
from tests.action_stand import ActionStand, pool_estate
from tests.haproxy_server import BACKEND
from tests.memory_journal import MemoryStore
from tests.web_pool import Pool, running_pool


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    with running_pool(tmp_path) as running:
        yield running


def estate_of(pool: Pool, minimum: int = 1) -> Estate:
    endpoint = {
        "type": "haproxy", "host": "127.0.0.1", "port": pool.haproxy.port, "sockets": [pool.haproxy.socket],
        "backend": BACKEND,
    }  # fmt: skip
    ports = {name: web.port for name, web in pool.webs.items()}
    return pool_estate(ports, endpoint=endpoint, http={"minimum": minimum})


def slow_request(pool: Pool) -> tuple[threading.Thread, list[int]]:
    """A request that is under way for a second and a half, on either member; [status] once it has ended."""
    got: list[int] = []
    thread = threading.Thread(target=lambda: got.append(pool.get("/slow")[0]))
    thread.start()
    return thread, got


async def busy_member(pool: Pool) -> str:
    """Who serves the slow request."""
    async with asyncio.timeout(5):
        while True:
            for line in pool.haproxy.say(f"show stat {BACKEND} 4 -1").splitlines():
                fields = line.split(",")
                if len(fields) > 4 and fields[4] == "1":
                    return fields[1]
            await asyncio.sleep(0.01)


async def test_requests_under_way_are_answered_before_a_member_is_out(pool: Pool) -> None:
    async with ActionStand(estate_of(pool)) as stand:
        thread, got = slow_request(pool)
        busy = await busy_member(pool)
        drain = stand.action("pool.drain", member=busy)
        assert (await stand.check(drain)).effect is Effect.NOT_DONE
        result = await stand.ok(drain, 10)
        thread.join(5)
        assert (got, pool.haproxy.state(busy), result.output["waited_ms"] > 300) == ([200], "MAINT", True)
        assert (await stand.check(drain)).effect is Effect.DONE
        assert {pool.get()[1] for _ in range(6)} == set(pool.webs) - {busy}
        assert (await stand.undo(drain, result)).outcome is StepState.SUCCEEDED
        assert {pool.get()[1] for _ in range(6)} == set(pool.webs)


async def test_requests_that_do_not_end_in_time_leave_the_member_to_be_taken_back(pool: Pool) -> None:
    async with ActionStand(estate_of(pool)) as stand:
        thread, got = slow_request(pool)
        busy = await busy_member(pool)
        drain = stand.action("pool.drain", member=busy)
        result = await stand.run(drain, 1.2)
        assert (result.outcome, "1 session left" in result.detail) == (StepState.FAILED, True)
        await stand.undo(drain, result)
        thread.join(5)
        assert (got, pool.haproxy.state(busy)) == ([200], "no check")


async def test_a_member_that_the_minimum_needs_is_not_taken_out(pool: Pool) -> None:
    async with ActionStand(estate_of(pool, minimum=2)) as stand:
        result = await stand.run(stand.action("pool.drain", member="a"))
        assert (result.outcome, "1 others take traffic" in result.detail) == (StepState.FAILED, True)
        assert pool.haproxy.state("a") == "no check"
        [*_, enough] = await stand.action("pool.drain", member="a").precheck(stand.ctx)
        assert enough.ok is False
        await stand.ok(stand.action("pool.drain", member="a", below_minimum=True))


async def test_a_member_that_is_down_is_cut_at_once(pool: Pool) -> None:
    async with ActionStand(estate_of(pool, minimum=2)) as stand:
        pool.webs["a"].kill()
        began_s = time.monotonic()
        await stand.ok(stand.action("pool.drain", member="a", cut=True))
        assert time.monotonic() - began_s < 1
        assert {pool.get() for _ in range(6)} == {(200, "b")}


async def test_a_member_is_put_back_only_when_it_is_seen_to_work(pool: Pool) -> None:
    async with ActionStand(estate_of(pool)) as stand:
        await stand.ok(stand.action("pool.drain", member="a"))
        seen = Sighting(Health.DOWN, 1.0, "refused")
        stand.ctx.ports = replace(stand.ctx.ports, sighting=lambda _target: seen)
        restore = stand.action("pool.restore", member="a")
        refused = await stand.run(restore)
        assert (refused.outcome, "a is down: refused" in refused.detail) == (StepState.FAILED, True)
        assert pool.haproxy.state("a") == "MAINT"
        works = Sighting(Health.UP, 1.0, "answers")
        stand.ctx.ports = replace(stand.ctx.ports, sighting=lambda _target: works)
        result = await stand.ok(restore)
        assert {pool.get()[1] for _ in range(6)} == {"a", "b"}
        await stand.undo(restore, result)
        assert pool.haproxy.state("a") == "MAINT"


async def run_runbook(stand: ActionStand, name: str, **variables: Any) -> ExecutionResult:
    journal = MemoryStore().open()
    ports = replace(stand.ctx.ports, journal=journal, lease=journal)
    plan = make_plan(load_runbook(name), estate=stand.ctx.estate, service="shop", vars=variables)
    return await Engine(ports, stand.ctx.estate).run(plan, incident=None, actor="li", trigger="manual")


async def test_the_runbooks_take_a_member_out_and_put_it_back(pool: Pool) -> None:
    async with ActionStand(estate_of(pool)) as stand:
        out = await run_runbook(stand, "http-pool-drain", member="a")
        assert (out.state, pool.haproxy.state("a")) == (ExecutionState.SUCCEEDED, "MAINT")
        back = await run_runbook(stand, "http-pool-restore", member="a")
        assert (back.state, pool.haproxy.state("a")) == (ExecutionState.SUCCEEDED, "no check")


async def test_the_runbook_of_a_member_that_is_down_waits_for_nothing(pool: Pool) -> None:
    async with ActionStand(estate_of(pool, minimum=2)) as stand:
        out = await run_runbook(stand, "http-pool-drain", member="a", down=["a"])
        assert out.state is ExecutionState.SUCCEEDED


async def test_a_drain_that_is_refused_changes_nothing(pool: Pool) -> None:
    async with ActionStand(estate_of(pool, minimum=2)) as stand:
        out = await run_runbook(stand, "http-pool-drain", member="a")
        assert (out.state, pool.haproxy.state("a")) == (ExecutionState.UNDONE, "no check")


async def test_the_endpoint_is_cut_over_by_its_runbook(pool: Pool) -> None:
    async with ActionStand(estate_of(pool)) as stand:
        out = await run_runbook(stand, "endpoint-haproxy", member="b")
        assert (out.state, pool.haproxy.state("a")) == (ExecutionState.SUCCEEDED, "MAINT")
        assert {pool.get()[1] for _ in range(4)} == {"b"}
